"""The command `telmo models`: which models are registered, and which of them is served."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from serve.aliases import CHAMPION

if TYPE_CHECKING:
    from pipeline.model_versions import Version
    from pipeline.promotion import Labelled, Promotion

models = typer.Typer(
    name="models",
    help="List, compare, promote, roll back and delete registered models. A running server follows its alias.",
    no_args_is_help=True,
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Of the registered model.")]
Which = Annotated[str, typer.Argument(metavar="VERSION", help="A number, or an alias such as @challenger.")]
Alias = Annotated[str, typer.Option(help="The alias that is moved.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON with all there is to say.")]


@models.command("list")
def list_models(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="For its versions; by default all models.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show what is registered, with scores and aliases."""
    from pipeline.model_versions import registered_models, versions_of

    found = {name: versions_of(name)} if name else registered_models()
    if as_json:
        print(json.dumps([version.to_json() for versions in found.values() for version in versions], indent=2))
    elif name:
        _print_rows(
            ("version", "aliases", "score", "biLM", "gate", "registered", "run"),
            [
                (
                    one.version,
                    _aliases(one),
                    _score(one),
                    f"of {len(one.heads)} models" if one.heads else _short(one.bilm),
                    one.gate,
                    f"{one.created:%Y-%m-%d %H:%M}",
                    one.run_id,
                )
                for one in found[name]
            ],
        )
    elif not found:
        from pipeline.tracking import tracking_address
        from serve.tracking_server import without_login

        print(f"no models are registered in {without_login(tracking_address())}; telmo train registers its own")
    else:
        rows = []
        for model, versions in found.items():
            champion = next((one for one in versions if CHAMPION in one.aliases), None)
            newest = versions[0] if versions else None
            task = next((one.task for one in versions if one.task), None)
            told = (_told(champion), _told(newest))
            rows.append((model, task, str(len(versions)), *told))
        _print_rows(("name", "task", "versions", CHAMPION, "newest"), rows)


@models.command()
def compare(name: Name, version: Which, other: Which, as_json: AsJson = False) -> None:
    """Show how two versions differ: scores, parameters, data."""
    from pipeline.model_versions import compare_versions, find_version

    pair = find_version(name, version), find_version(name, other)
    found = compare_versions(*pair)
    if as_json:
        print(json.dumps(found, indent=2))
        return
    rows: list[tuple] = [
        ("aliases", *map(_aliases, pair)),
        ("biLM", *(_short(one.bilm) for one in pair)),
        ("registered", *(f"{one.created:%Y-%m-%d %H:%M}" for one in pair)),
        ("run", *(one.run_id for one in pair)),
    ]
    for metric, of in found["scores"].items():
        values = [None if value is None else f"{value:.4f}" for value in of["values"]]
        difference = "" if of["difference"] is None else f"{of['difference']:+.4f}"
        rows.append((f"score {metric}", *values, difference))
    for context, values in found["data"].items():
        rows.append((f"data {context}", *values, "the same" if values[0] == values[1] else "another"))
    rows += [(key, *values) for key, values in found["params"].items()]
    _print_rows((name, *(f"version {one.version}" for one in pair), ""), rows)


@models.command()
def promote(
    name: Name,
    version: Which,
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="DATA",
            help="A file of labelled texts, or the config of a training for its test data; by default the test data "
            "that the version was trained with.",
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Promote it even if it is worse; without DATA nothing is compared.")
    ] = False,
    margin: Annotated[
        float | None,
        typer.Option(
            help="Be sure that it is at most so many points worse; by default it is enough that it may be no worse.",
            min=0,
        ),
    ] = None,
    text: Annotated[str | None, typer.Option(help="Column of the text or of the words.")] = None,
    label: Annotated[str | None, typer.Option(help="Column of the label or of the tags.")] = None,
    format: Annotated[
        str | None, typer.Option(help="text, csv, tsv, jsonl, conllu, conll or parquet, if the name does not tell.")
    ] = None,
    split: Annotated[str, typer.Option(help="Of a config: train, validation or test.")] = "test",
    change: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a key of the config.")
    ] = None,
    resamples: Annotated[int, typer.Option(help="Draws of the texts, for the interval.", min=100)] = 1000,
    seed: Annotated[int, typer.Option(help="Of the draws.", min=0)] = 1,
    alias: Alias = CHAMPION,
    as_json: AsJson = False,
) -> None:
    """Make a version the champion, if on the same texts it is no worse than the one that is; else refuse, and exit with
    1."""
    from pipeline.model_versions import find_version
    from pipeline.promotion import promote as promote_version

    found = find_version(name, version)
    labelled = _labelled(data, change, split, {"text": text, "label": label, "format": format}) if data else None
    from embeddings.quiet import quiet_stderr

    with quiet_stderr():
        import keras  # noqa: F401

    done = promote_version(found, labelled, force, margin, alias, resamples, seed)
    print(json.dumps(vars(done)) if as_json else "\n".join(_lines_of(done, name, margin)))
    if done.refused:
        raise typer.Exit(1)


@models.command()
def rollback(name: Name, alias: Alias = CHAMPION) -> None:
    """Make the version the champion again that was it before; once more for the one before that."""
    from pipeline.model_versions import roll_back_model

    old, new = roll_back_model(name, alias)
    before = f"it was version {old}" if old else "no version had the alias"
    print(f"models:/{name}@{alias} is version {new} again; {before}")


@models.command()
def delete(
    name: Name,
    version: Which,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    with_alias: Annotated[bool, typer.Option("--with-alias", help="Even if an alias stands on it.")] = False,
) -> None:
    """Delete a version from the registry, after a question. Its run keeps what was logged."""
    from pipeline.model_versions import check_deletable, delete_version, find_version

    found = find_version(name, version)
    check_deletable(found, with_alias)
    if not yes:
        above = f", on which {len(found.heads)} models were trained," if found.heads else ""
        typer.confirm(f"Delete {found.place}{above} for good?", abort=True)
    gone = delete_version(found, with_alias)
    print(f"{found.place}: deleted" + (f"; it was the last version of {name}" if gone else ""))


def _labelled(data: str, change: list[str] | None, split: str, texts: dict[str, Any]) -> "Labelled":
    from pipeline.config import read_config
    from pipeline.data_config import DataConfig, Texts
    from pipeline.docs_corpus import SPLITS
    from pipeline.promotion import Labelled
    from pipeline.readers import SUFFIXES, data_file

    for value, known, hint in ((texts["format"], SUFFIXES.values(), "--format"), (split, SPLITS, "--split")):
        if value not in (None, *known):
            raise typer.BadParameter(f"'{value}'; expected one of {', '.join(known)}", param_hint=hint)
    if Path(data).suffix in (".yaml", ".yml"):
        return Labelled(data, config=read_config(DataConfig, Path(data), change), split=split)
    if change:
        raise typer.BadParameter(f"changes a config; {data} is none", param_hint="--set")
    data_file(data)
    return Labelled(data, Texts(**texts))


def _lines_of(done: "Promotion", name: str, margin: float | None) -> list[str]:
    lines = [done.comparison["verdict"]] if done.comparison else []
    stands, before = f"models:/{name}@{done.alias}", f"; it was version {done.before}" if done.before else ""
    version = done.place.rpartition("/")[2]
    if done.outcome == "current":
        return [f"{stands} is version {version} already"]
    if done.refused:
        allowed = "all of the interval is below 0" if margin is None else f"the interval goes below -{margin:g}"
        stays = f"{stands} stays version {done.before}"
        return [*lines, f"refused, as {allowed}: {stays}; --force promotes {version} all the same"]
    if done.outcome == "forced":
        lines.append("not compared" if not done.comparison else "promoted by --force")
    lines.append(f"{stands} is version {version} now{before}")
    return lines


def _told(version: "Version | None") -> str | None:
    return f"{version.version}: {_score(version) or 'no score'}" if version else None


def _score(version: "Version") -> str | None:
    from pipeline.model_versions import main_score

    found = main_score(version.scores)
    return found and f"{found[0]} {found[1]:.4f}"


def _aliases(version: "Version") -> str:
    return " ".join(f"@{alias}" for alias in version.aliases)


def _short(place: str | None) -> str | None:
    return place and place.removeprefix("models:/")


def _print_rows(head: tuple, rows: list[tuple]) -> None:
    table = [[str(cell) if cell else "-" for cell in row] for row in rows]
    widths = [max(len(row[k]) for row in [head, *table] if k < len(row)) for k in range(len(head))]
    for row in [head, *table]:
        print("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=False)).rstrip())
