"""Text as the windows that truncated backpropagation trains on."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from embeddings.spelling import Spelling
from embeddings.vocabulary import Vocabulary
from embeddings.word_table import WordTable


def windows(
    sentences: Iterable[Sequence[str]],
    vocabulary: Vocabulary,
    batch_size: int,
    steps: int,
    spelling: Spelling,
) -> Iterator[dict[str, np.ndarray]]:
    """Cut sentences into the batches that `LanguageModel` takes, in constant memory.

    Every row of a batch is a stream: framed sentences one after the other, taken from the common supply as the row
    runs out. The backward stream of a row holds the same sentences in the same order, each from its end to its begin.
    The last incomplete batch is dropped.

    Args:
        sentences: lists of words.
        vocabulary: the words to predict.
        batch_size: streams.
        steps: words of a window.
        spelling: of the biLM.

    Yields:
        The dict that `LanguageModel` describes.
    """
    supply = iter(sentences)
    table = WordTable(spelling)
    numbers = np.empty(0, np.int32)
    streams: list[list[np.ndarray]] = [[np.empty((2, 0), np.int32)] for _ in range(batch_size)]
    held = np.zeros(batch_size, int)
    while True:
        for k, stream in enumerate(streams):
            # One word more than a window, since the last one is predicted too.
            while held[k] <= steps:
                sentence = next(supply, None)
                if sentence is None:
                    return
                rows = table.framed_rows(sentence)
                stream.append(np.stack([rows, rows[::-1]]))
                held[k] += len(rows)
            streams[k] = [np.concatenate(stream, axis=1)]
        if len(numbers) < len(table):
            numbers = np.concatenate([numbers, vocabulary.numbers(table.words()[len(numbers) :])])
        taken = np.stack([stream[0][:, : steps + 1] for stream in streams], axis=1)
        streams = [[stream[0][:, steps:]] for stream in streams]
        held -= steps
        unique, inputs = np.unique(taken[:, :, :-1], return_inverse=True)
        inputs = inputs.reshape(2, batch_size, steps).astype(np.int32)
        following = numbers[taken[:, :, 1:]]
        yield {
            "words": spelling.trim(table.ids[unique]).astype(np.int32),
            "forward": inputs[0],
            "backward": inputs[1, :, ::-1],
            "forward_next": following[0],
            "backward_next": following[1, :, ::-1],
        }
        if table.full:
            words = table.words()
            table.clear()
            streams = [[_renumber(stream[0], words, table)] for stream in streams]
            numbers = np.empty(0, np.int32)


def _renumber(rows: np.ndarray, words: list[str], table: WordTable) -> np.ndarray:
    return table.rows(words[row] for row in rows.ravel()).reshape(rows.shape)
