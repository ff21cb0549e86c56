"""How fast, in how much memory and how well does Telmo train a biLM beside bilm-tf's own training?

python benchmarks/peers/install.py bilm_tf
python benchmarks/pretraining.py ../shared/data/books                                  # quick, both kinds of input
python benchmarks/pretraining.py ../shared/data/books --words 1500000 --rounds 1       # perplexities that tell

Both train on the same sentences of the first books with the same vocabulary, sizes, batches, sampled softmax and
dropout, each with the optimizer that its makers recommend: bilm-tf with Adagrad at 0.2, Telmo as RECOMMENDED says; and
Telmo once more with bilm-tf's (`telmo-same`). They take turns, so that a machine that slows down slows all. A word
counts once, though both directions predict it. The matmul peak is that of a product of two squares of 2,048, measured
after the training.
"""

import argparse
import json
import lzma
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from statistics import mean, median
from tempfile import TemporaryDirectory

# TensorFlow leaves settings in the environment that an older one in a peer would heed.
CLEAN = dict(os.environ)
HERE = Path(__file__).parent

import spacy  # noqa: E402

from embeddings.vocabulary import Vocabulary  # noqa: E402

SIZES = {
    "projection": 128,
    "cells": 1024,
    "layers": 2,
    "filters": [[1, 32], [2, 32], [3, 64], [4, 128], [5, 256], [6, 512], [7, 1024]],
    "character_dim": 16,
    "max_characters": 50,
    "highways": 1,
    "batch_size": 128,
    "steps": 20,
    "samples": 2048,
    "dropout": 0.1,
}
RECOMMENDED = {"optimizer": "adam", "learning_rate": 2e-3, "schedule": "cosine", "warm_up": 0.1, "clip_norm": 0.25}
SAME = {"optimizer": "adagrad", "learning_rate": 0.2, "schedule": "constant", "warm_up": 0.0, "clip_norm": 10 / 20}
"""As bilm-tf trains, which clips the gradient of a loss that is summed over the 20 steps."""
WARM_UP = 10
"""Batches at the begin that do not count, of which the first compile or allocate."""
SHARDS = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("books", type=Path, help="folder of *.txt.xz, a paragraph a line")
    parser.add_argument("--inputs", choices=["characters", "words"], help="default: both, one after the other")
    parser.add_argument("--words", type=int, default=100_000, help="to train on in each round (default 100000)")
    parser.add_argument("--rounds", type=int, default=2, help="how often each side trains (default 2)")
    parser.add_argument("--held-out", type=int, default=50_000, help="words of the last books (default 50000)")
    parser.add_argument("--vocabulary", type=int, default=50_000, help="most words to predict (default 50000)")
    parser.add_argument("--telmo", type=json.loads, default={}, help="settings in place of the recommended, as JSON")
    parser.add_argument("--peer", type=Path, help="Python; default: the one under benchmarks/peers/.envs/bilm_tf")
    arguments = parser.parse_args()

    peer = arguments.peer or HERE / "peers" / ".envs" / "bilm_tf" / "bin" / "python"
    telmo = [sys.executable, HERE / "telmo_training.py"]
    sides = {
        "bilm_tf": ([peer, HERE / "peers" / "bilm_tf_training.py"], {}),
        "telmo": (telmo, RECOMMENDED | arguments.telmo),
        "telmo-same": (telmo, SAME),
    }
    with TemporaryDirectory() as work:
        job = SIZES | write_text(Path(work), arguments) | {"batches": arguments.words // (128 * 20)}
        for inputs in [arguments.inputs] if arguments.inputs else ["characters", "words"]:
            answers: dict[str, list[dict]] = {side: [] for side in sides}
            for seed in range(1, arguments.rounds + 1):
                for side, (command, optimizer) in sides.items():
                    folder = Path(work, f"{inputs}-{seed}-{side}")
                    asked = job | {"inputs": inputs, "seed": seed, "optimizer": optimizer}
                    answers[side].append(answer(folder, command, asked))
            print_table(inputs, job, answers)


def write_text(work: Path, arguments: argparse.Namespace) -> dict:
    """Shards of the first books, held-out text of the last ones and the vocabulary; what a job says of them."""
    books = sorted(arguments.books.glob("*.txt.xz"))
    # Some more than is trained on, since the last sentences do not fill all streams.
    training = list(first_words(sentences(books[:-1]), arguments.words + 20_000))
    held_out = list(first_words(sentences(books[-1:]), arguments.held_out))
    size = -(-len(training) // SHARDS)
    for k in range(SHARDS):
        write_sentences(work / f"train-{k:02}.txt", training[k * size : (k + 1) * size])
    write_sentences(work / "held-out.txt", held_out)
    vocabulary = Vocabulary.build(training, arguments.vocabulary, min_count=2)
    vocabulary.write(work / "vocabulary.txt")
    words = sum(map(len, training))
    return {
        "shards": str(work / "train-*.txt"),
        "held_out": str(work / "held-out.txt"),
        "vocabulary": str(work / "vocabulary.txt"),
        "vocabulary_size": len(vocabulary),
        # Share of the words of Telmo's streams that are in bilm-tf's, which leaves out one frame word of two.
        "counted": (words + len(training)) / (words + 2 * len(training)),
    }


def sentences(books: Iterable[Path]) -> Iterator[list[str]]:
    """Words of sentences, as spaCy's rules cut paragraphs."""
    english = spacy.blank("en")
    english.add_pipe("sentencizer")
    for path in books:
        with lzma.open(path, "rt", encoding="utf-8") as file:
            for paragraph in english.pipe(map(str.strip, file)):
                for sentence in paragraph.sents:
                    yield " ".join(word.text for word in sentence).split()


def first_words(found: Iterable[list[str]], most: int) -> Iterator[list[str]]:
    for words in found:
        if words and most > 0:
            yield words
        most -= len(words) + 1
        if most <= 0:
            return


def write_sentences(path: Path, found: Iterable[list[str]]) -> None:
    path.write_text("".join(" ".join(words) + "\n" for words in found), "utf-8")


def answer(folder: Path, command: list, job: dict) -> dict:
    """What one side writes of its training, in a process of its own."""
    folder.mkdir()
    (folder / "job.json").write_text(json.dumps(job), "utf-8")
    done = subprocess.run([*command, folder / "job.json"], env=CLEAN, check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{command[-1].name} failed:\n{done.stderr[-4000:]}")
    return json.loads((folder / "answer.json").read_text("utf-8"))


def print_table(inputs: str, job: dict, answers: dict[str, list[dict]]) -> None:
    print(f"\n{inputs}: {job['batches']} batches of 128 x 20 words, vocabulary of {job['vocabulary_size']}")
    print(f"{'':20} {'words/s':>9} {'of rounds':>15} {'peak MB':>9} {'forward':>9} {'backward':>9} {'average':>9}")
    rows = {}
    for side, rounds in answers.items():
        by_round = [128 * 20 / median(found["seconds"][WARM_UP:]) for found in rounds]
        speed = 128 * 20 / median(x for found in rounds for x in found["seconds"][WARM_UP:])
        both = [mean(found["perplexities"][k] for found in rounds) for k in range(2)]
        rows[side] = speed, max(found["peak"] for found in rounds) / 1e6, *both, mean(both)
        print_row(side, rows[side], f"{min(by_round):.0f}-{max(by_round):.0f}", "9.0f", "9.1f")
    peer = rows.pop("bilm_tf")
    for side, row in rows.items():
        ratios = [ours / theirs for ours, theirs in zip(row, peer, strict=True)]
        print_row(f"{side} / bilm_tf", ratios, "", "9.2f", "9.3f")
    shares = ", ".join(f"{found['share_of_peak']:.0%}" for found in answers["telmo"])
    print(f"telmo's matrix products, those that the words need, ran at {shares} of the matmul peak")


def print_row(name: str, numbers: Sequence[float], spread: str, size: str, quality: str) -> None:
    speed, memory, *perplexities = numbers
    told = "".join(f" {x:{quality}}" for x in perplexities)
    print(f"{name:20} {speed:{size}} {spread:>15} {memory:{size}}{told}")


if __name__ == "__main__":
    main()
