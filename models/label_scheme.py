"""How tags mark spans of words: the schemes BIO, IOB1, BIOUL and BMES.

    BIO     B-X begins a span, I-X goes on with it, O is no span (IOB2)
    IOB1    I-X, but B-X where a span stands right behind another of its kind (Ramshaw and Marcus 1995)
    BIOUL   as BIO, with L-X for the last word of a span and U-X for a span of one word (Ratinov and Roth 2009)
    BMES    B-X, M-X and E-X for a span's first, middle and last word, S-X for a span of one word; every word is in a
            span, as in Chinese word segmentation (Xue 2003)

Nothing here is heavy to load.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

Scheme = Literal["BIO", "IOB1", "BIOUL", "BMES"]
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)

_BEGIN, _ALONE = {"B", "U", "S"}, {"U", "S"}
_LAST = {"L", "E"} | _ALONE
_PARTS = {"I", "M"} | _BEGIN | _LAST


def split_tag(tag: str) -> tuple[str, str]:
    """A tag's part and its label: `("B", "PER")`, or `("O", "")` of a tag that marks no span."""
    part, dash, label = tag.partition("-")
    return (part, label) if dash and part in _PARTS else ("O", "")


def marks_spans(labels: Sequence[str]) -> bool:
    """Whether tags are those of a scheme, such as `B-X`, `I-X` and `O`."""
    return all(label == "O" or split_tag(label)[0] != "O" for label in labels) and set(labels) != {"O"}


def spans_of_tags(tags: Sequence[str]) -> list[tuple[str, int, int]]:
    """The spans that tags of any scheme mark, by the CoNLL definition (`conlleval`): a tag that goes on with no span of
    its label begins one.

    Returns:
        Label, first word, and the word after the last.

    >>> spans_of_tags(["I-X", "B-X", "L-X", "U-Y", "O"])
    [('X', 0, 1), ('X', 1, 3), ('Y', 3, 4)]
    """
    spans: list[tuple[str, int, int]] = []
    open_label = None
    for k, (part, label) in enumerate(map(split_tag, tags)):
        if part == "O":
            open_label = None
            continue
        if part in _BEGIN or label != open_label:
            spans.append((label, k, k + 1))
        else:
            spans[-1] = (label, spans[-1][1], k + 1)
        open_label = None if part in _LAST else label
    return spans


def scheme_of(labels: Sequence[str]) -> Scheme | None:
    """The scheme of a label set, or None if its tags mark no spans; IOB1 and BIO have the same labels, and the answer
    is then BIO."""
    if not marks_spans(labels):
        return None
    parts = {split_tag(label)[0] for label in labels}
    if parts & {"L", "U"}:
        return "BIOUL"
    return "BMES" if parts & {"M", "E", "S"} else "BIO"


def scheme_of_texts(texts: Sequence[Sequence[str]]) -> Scheme | None:
    """The scheme of the tags of texts, or None if they mark no spans. IOB1 is told from BIO by spans that begin with
    `I`, where no `B` begins one that need not."""
    scheme = scheme_of(sorted({tag for tags in texts for tag in tags}))
    if scheme != "BIO":
        return scheme
    begins = set()
    for tags in texts:
        for label, first, _ in spans_of_tags(tags):
            behind = first > 0 and split_tag(tags[first - 1])[1] == label
            begins.add((split_tag(tags[first])[0], behind))
    return "IOB1" if ("I", False) in begins and ("B", False) not in begins else "BIO"


def to_scheme(tags: Sequence[str], scheme: Scheme) -> list[str]:
    """The tags of the same spans in another scheme."""
    return tags_of_spans(spans_of_tags(tags), len(tags), scheme)


def labels_in_scheme(labels: Sequence[str], scheme: Scheme) -> list[str]:
    """All tags that a scheme has for the kinds of spans that labels name, `O` first if spans leave words out.

    >>> labels_in_scheme(["O", "I-X"], "BIOUL")
    ['O', 'B-X', 'I-X', 'L-X', 'U-X']
    """
    kinds = sorted({split_tag(label)[1] for label in labels} - {""})
    outside = ["O"] if scheme != "BMES" or "O" in labels else []
    return outside + [f"{part}-{kind}" for kind in kinds for part in _RULES[scheme].parts]


def tags_of_spans(spans: Sequence[tuple[str, int, int]], words: int, scheme: Scheme) -> list[str]:
    """The tags that mark spans in a scheme, `O` for the other words.

    Args:
        spans: as `spans_of_tags` gives them.
        words: number of words.
        scheme: of the tags.

    >>> tags_of_spans([("X", 0, 3), ("Y", 3, 4)], 5, "BIOUL")
    ['B-X', 'I-X', 'L-X', 'U-Y', 'O']
    """
    first, middle, last, alone = list({"BIO": "BIIB", "IOB1": "IIII", "BIOUL": "BILU", "BMES": "BMES"}[scheme])
    tags = ["O"] * words
    before: tuple[str, int, int] | None = None
    for span in spans:
        label, start, end = span
        parts = [alone] if end - start == 1 else [first, *[middle] * (end - start - 2), last]
        if scheme == "IOB1" and before and (before[0], before[2]) == (label, start):
            parts[0] = "B"
        tags[start:end] = [f"{part}-{label}" for part in parts]
        before = span
    return tags


def allowed_transitions(scheme: Scheme, labels: Sequence[str]) -> tuple[list[list[bool]], list[bool], list[bool]]:
    """Which tags may follow one another.

    Args:
        scheme: of the labels.
        labels: the K tags.

    Returns:
        `[K, K]`, from tag to tag; `[K]`, whether a path may begin with the tag; `[K]`, whether it may end so.
    """
    # As the published CRF taggers were decoded, a tag's first character is its part and all that follows its label.
    read = [(label[:1], label[1:]) for label in labels]
    rules = _RULES[scheme]

    def may_follow(before: tuple[str, str], after: tuple[str, str]) -> bool:
        if after[0] in rules.anew and before[0] in (rules.done or before[0]):
            return True
        return before[1] == after[1] and before[0] in rules.open and after[0] in rules.on

    return (
        [[may_follow(before, after) for after in read] for before in read],
        [part in rules.begin for part, _ in read],
        [part in rules.end for part, _ in read],
    )


class _Rules(NamedTuple):
    begin: str  # parts that may begin a path
    end: str  # and end it
    done: str  # parts behind which a span, or none, may start anew; empty for all
    anew: str  # the parts that do so
    open: str  # parts behind which a span of their label may go on
    on: str  # the parts that do so

    @property
    def parts(self) -> str:
        """All parts but `O`."""
        return "".join(sorted(set(self.begin + self.end + self.anew + self.open + self.on) - {"O"}))


_RULES = {
    "BIO": _Rules(begin="OB", end="OBI", done="", anew="OB", open="BI", on="I"),
    "IOB1": _Rules(begin="OI", end="OBI", done="", anew="OI", open="BI", on="B"),
    "BIOUL": _Rules(begin="OBU", end="OLU", done="OLU", anew="OBU", open="BI", on="IL"),
    "BMES": _Rules(begin="BS", end="ES", done="ES", anew="BS", open="BM", on="ME"),
}
