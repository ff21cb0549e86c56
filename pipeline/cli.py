"""The command `telmo`.

Nothing that computes is imported before a command needs it, so that `--help` and a config error answer at once.
"""

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from embeddings.errors import InputError, TelmoError
from pipeline import cli_embed, cli_keys, cli_models, cli_serve
from pipeline.cli_options import (
    INTERRUPTED,
    Encoding,
    NoTrack,
    Track,
    check_tokenizer,
    fail,
    load_keras,
    silence_tensorflow,
    tracking,
)

# TensorFlow greets on standard error; a user's own setting wins.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

app = typer.Typer(
    name="telmo",
    help="Transfer learning for text with ELMo: pretrain, embed, train from a config, track and serve.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(cli_keys.keys)
app.add_typer(cli_models.models)

Config = Annotated[Path, typer.Argument(metavar="CONFIG", help="A YAML file; see configs/.")]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a key of the config: training.batch_size=16."),
]
Model = Annotated[str, typer.Argument(metavar="MODEL", help="A folder, runs:/RUN/model or models:/NAME@ALIAS.")]
Source = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE", help="A biLM: a folder, an archive, a TF-Hub handle, OPTIONS,WEIGHTS, or in MLflow."
    ),
]


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"telmo {version('telmo')}")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Show the version and exit.")
    ] = False,
) -> None:
    """Transfer learning for text with ELMo: pretrain, embed, train from a config, track and serve."""


@app.command()
def demo(
    output: Annotated[Path, typer.Option(help="Folder for what the demo makes.")] = Path("demo"),
    port: Annotated[int, typer.Option(help="Port of the demo's server; 0 for a free one.", min=0, max=65535)] = 0,
) -> None:
    """Run the whole pipe on the embedded default: pretrain, embed, train, track, serve, ask."""
    load_keras()
    from pipeline.demo import run_demo

    run_demo(output, port)


@app.command()
def pretrain(config: Config, change: Changes = None) -> None:
    """Train a biLM on text."""
    from pipeline.config import PretrainConfig, read_config

    read = read_config(PretrainConfig, config, change)
    # TensorFlow's own pool: every step asks for the same large arrays, and the system's takes longer and more for them.
    os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "true")
    load_keras()
    from pipeline.pretrain import pretrain_stage
    from pipeline.progress import pretraining_bar, print_notice

    with pretraining_bar() as report:
        scores = pretrain_stage(read, report, print_notice)
    told = [
        f"{scores[f'{way}_perplexity']:.1f} {way}" for way in ("forward", "backward") if f"{way}_perplexity" in scores
    ]
    print(f"{read.output}: perplexity {', '.join(told)}")


app.command()(cli_embed.embed)


@app.command()
def data(
    config: Config,
    change: Changes = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Report on the data of a training config: sizes, lengths, classes, duplicates, checksums."""
    from pipeline.config import read_config
    from pipeline.data import read_data
    from pipeline.data_config import DataConfig
    from pipeline.data_report import lines_of, report_of

    read = read_config(DataConfig, config, change)
    report = report_of(read.task, read_data(read.task, read.data))
    print(json.dumps(report, ensure_ascii=False, indent=2) if as_json else "\n".join(lines_of(report)))


@app.command()
def train(config: Config, change: Changes = None) -> None:
    """Train a head, track it in MLflow and register it."""
    from models.cores import share_cores
    from models.description import DESCRIPTION
    from pipeline.config import Seq2seqConfig, TrainConfig, read_config

    read = read_config(TrainConfig, config, change)
    share_cores(read.task, read.head, read.embedding.kind)
    load_keras()
    from pipeline.progress import print_epoch, print_notice, print_scores

    if (read.output / DESCRIPTION).exists():
        print_notice(f"{read.output}: holds a model; this training will take its place")
    epochs = []

    def report(epoch: Any) -> None:
        epochs.append(epoch.number)
        print_epoch(epoch)

    if isinstance(read, Seq2seqConfig):
        from pipeline.train_seq2seq import train_seq2seq_stage

        trained = train_seq2seq_stage(read, report)
    else:
        from pipeline.train import train_stage

        trained = train_stage(read, report)
    if epochs and epochs[-1] < read.training.epochs:
        print_notice(f"ended early: no epoch was better for {read.training.patience} (training.patience)")
    tfidf = read.embedding.kind == "tfidf"
    kept = "TF-IDF with logistic regression" if tfidf else f"weights of epoch {trained.kept_epoch}"
    print_scores(f"{read.name} on the test data ({kept})", trained.scores)
    if trained.version:
        from serve.registry import place_of

        place = place_of(read.name, trained.version)
        print(f"registered as {place}, version {trained.version}; run {trained.run_id}")
    elif trained.run_id and read.tracking.register_model:
        print(f"to be registered as models:/{read.name} when MLflow answers; telmo sync tries it")
    print(f"saved in {trained.folder}")


@app.command()
def tune(config: Config, change: Changes = None) -> None:
    """Train with many values of some keys, and find those that validate best."""
    from models.cores import share_cores
    from pipeline.tune_config import read_tuning

    read = read_tuning(config, change)
    share_cores(read.config.task, read.config.head, read.config.embedding.kind)
    load_keras()
    from pipeline.progress import print_trial
    from pipeline.tune import lines_of, tune_stage

    tuned = tune_stage(read, print_trial)
    print("\n".join(lines_of(tuned)))
    print(f"best: trial {tuned.best.number}, {tuned.metric} {tuned.best.value:.4f}; run {tuned.run_id}")
    print(f"telmo train {tuned.config}")


@app.command()
def evaluate(
    model: Model,
    data: Annotated[
        str,
        typer.Argument(metavar="DATA", help="A file of labelled texts, or the config of a training for its test data."),
    ],
    against: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Another model, to test which is better on these texts.")
    ] = None,
    text: Annotated[str | None, typer.Option(help="Column of the text or of the words.")] = None,
    label: Annotated[str | None, typer.Option(help="Column of the label or of the tags.")] = None,
    text_pair: Annotated[str | None, typer.Option(help="Column of the second text, of pairs.")] = None,
    label_separator: Annotated[
        str | None, typer.Option(help="Between the labels of a text that may have several.")
    ] = None,
    encoding: Encoding = "utf-8",
    format: Annotated[
        str | None, typer.Option(help="text, csv, tsv, jsonl, conllu, conll or parquet, if the name does not tell.")
    ] = None,
    split: Annotated[str, typer.Option(help="Of a config: train, validation or test.")] = "test",
    change: Changes = None,
    train: Annotated[
        str | None, typer.Option(help="A file of training texts, to tell words that were not seen in training.")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="HTML file for all figures and the worst mistakes.")] = None,
    worst: Annotated[int, typer.Option(help="Most mistakes in the report.", min=0)] = 100,
    plot: Annotated[Path | None, typer.Option(help="PNG file for the confusion matrix.")] = None,
    resamples: Annotated[int, typer.Option(help="Draws of the texts, for intervals and tests.", min=100)] = 1000,
    seed: Annotated[int, typer.Option(help="Of the draws.", min=0)] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object with all there is to say.")] = False,
    track: Track = None,
    no_track: NoTrack = False,
) -> None:
    """Score a trained model on labelled texts: how good it is, how sure that is, and where it fails."""
    from embeddings.atomic import check_file
    from pipeline.config import read_config
    from pipeline.data_config import DataConfig, Texts
    from pipeline.docs_corpus import SPLITS
    from pipeline.readers import SUFFIXES, data_file
    from serve.registry import find_model

    for value, known, hint in ((format, SUFFIXES.values(), "--format"), (split, SPLITS, "--split")):
        if value not in (None, *known):
            raise typer.BadParameter(f"'{value}'; expected one of {', '.join(known)}", param_hint=hint)
    for path, suffix, begins, hint in (
        (plot, ".png", b"\x89PNG", "--plot"),
        (report, ".html", b"<!DOCTYPE html>", "--report"),
    ):
        if path and path.suffix != suffix:
            raise typer.BadParameter(f"'{path}'; expected a file that ends in {suffix}", param_hint=hint)
        if path:
            check_file(path, begins)
    config = read_config(DataConfig, Path(data), change) if Path(data).suffix in (".yaml", ".yml") else None
    if train and config:
        raise typer.BadParameter(f"{data} has training texts of its own", param_hint="--train")
    if change and not config:
        raise typer.BadParameter(f"changes a config; {data} is none", param_hint="--set")
    for name in filter(None, (None if config else data, train)):
        data_file(name)
    its = find_model(model)
    other = find_model(against).folder if against else None
    load_keras()
    from pipeline.evaluate import Evaluation, evaluate_stage
    from pipeline.evaluation_report import lines_of

    asked = Evaluation(
        model=model,
        data=data,
        texts=Texts(
            text=text,
            label=label,
            text_pair=text_pair,
            label_separator=label_separator or None,
            encoding=encoding,
            format=format,  # type: ignore[arg-type]
        ),
        config=config,
        split=split,
        registered=f"models:/{its.name}/{its.version}" if its.version else None,
        train=train,
        against=against,
        resamples=resamples,
        seed=seed,
        worst=worst,
    )
    found = evaluate_stage(asked, its.folder, other, plot, report, tracking(track, no_track))
    print(json.dumps(found, ensure_ascii=False) if as_json else "\n".join(lines_of(found)))
    if report and not as_json:
        print(f"{report}: the report")


@app.command()
def predict(
    model: Model,
    texts: Annotated[
        list[str] | None,
        typer.Argument(metavar="TEXT", help="By default lines of standard input; a tab is between those of a pair."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a text, with all there is to say.")] = False,
    logits: Annotated[bool, typer.Option("--logits", help="With --json: the head's score of each label, too.")] = False,
) -> None:
    """Answer for texts."""
    from serve.registry import find_model

    if logits and not as_json:
        raise typer.BadParameter("needs --json", param_hint="--logits")

    folder = find_model(model).folder
    place = "text" if texts else "standard input line"
    # A line without words has an empty one for an answer, so that answers stand beside their texts.
    lines = texts or _standard_input()
    texts = texts or [line for line in lines if line.strip()]
    if not texts:
        raise InputError("standard input: no text; expected at least one line")
    load_keras()
    from models.predictions import to_json
    from models.predictor import Predictor
    from pipeline.progress import one_line

    predictor = Predictor.load(folder)
    asked: list = texts
    if getattr(predictor.description.head, "pairs", False):
        asked = [_pair(line, f"{place} {k}") for k, line in enumerate(lines, start=1) if line.strip()]
    answers = iter(predictor.predict(asked, logits=logits))
    for line in lines:
        prediction = next(answers) if line.strip() else None
        if as_json:
            print(json.dumps(prediction and to_json(prediction), ensure_ascii=False))
        else:
            print((prediction and one_line(line, prediction)) or "")


def _pair(text: str, place: str) -> list[str]:
    pair = text.split("\t")
    if len(pair) != 2:
        raise InputError(f"{place} has {len(pair) - 1} tabs; expected one, as this model reads pairs of texts")
    if not all(map(str.strip, pair)):
        raise InputError(f"{place} has a text without words; expected at least one in each text of the pair")
    return pair


def _standard_input() -> list[str]:
    lines: list[str] = []
    for line in sys.stdin.buffer:
        try:
            lines.append(line.rstrip(b"\r\n").decode("utf-8"))
        except UnicodeDecodeError:
            raise InputError(f"standard input line {len(lines) + 1}: not UTF-8; expected UTF-8 text") from None
    return lines


app.command()(cli_serve.serve)


@app.command()
def sync() -> None:
    """Send MLflow what it did not hear when it was told, because it did not answer."""
    from pipeline.progress import print_notice
    from pipeline.sync import runs_of, sync_stage

    runs = sync_stage(print_notice)
    print(f"{runs_of(runs)} sent" if runs else "nothing to send there")


@app.command()
def inspect(
    source: Source,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Show what a source holds: form, sizes, options, vocabulary, parameters, checksum."""
    from pipeline.inspect import inspect_stage
    from pipeline.sources import local_source

    silence_tensorflow()
    found = inspect_stage(local_source(source))
    if as_json:
        print(json.dumps(found, ensure_ascii=False, indent=2))
        return
    from pipeline.progress import print_found

    print_found(found)


@app.command()
def convert(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="A biLM in any form, or an AllenNLP archive.")],
    target: Annotated[Path, typer.Argument(metavar="TARGET", help="Where to write.")],
    to: Annotated[
        str | None,
        typer.Option(help="files, zip or saved-model; by default zip for a name that ends in .zip, else files."),
    ] = None,
) -> None:
    """Write a biLM in another form, or make a model folder of an AllenNLP archive."""
    from pipeline.convert import convert_stage
    from pipeline.sources import local_source

    silence_tensorflow()
    print(f"{target}: {convert_stage(local_source(source), target, to)}")


Tokenizer = Annotated[
    str | None,
    typer.Option(help="spacy, whitespace or characters; by default characters if the vocabulary is, else spacy."),
]


@app.command()
def generate(
    source: Source,
    prompt: Annotated[str, typer.Option(help="A text, a sentence a line; the last line is continued.")] = "",
    words: Annotated[int, typer.Option(help="Most words, or characters if each is a word.", min=1)] = 100,
    temperature: Annotated[float, typer.Option(help="Divides the logits; 0 for the most probable word.")] = 1.0,
    top_k: Annotated[int | None, typer.Option(help="Draw from so many words only, the most probable.")] = None,
    top_p: Annotated[float | None, typer.Option(help="Draw from the fewest words that have this probability.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of the draws; by default a new one, which is shown.", min=0)] = None,
    unknown: Annotated[bool, typer.Option("--unknown", help="Let <UNK> be drawn, too.")] = False,
    tokenizer: Tokenizer = None,
) -> None:
    """Continue a text with a language model, word by word."""
    import random

    from embeddings.samplers import Sampler
    from embeddings.source import find_source
    from pipeline.sources import local_source

    seed = random.randrange(2**32) if seed is None else seed
    try:
        sampler = Sampler(temperature, top_k, top_p, seed)
    except ValueError as error:
        # It begins with the name of the argument.
        name, _, found = str(error).partition(" ")
        raise typer.BadParameter(found, param_hint=f"--{name.replace('_', '-')}") from None
    check_tokenizer(tokenizer)
    source = local_source(source)
    find_source(source)
    load_keras()
    from pipeline.generate import generate_stage

    for text in generate_stage(source, prompt, words, sampler, tokenizer, unknown):  # type: ignore[arg-type]
        print(text, end="", flush=True)
    print()
    print(f"seed {seed}", file=sys.stderr)


@app.command()
def fill(
    source: Source,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="A sentence in which ___ stands for a word.")],
    top: Annotated[int, typer.Option(help="How many words.", min=1)] = 10,
    prior: Annotated[
        float, typer.Option(help="Make frequent words less probable: 1 divides by their frequency, 0 does not.", min=0)
    ] = 0.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a word.")] = False,
    tokenizer: Tokenizer = None,
) -> None:
    """Rank words for a blank by what is on both sides of it."""
    from embeddings.source import find_source
    from pipeline.sources import local_source

    check_tokenizer(tokenizer)
    source = local_source(source)
    find_source(source)
    load_keras()
    from pipeline.fill import fill_stage

    found = fill_stage(source, text, prior, tokenizer)[:top]  # type: ignore[arg-type]
    if as_json:
        for one in found:
            print(json.dumps(vars(one), ensure_ascii=False))
        return
    width = max(map(len, ["word", *(one.word for one in found)]))
    print(f"{'word':{width}}  probability  forward  backward")
    for one in found:
        print(f"{one.word:{width}}  {one.probability:11.4f}  {one.forward:7.4f}  {one.backward:8.4f}")


@app.command()
def diagnose(
    source: Source,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="A text, one sentence a line, or a CoNLL-U file.")],
    plot: Annotated[Path, typer.Option(help="PNG file for the picture.")] = Path("gradient-flow.png"),
    lags: Annotated[int, typer.Option(help="The longest distance in words.", min=2, max=1000)] = 50,
    seed: Annotated[int, typer.Option(help="Of fresh weights and random directions.", min=0)] = 1,
    tokenizer: Tokenizer = None,
    encoding: Encoding = "utf-8",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object with all figures.")] = False,
) -> None:
    """Show how an error vanishes or explodes on its way back through a text."""
    from embeddings.atomic import check_file
    from embeddings.source import find_source
    from pipeline.readers import data_file, format_of
    from pipeline.sources import local_source

    if plot.suffix != ".png":
        raise typer.BadParameter(f"'{plot}'; expected a file that ends in .png", param_hint="--plot")
    check_tokenizer(tokenizer)
    check_file(plot)
    source = local_source(source)
    find_source(source)
    format_of(data_file(text))
    load_keras()
    from embeddings.gradient_flow import Measure
    from pipeline.diagnose import diagnose_stage, lines_of

    measure = Measure(lags=lags, words=max(400, 4 * lags), seed=seed)
    found = diagnose_stage(source, text, plot, measure, tokenizer, encoding)  # type: ignore[arg-type]
    if as_json:
        print(json.dumps(found))
        return
    print("\n".join(lines_of(found)))
    print(f"{plot}: the picture")


def main(arguments: list[str] | None = None) -> None:
    """The command line: 0 done, 1 failed, 2 wrong usage; errors in one line, with `--debug` in full."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        app(arguments)
    except TelmoError as error:
        if "--debug" in arguments:
            raise
        fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        fail("interrupted", INTERRUPTED)
    except SystemExit as end:
        # Typer ends of itself, without a word.
        if end.code == INTERRUPTED:
            fail("interrupted", INTERRUPTED)
        raise
    except Exception as error:
        if "--debug" in arguments:
            raise
        fail(f"internal error: {type(error).__name__}: {error}; see all of it with telmo --debug", 1)


if __name__ == "__main__":
    main()
