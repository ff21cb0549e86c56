import pytest

from embeddings.tokenizer import tokenize, tokens_of_words, words

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
