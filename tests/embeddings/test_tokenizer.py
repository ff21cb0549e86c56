import pytest

from embeddings.tokenizer import SPACE, text_of, tokenize, tokenizer_of, tokens_of_words, words, words_of_part

TEXT = "  It isn't\t“naïve” 😀,\nsays Ann.  "


@pytest.mark.parametrize("tokenizer", ["spacy", "whitespace"])
def test_every_token_stands_where_it_says(tokenizer):
    tokens = tokenize(TEXT, tokenizer)
    assert all(TEXT[token.start : token.end] == token.text for token in tokens)
    assert "".join(token.text for token in tokens) == "".join(TEXT.split())
    assert words(TEXT, tokenizer) == [token.text for token in tokens]


def test_spacy_splits_punctuation_and_contractions():
    assert [token.text for token in tokenize("It isn't, Ann.")] == ["It", "is", "n't", ",", "Ann", "."]


def test_text_without_words_has_no_tokens():
    assert tokenize(" \n\t ") == tokenize("") == tokenize(" ", "whitespace") == []


def test_words_stand_in_the_text_that_they_make():
    text, tokens = "New York !", tokens_of_words(["New", "York", "!"])
    assert [token.text for token in tokens] == text.split()
    assert all(text[token.start : token.end] == token.text for token in tokens)


def test_characters_are_words_and_white_space_is_a_sign():
    assert words(" Ann,\t 😀 é.\n", "characters") == ["A", "n", "n", ",", SPACE, "😀", SPACE, "é", "."]
    tokens = tokenize(TEXT, "characters")
    assert [token.text for token in tokens] == words(TEXT, "characters")
    assert "".join(TEXT[token.start : token.end] for token in tokens) == TEXT.strip()
    assert words(" \n ", "characters") == tokenize(" \n ", "characters") == []


@pytest.mark.parametrize("tokenizer", ["whitespace", "characters"])
def test_words_make_their_text_again(tokenizer):
    text = " ".join(TEXT.split())
    assert text_of(words(text, tokenizer), tokenizer) == text


def test_a_part_of_a_text_keeps_the_space_at_its_ends():
    assert words_of_part("It  ", "characters") == ["I", "t", SPACE]
    assert words_of_part("\n", "characters") == [SPACE] and words_of_part("", "characters") == []
    assert words_of_part(" It ", "spacy") == ["It"]


def test_a_vocabulary_tells_its_tokenizer():
    marks = ["<S>", "</S>", "<UNK>"]
    assert tokenizer_of([*marks, SPACE, "e", "é"]) == "characters"
    assert tokenizer_of([*marks, "a", "the"]) == tokenizer_of(marks) == tokenizer_of([]) == "spacy"
