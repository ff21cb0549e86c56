"""The stage `generate`: text from a language model, as it comes."""

from collections.abc import Iterator

from embeddings.characters import SENTENCE_END
from embeddings.errors import InputError
from embeddings.generation import Generator
from embeddings.samplers import Sampler
from embeddings.tokenizer import TokenizerName, is_text, text_of, tokenizer_of, words, words_of_part
from embeddings.word_predictor import WordPredictor


def generate_stage(
    source: str,
    prompt: str,
    most_words: int,
    sampler: Sampler,
    tokenizer: TokenizerName | None = None,
    unknown: bool = False,
) -> Iterator[str]:
    """Continue a prompt.

    Args:
        source: a biLM with its softmax.
        prompt: a text, one sentence a line; the last line is continued.
        most_words: how many words are drawn.
        sampler: how.
        tokenizer: how a line becomes words; by default as the vocabulary tells.
        unknown: whether `<UNK>` may be drawn.

    Yields:
        The prompt, and then the text word by word, with the space or the end of line that goes before each.

    Raises:
        InputError: the prompt is no text.
        SourceError: the source is no language model.
    """
    if not is_text(prompt):
        raise InputError("the prompt holds bytes that are not UTF-8; expected a text")
    predictor = WordPredictor.load(source)
    tokenizer = tokenizer or tokenizer_of(predictor.vocabulary)
    *whole, last = prompt.split("\n")
    sentences = [split for line in whole if (split := words(line, tokenizer))]
    sentences.append(words_of_part(last.lstrip(), tokenizer))
    yield prompt
    space = "" if tokenizer == "characters" or not last or last[-1].isspace() else " "
    for word in Generator(predictor, sampler, unknown).generate(sentences, most_words):
        if word == SENTENCE_END:
            yield "\n"
            space = ""
        else:
            yield space + text_of([word], tokenizer)
            space = "" if tokenizer == "characters" else " "
