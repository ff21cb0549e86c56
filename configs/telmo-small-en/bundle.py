"""Make of the trained biLM what Telmo carries: at most 16 MB.

python configs/telmo-small-en/bundle.py runs/telmo-small-en runs/text/validation embeddings/pretrained/telmo-small-en

The weights become float16, of whose 10 bits of mantissa the last 3 are rounded to zero, so that gzip makes three
quarters of them. The softmax keeps its most frequent words; the probability of all others becomes that of `<UNK>`,
whose row is fitted to it by least squares over the hidden states of a text.
"""

import argparse
import sys
from itertools import islice
from pathlib import Path

import h5py
import numpy as np
from scipy.special import logsumexp

from embeddings.adaptation import continued
from embeddings.atomic import atomic_folder
from embeddings.language_model import DIRECTIONS
from embeddings.perplexity import perplexity
from embeddings.published import FILES, VOCABULARY, WEIGHTS, write_published
from embeddings.settings import PretrainingSettings
from embeddings.source import find_source
from embeddings.vocabulary import FRAMES, Vocabulary
from embeddings.weights import SOFTMAX
from embeddings.word_predictor import BACKWARD, FORWARD, WordPredictor
from pipeline.corpora import Corpus

BITS = 7
"""Of the mantissa that stay."""
UNKNOWN = FRAMES.index("<UNK>")
"""Row of `<UNK>`."""
SENTENCES = 1500
"""Read to fit that row to."""
TEXT = 100_000
"""Sentences among which those are drawn: more than the held-out text has."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="what `telmo pretrain` wrote")
    parser.add_argument("text", help="one sentence a line, to fit the row of <UNK> to")
    parser.add_argument("target", type=Path)
    parser.add_argument("--words", type=int, default=13_500, help="that the softmax keeps (default 13500)")
    args = parser.parse_args()

    stored = find_source(args.source)
    if stored.vocabulary[: len(FRAMES)] != FRAMES:
        parser.error(f"{args.source}: expected a vocabulary that begins with {', '.join(FRAMES)}")
    arrays, counts = stored.arrays(), stored.counts.copy()
    kept = slice(args.words)
    hidden = hidden_states(args.source, islice(Corpus(args.text, "whitespace", shuffle=TEXT, seed=1), SENTENCES))
    kernel, bias = (arrays[key] for key in SOFTMAX)
    kernel[UNKNOWN], bias[UNKNOWN] = row_of_all(hidden, kernel, bias, args.words)
    counts[UNKNOWN] += counts[args.words :].sum()
    arrays |= {key: arrays[key][kept] for key in SOFTMAX}
    vocabulary = Vocabulary(stored.vocabulary[kept], counts[kept])

    with atomic_folder(args.target, FILES) as folder:
        write_published(folder, stored.options, {}, vocabulary.words)
        vocabulary.write_counts(folder / VOCABULARY)
        with h5py.File(folder / WEIGHTS, "w") as file:
            for key, array in arrays.items():
                file.create_dataset(key, data=rounded(array), compression="gzip", compression_opts=9, shuffle=True)
    for name, place in (("trained", args.source), ("bundled", args.target)):
        ways = " and ".join(
            f"{value:.1f} {way}" for way, value in zip(DIRECTIONS, measured(place, args.text), strict=True)
        )
        print(f"{name}: perplexity {ways}", flush=True)
    size = sum(path.stat().st_size for path in args.target.iterdir())
    print(f"{args.target}: {size:,} bytes, {len(vocabulary):,} words in the softmax")
    sys.exit(0 if size <= 16_000_000 else "more than 16,000,000 bytes: fewer --words")


def measured(place: Path, text: str) -> tuple[float, ...]:
    """Perplexity on a text, forward and backward."""
    stored, settings = find_source(place), PretrainingSettings(batch_size=32)
    vocabulary = Vocabulary(stored.vocabulary)
    model, _ = continued(stored, vocabulary, settings)
    return perplexity(model, vocabulary, Corpus(text, "whitespace"), settings)


def hidden_states(source: Path, sentences) -> np.ndarray:
    """The top layers of both directions after every word, `[words, projection]`."""
    predictor = WordPredictor.load(source)
    framed = [["<S>", *sentence, "</S>"] for sentence in sentences]
    return np.concatenate([predictor.read(way, words)[0] for way in (FORWARD, BACKWARD) for words in framed])


def row_of_all(hidden: np.ndarray, kernel: np.ndarray, bias: np.ndarray, words: int) -> tuple[np.ndarray, float]:
    """Weights and bias of a word whose probability is that of `<UNK>` and all words from number `words` on."""
    rows = np.r_[UNKNOWN, words : len(kernel)]
    logits = [
        logsumexp(part @ kernel[rows].T + bias[rows], axis=1)
        for part in np.array_split(hidden, len(hidden) // 1000 + 1)
    ]
    inputs = np.column_stack([hidden, np.ones(len(hidden))]).astype(np.float64)
    fitted, *_ = np.linalg.lstsq(inputs, np.concatenate(logits), rcond=None)
    return fitted[:-1].astype(np.float32), float(fitted[-1])


def rounded(array: np.ndarray) -> np.ndarray:
    """As float16 with `BITS` bits of mantissa."""
    mantissa, exponent = np.frexp(array.astype(np.float32))
    return np.ldexp(np.round(mantissa * 2 ** (BITS + 1)) / 2 ** (BITS + 1), exponent).astype(np.float16)


if __name__ == "__main__":
    main()
