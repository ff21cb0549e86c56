"""Docstrings of an installed library as sentences, with the places of inline code in them. Nothing of the library is
run."""

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Prose(NamedTuple):
    """A text without markup, and which parts of it, `text[start:end]`, the author had marked as code."""

    text: str
    code: list[tuple[int, int]]


def docstrings(file: Path, module: str) -> Iterator[tuple[str, str]]:
    """The documented objects of a source file: dotted name and docstring. A file that does not parse has none."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return
    yield from _documented(tree, module)


def _documented(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef, name: str):
    if docstring := ast.get_docstring(node, clean=False):
        yield name, inspect.cleandoc(docstring)
    for child in node.body:
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _documented(child, f"{name}.{child.name}")


_FENCE = re.compile(r"\s*(```|~~~)")
_DOCTEST = re.compile(r"\s*(>>>|\$ |In \[)")
_DIRECTIVE = re.compile(r"\s*\.\. ")
_TABLE_OR_RULE = re.compile(r"\s*([|+=\-~^*#_]{3,}|\||#)")
# What opens a paragraph of its own: a bullet, "name (type): " of the Google style, ":param name:" of Sphinx.
_OPENING = re.compile(
    r"([-*+•]|\d+[.)])\s+"
    r"|\*{0,2}`{0,2}\w+`{0,2}( \([^)]*\))?:\s+(?=\S)"
    r"|:(param|r?type|returns?|raises?|arg)\b[^:]*:\s*"
)


def paragraphs(docstring: str) -> Iterator[str]:
    """The text of a docstring, a paragraph a string: without code blocks, doctests, directives, tables, and the names
    of parameters."""
    gathered: list[str] = []
    indent, opened = 0, False
    for line in [*_without_literals(docstring), ""]:
        text = line.lstrip()
        depth = len(line) - len(text)
        opening = _OPENING.match(text)
        # What follows a bullet or a field may hang below it; other text keeps its indentation.
        if not text or opening or (depth != indent and not (opened and depth > indent)):
            if gathered:
                yield " ".join(gathered)
            gathered, indent, opened = [], depth, bool(opening)
            text = text[opening.end() :] if opening else text
        if text:
            gathered.append(text.rstrip())


def _without_literals(docstring: str) -> Iterator[str]:
    """The lines of a docstring; one of code or of a table is given as an empty line."""
    fenced = doctest = False
    literal_above: int | None = None  # indentation of the "::" or directive whose deeper lines are literal
    for line in docstring.splitlines():
        depth = len(line) - len(line.lstrip())
        fence = bool(_FENCE.match(line))
        fenced ^= fence
        doctest = bool(line.strip()) and (doctest or bool(_DOCTEST.match(line)))
        if line.strip() and literal_above is not None and depth <= literal_above:
            literal_above = None
        literal = fence or fenced or doctest or literal_above is not None or bool(_TABLE_OR_RULE.match(line))
        if literal_above is None and (_DIRECTIVE.match(line) or line.rstrip().endswith("::")):
            literal_above = depth
            literal = literal or bool(_DIRECTIVE.match(line))
        yield "" if literal else line


# Inline markup: ``code``, :role:`target`, `text <target>`_, [text](address), `code`, **strong**, *emphasis*, and
# [1]_, a footnote.
_MARKUP = re.compile(
    r"``(?P<literal>.+?)``"
    r"|:[\w:+-]+:`(?P<role>[^`]+)`"
    r"|`(?P<link>[^`<]+?)\s*<[^`>]*>`__?"
    r"|\[(?P<anchor>[^\]]+)\]\([^)]*\)"
    r"|`(?P<single>[^`]+)`(?P<reference>__?\b)?"
    r"|\*\*(?P<strong>[^\s*][^*]*)\*\*"
    r"|(?<!\w)\*(?P<emphasis>[^\s*][^*]*)\*(?!\w)"
    r"|\s*\[[\w#*]+\]_"
)


def without_markup(paragraph: str) -> Prose:
    """Remove inline markup and keep where inline code was: double and single backticks and roles.

    >>> without_markup("Calls :func:`~os.path.join` on ``a``.")
    Prose(text='Calls join on a.', code=[(6, 10), (14, 15)])
    """
    parts: list[str] = []
    code: list[tuple[int, int]] = []
    length = read = 0
    for match in _MARKUP.finditer(paragraph):
        before = paragraph[read : match.start()]
        shown, is_code = _shown(match)
        if is_code and shown:
            code.append((length + len(before), length + len(before) + len(shown)))
        parts += [before, shown]
        length += len(before) + len(shown)
        read = match.end()
    return Prose("".join(parts) + paragraph[read:], code)


def _shown(match: re.Match[str]) -> tuple[str, bool]:
    """What a reader sees of a piece of markup, and whether it is code."""
    found = match.groupdict()
    if role := found["role"]:
        if titled := re.fullmatch(r"(.+?)\s*<[^>]*>", role):
            return titled[1], True
        return (role.rsplit(".", 1)[-1] if role.startswith("~") else role.lstrip("!")), True
    if found["reference"] is not None:
        return found["single"], False
    if marked := found["literal"] or found["single"]:
        return marked.strip(), True
    return found["link"] or found["anchor"] or found["strong"] or found["emphasis"] or "", False
