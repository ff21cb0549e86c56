"""The stage `embed`: a corpus to a store of vectors."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import tee
from pathlib import Path

from embeddings.atomic import check_file
from embeddings.embedder import Embedder
from embeddings.errors import InputError
from embeddings.source import load_bilm
from embeddings.store_hdf5 import write_hdf5
from embeddings.tokenizer import TokenizerName
from pipeline.readers import data_file, read_sentences


@dataclass
class Counts:
    """Sentences and words embedded so far; `empty` of the sentences have no words."""

    sentences: int = 0
    words: int = 0
    empty: int = 0


def embed_stage(
    source: str,
    corpus: str,
    output: Path,
    tokenizer: TokenizerName = "spacy",
    encoding: str = "utf-8",
    stateful: bool = False,
    report: Callable[[Counts], None] = lambda counts: None,
) -> Counts:
    """Embed each sentence of a corpus and write all layers to an HDF5 file in AllenNLP's layout.

    Args:
        source: where the biLM comes from.
        corpus: a plain text, one sentence a line, or a CoNLL-U file.
        output: the HDF5 file. A line without words becomes an array of no words, so that the keys are the numbers of
            the lines.
        tokenizer: how a line becomes words.
        encoding: of the corpus.
        stateful: read the corpus as one stream, each sentence from the LSTM state after the one before.
        report: called after each sentence.

    Raises:
        InputError: the corpus cannot be read, or has no words.
        SourceError: the biLM cannot be read.
        OutputError: the file cannot be written.
    """
    check_file(output)
    path = data_file(corpus)
    embedder = Embedder(load_bilm(source), stateful=stateful)
    counts = Counts()

    def counted(sentences: Iterator[list[str]]) -> Iterator[list[str]]:
        for sentence in sentences:
            counts.sentences += 1
            counts.words += len(sentence)
            counts.empty += not sentence
            report(counts)
            yield sentence
        if not counts.words:
            raise InputError(f"{corpus}: no words in this file; expected at least one sentence")

    sentences, again = tee(counted(read_sentences(path, tokenizer, encoding)))
    write_hdf5(output, again, embedder.embed(sentences))
    return counts
