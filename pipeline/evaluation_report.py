"""An evaluation for a person: lines for the terminal, and a page that needs nothing but itself."""

from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from jinja2 import Environment
from matplotlib.figure import Figure

LABELS_SHOWN = 30
CONFUSIONS_SHOWN = 5
_PAGE = Path(__file__).with_name("evaluation.html.jinja")


def lines_of(report: Mapping[str, Any]) -> list[str]:
    """The report of `evaluate_stage` without the single mistakes."""
    name = f"{report['model']} on {report['examples']:,} examples of {report['data']}"
    lines = [f"{name} ({report['words']:,} words, sha256 {report['sha256'][:16]})", ""]
    level = f"{100 * report['level']:.0f}% interval"
    lines += _table(("metric", "value", level), ([name, *_interval(found)] for name, found in report["scores"].items()))
    if report["labels"]:
        lines += ["", *_table(("label", "precision", "recall", "f1", level, _counted(report)), _label_rows(report))]
        if len(report["labels"]) > LABELS_SHOWN:
            lines.append(f"... and {len(report['labels']) - LABELS_SHOWN:,} more labels")
    for title, key, counted in (
        ("words of a text", "lengths", "texts"),
        (_frequency_title(report), "frequencies", _counted(report)),
    ):
        rows = ([group["group"], f"{group['size']:,}", *_interval(group)] for group in report[key])
        lines += ["", *_table((title, counted, report["main"], level), rows)]
    if report["calibration"]:
        lines += ["", f"expected calibration error {report['calibration']['ece']:.4f}"]
    if report["confusions"]:
        often = report["confusions"][:CONFUSIONS_SHOWN]
        said = [f"{one['gold'] or 'none'} as {one['predicted'] or 'none'} {one['count']:,}" for one in often]
        lines.append(f"taken most often: {', '.join(said)}")
    lines.append(f"{report['wrong']:,} of {report['examples']:,} texts have a mistake")
    return lines + (["", *_comparison_lines(report, level)] if "comparison" in report else [])


def _comparison_lines(report: Mapping[str, Any], level: str) -> list[str]:
    found, own = report["comparison"], report["scores"]
    rows = (
        [
            name,
            f"{own[name]['value']:.4f}",
            f"{of['other']:.4f}",
            f"{of['difference']:+.4f}",
            f"{of['low']:+.4f} to {of['high']:+.4f}",
            _p_value(of["p"]),
        ]
        for name, of in found["scores"].items()
    )
    test = found["mcnemar"]
    return [
        *_table((f"against {found['against']}", "value", "other", "difference", level, "p"), rows),
        f"McNemar's exact test: {test['only_one']:,} {test['of']} only the first has right, "
        f"{test['only_other']:,} only the other, p {_p_value(test['p'])}",
        found["verdict"],
    ]


def html_of(report: Mapping[str, Any], figures: Mapping[str, Figure]) -> str:
    """The whole report as one page of HTML that loads nothing."""
    page = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(_PAGE.read_text("utf-8"))
    return page.render(
        report=report,
        figures={name: _embedded(figure) for name, figure in figures.items()},
        mistakes=[mistake | {"shown": _shown(mistake, report["task"])} for mistake in report["mistakes"]],
        frequency_title=_frequency_title(report),
        comparison=_comparison_lines(report, "")[-2:] if "comparison" in report else [],
    )


def _shown(mistake: Mapping[str, Any], task: str) -> list[tuple[str, str, str]]:
    """The words of a tagged text, each with its true tag and the one answered."""
    if task != "tagging":
        return []
    return list(zip(mistake["words"], mistake["gold"], mistake["predicted"], strict=True))


def _embedded(figure: Figure) -> str:
    image = BytesIO()
    figure.savefig(image, format="png", dpi=110)
    return f"data:image/png;base64,{b64encode(image.getvalue()).decode()}"


def _label_rows(report: Mapping[str, Any]) -> Iterator[list[str]]:
    """The frequent labels first."""
    frequent = sorted(report["labels"].items(), key=lambda one: -one[1]["support"])
    for label, of in frequent[:LABELS_SHOWN]:
        ends = f"{of['low']:.4f} to {of['high']:.4f}"
        yield [label, *(f"{of[part]:.4f}" for part in ("precision", "recall", "f1")), ends, f"{of['support']:,}"]


def _frequency_title(report: Mapping[str, Any]) -> str:
    if report["task"] == "tagging":
        return f"words seen in {report['frequency_in']}"
    return (
        f"words not in {report['frequency_in']}" if "training" in report["frequency_in"] else "words seen nowhere else"
    )


def _counted(report: Mapping[str, Any]) -> str:
    """What has a label."""
    if report["task"] != "tagging":
        return "texts"
    return "spans" if report["main"] == "f1" else "words"


def _p_value(p: float) -> str:
    return f"{p:.4f}" if p >= 0.0001 else "<0.0001"


def _interval(found: Mapping[str, float]) -> list[str]:
    return [f"{found['value']:.4f}", f"{found['low']:.4f} to {found['high']:.4f}"]


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Columns of text, the first to the left and the others to the right."""
    table = [titles, *rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(f"{cell:{'<' if k == 0 else '>'}{widths[k]}}" for k, cell in enumerate(row)).rstrip() for row in table
    ]
