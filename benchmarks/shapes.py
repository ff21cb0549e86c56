"""Which shape of biLM fits into 16 MB and two cores? Speed, size and perplexity by shape.

    python benchmarks/shapes.py ../shared/data/ewt/train.conllu
    python benchmarks/shapes.py ../shared/data/ewt/train.conllu --train runs/text/train --held-out runs/text/validation

Each shape, with random weights, embeds 40,000 words of the first file that it has not met but for a warm-up; megabytes
are those of float16, before gzip and without a softmax.
With --train it is also trained on so many words, all shapes on the same, and its perplexity measured; that takes some
five minutes a shape on two cores.
"""

import argparse
import os
import time
from itertools import islice
from pathlib import Path
from statistics import median

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from embeddings import BiLMOptions, Embedder
from embeddings.bilm import BiLM
from embeddings.perplexity import perplexity
from embeddings.pretraining import pretrain
from embeddings.settings import PretrainingSettings
from embeddings.vocabulary import Vocabulary
from embeddings.weights import parameters
from pipeline.corpora import Corpus
from pipeline.readers import read_sentences

FEW = ((1, 32), (2, 32), (3, 64), (4, 128), (5, 256))
MANY = (*FEW, (6, 512), (7, 1024))
SHAPES = [
    BiLMOptions(projection=projection, cells=cells, filters=filters, highways=1, max_characters=32)
    for cells, projection, filters in (
        (1024, 128, MANY),
        (1024, 128, FEW),
        (768, 128, FEW),
        (768, 192, FEW),
        (512, 256, FEW),
        (1024, 192, FEW),
        (1024, 256, FEW),
    )
]
SETTINGS = PretrainingSettings(batch_size=64, objective="sampled", samples=2048, clip_norm=1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", type=Path, help="to embed; a file of sentences")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--train", help="text to train on, a sentence a line, words apart")
    parser.add_argument("--held-out", help="text to measure the perplexity of")
    parser.add_argument("--words", type=int, default=1_000_000, help="to train on (default a million)")
    args = parser.parse_args()
    sentences = [sentence for sentence in read_sentences(args.text) if sentence]
    warm_up, counted = sentences[:300], sentences[300:2600]
    bilms = [BiLM(options) for options in SHAPES]
    seconds: list[list[float]] = [[] for _ in SHAPES]
    for _ in range(args.rounds):
        for bilm, taken in zip(bilms, seconds, strict=True):
            taken.append(time_of(bilm, warm_up, counted))
    for options, taken in zip(SHAPES, seconds, strict=True):
        told = f"{options.cells}/{options.projection}, {options.features} filters: "
        told += f"{2 * parameters(options) / 1e6:.1f} MB, {sum(map(len, counted)) / median(taken):,.0f} words/s"
        if args.train:
            told += f", perplexity {perplexity_of(options, args):.1f}"
        print(told, flush=True)


def time_of(bilm: BiLM, warm_up: list[list[str]], counted: list[list[str]]) -> float:
    # A new one each time, for it keeps the vectors of the words that it has read.
    embedder = Embedder(bilm)
    for _ in embedder.embed(warm_up):
        pass
    began = time.perf_counter()
    for _ in embedder.embed(counted):
        pass
    return time.perf_counter() - began


def perplexity_of(options: BiLMOptions, args: argparse.Namespace) -> float:
    """After training, the mean of both directions."""
    text = list(islice(Corpus(args.train, "whitespace", shuffle=100_000, seed=1), args.words // 20))
    vocabulary = Vocabulary.build(text, 20_000, min_count=2)
    batches = sum(len(words) + 2 for words in text) // (SETTINGS.batch_size * SETTINGS.steps) - 10
    model = pretrain(options, vocabulary, text, batches, SETTINGS, lambda progress: None)
    forward, backward = perplexity(model, vocabulary, Corpus(args.held_out, "whitespace"), SETTINGS)
    return (forward + backward) / 2


if __name__ == "__main__":
    main()
