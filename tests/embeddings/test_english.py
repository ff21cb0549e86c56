"""The words are those of spaCy's own pipeline, in bounded time and memory."""

import random
import time

import pytest
import spacy

from embeddings import english
from embeddings.english import LONGEST, document, texts_of_sentences
from embeddings.tokenizer import sentences, tokenize

PIECES = [*")(%…'\"$.-,:;/1aAk+°C é!?\n\t@“😀", "...", "'s", "km", "m²", "kmh", "US$", "http://", "www.", ".com", "a.b"]
PIECES += ["n't", "can't", "e.g.", "A.B.", ":)", "--", "  "]


@pytest.fixture(scope="module")
def pipe():
    found = spacy.blank("en")
    found.add_pipe("sentencizer")
    return found


def test_words_and_sentences_are_those_of_spacy(pipe):
    chance = random.Random(3)
    for _ in range(3000):
        text = "".join(chance.choices(PIECES, k=chance.randint(0, 25)))
        expected = pipe(text)
        assert [(word.text, word.idx) for word in document(text)] == [(word.text, word.idx) for word in expected]
        assert texts_of_sentences(text) == [sentence.text for sentence in expected.sents]


@pytest.mark.parametrize("part", [".", ")", "a", "a-", "'s", "1.", "www.a/"])
def test_a_long_string_is_looked_at_as_a_whole(pipe, part):
    for text in ((part * LONGEST)[:LONGEST], "x" + (part * LONGEST)[: LONGEST - 1]):
        assert [word.text for word in document(text)] == [word.text for word in pipe(text)]


def test_a_longer_one_is_parted_and_its_words_stand_where_they_say():
    text = f"See {'a' * (2 * LONGEST + 7)}, it {')' * (LONGEST + 1)}\n is. So."
    tokens = tokenize(text)
    assert all(text[token.start : token.end] == token.text for token in tokens)
    lengths = [len(token.text) for token in tokens]
    assert lengths == [3, LONGEST, LONGEST, 7, 1, 2, *[1] * (LONGEST + 1), 2, 1, 2, 1]
    first, second = sentences(text)
    assert (first[0], first[-2:], second) == ("See", ["is", "."], ["So", "."])
    assert document(text).text == text


@pytest.mark.parametrize("text", [")" * 8000, "a" + "'s" * 4000, "%" * 8000])
def test_a_run_of_signs_takes_no_longer_than_as_many_words(text):
    document("")
    began = time.process_time()
    assert len(document(text)) >= 4000
    # A sixtieth of it is enough, and several times as much were not where all that is left is searched.
    assert time.process_time() - began < 3


def test_memory_does_not_grow_with_the_words(pipe, monkeypatch):
    monkeypatch.setattr(english, "KEPT", 2000)
    most = 0
    for k in range(40):
        text = " ".join(f"{chr(97 + k % 26) * 3}{j:04}it" for j in range(100 * k, 100 * k + 100))
        found = document(text)
        assert [word.text for word in found] == text.split()
        most = max(most, len(found.vocab))
    assert most < 2200
