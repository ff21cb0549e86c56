import pytest

from pipeline.docs_corpus import _sentences, split_of
from pipeline.docstrings import docstrings, paragraphs, without_markup

DOCSTRING = """Compute the thing.

A longer text that goes
over two lines. It ends here.

Parameters
----------
x : array_like
    The input of the function. It may be
    ``None``.

Args:
  name: The name of it, with a
    second line.
  other (int): Another one.

:param z: A Sphinx field.

* A bullet that hangs
  over its line.
* The next bullet.

Example::

    this = code()

    still(code)

After the code.

>>> thing(1)
this is output

.. note::
    A note is left out.

```python
fenced = "code"
```

| a | table |
The end."""


def test_paragraphs_are_the_prose_of_a_docstring():
    assert list(paragraphs(DOCSTRING)) == [
        "Compute the thing.",
        "A longer text that goes over two lines. It ends here.",
        "Parameters",
        "x : array_like",
        "The input of the function. It may be ``None``.",
        "Args:",
        "The name of it, with a second line.",
        "Another one.",
        "A Sphinx field.",
        "A bullet that hangs over its line.",
        "The next bullet.",
        "Example::",
        "After the code.",
        "The end.",
    ]


@pytest.mark.parametrize(
    ("marked", "text", "code"),
    [
        ("Use ``a b`` and `c`.", "Use a b and c.", ["a b", "c"]),
        (":class:`~x.Y` or :func:`z <x.z>`", "Y or z", ["Y", "z"]),
        ("See `the site <address>`_ and [here](address).", "See the site and here.", []),
        ("A **strong** and *soft* word, not *args.", "A strong and soft word, not *args.", []),
        ("As shown [1]_ before, see Kingma_.", "As shown before, see Kingma_.", []),
        ("2 * 3 * 4 and ``*args``", "2 * 3 * 4 and *args", ["*args"]),
    ],
)
def test_markup_is_removed_and_code_is_kept_in_mind(marked, text, code):
    prose = without_markup(marked)
    assert prose.text == text
    assert [prose.text[start:end] for start, end in prose.code] == code


def test_objects_are_named_by_their_place_and_a_broken_file_has_none(tmp_path):
    file = tmp_path / "m.py"
    file.write_text('"""Top."""\nclass A:\n    """In A."""\n    def f(self):\n        "In f."\n')
    assert list(docstrings(file, "p.m")) == [("p.m", "Top."), ("p.m.A", "In A."), ("p.m.A.f", "In f.")]
    file.write_text("def (")
    assert list(docstrings(file, "p.m")) == []


def test_sentences_have_a_tag_for_each_word():
    paragraph = "The ``x.shape`` of it is, e.g. for an array, kept. Returns :class:`~a.Frame` or ``None, 1`` again."
    first, second = _sentences("lib", "lib.f", paragraph)
    assert first.text == "The x.shape of it is, e.g. for an array, kept."
    assert dict(zip(first.words, first.tags, strict=True))["x.shape"] == "B-CODE"
    coded = [(word, tag) for word, tag in zip(second.words, second.tags, strict=True) if tag != "O"]
    assert coded == [("Frame", "B-CODE"), ("None", "B-CODE"), (",", "I-CODE"), ("1", "I-CODE")]


def test_what_is_no_sentence_is_left_out():
    assert not list(_sentences("lib", "lib.f", "x : array_like"))
    assert not list(_sentences("lib", "lib.f", "Too short."))
    assert not list(_sentences("lib", "lib.f", "1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6."))


def test_objects_are_split_in_tenths():
    splits = [split_of(f"lib.object_{k}") for k in range(5000)]
    assert 0.07 < splits.count("test") / 5000 < 0.13 and 0.07 < splits.count("validation") / 5000 < 0.13
