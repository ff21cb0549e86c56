"""What a person reads first of a run, in Markdown: what it is, on which data, how good it is, and what is next."""

from collections.abc import Mapping, Sequence


def run_report(
    what: str,
    scores: Mapping[str, float | tuple[float, float, float]],
    facts: Sequence[str] = (),
    commands: Sequence[str] = (),
) -> str:
    """Short Markdown.

    Args:
        what: one sentence.
        scores: by name; with the ends of its interval, if there is one.
        facts: lines.
        commands: to go on with.
    """
    lines = [what, ""]
    if scores:
        lines += ["| | |", "|---|---|", *(f"| {name} | {_number(value)} |" for name, value in scores.items()), ""]
    lines += [f"- {fact}" for fact in facts]
    if commands:
        lines += ["", "```sh", *commands, "```"]
    return "\n".join(lines)


def _number(value: float | tuple[float, float, float]) -> str:
    if isinstance(value, tuple):
        return "{:.4f} ({:.4f} to {:.4f})".format(*value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
