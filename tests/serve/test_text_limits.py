import pytest

from serve import text_limits
from serve.errors import TooLarge
from serve.options import ServeOptions
from serve.text_limits import check_size

OPTIONS = ServeOptions(max_texts=100, max_words=30, max_text_words=15)


@pytest.fixture
def counted(monkeypatch):
    """The texts whose words were counted."""
    found, words_of = [], text_limits.words_of

    def count(text, tokenizer):
        found.append(text)
        return words_of(text, tokenizer)

    monkeypatch.setattr(text_limits, "words_of", count)
    return found


def test_words_are_counted_no_further_than_they_may_be(counted):
    with pytest.raises(TooLarge, match="about 33 words or more in this request; expected at most 30"):
        check_size(["a " * 11] * 25, OPTIONS)
    assert len(counted) == 3


def test_what_may_be_asked_is_counted_in_full(counted):
    assert check_size(["a " * 15, ["a"] * 14, "a"], OPTIONS) == [15, 14, 1]
    with pytest.raises(TooLarge, match="about 31 words in this request"):
        check_size(["a " * 15, ["a"] * 15, "a"], OPTIONS)


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        (["a"] * 99 + ["a" * 301], r"texts\[99\] has 301 characters; expected at most 300"),
        (
            [["a" * 150, "a" * 150], "a" * 300, "a"],
            "601 characters in this request; expected at most 600",
        ),
    ],
)
def test_of_too_many_characters_no_word_is_counted(counted, texts, reason):
    with pytest.raises(TooLarge, match=reason):
        check_size(texts, OPTIONS)
    assert counted == []
