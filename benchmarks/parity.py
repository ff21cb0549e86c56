"""Does a peer read a biLM as Telmo does? The largest difference of their vectors, over sentences and layers.

python benchmarks/peers/install.py allennlp
python benchmarks/parity.py allennlp demo/bilm demo/sentences.txt
python benchmarks/parity.py allennlp --draws 20

With --draws the options, weights and sentences of the biLMs are drawn at random, as far as the peer can take them:
Cyrillic, emoji, words of 200 bytes, empty words, sentences of one word; each batch from fresh state, and all batches
with the state carried on, also to smaller and larger ones.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np

# TensorFlow leaves settings in the environment that an older one in a peer would heed.
CLEAN = dict(os.environ)
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
HERE = Path(__file__).parent
LIMIT = 1e-5

from embeddings import BiLMOptions, Embedder, load_bilm  # noqa: E402
from embeddings.published import write_published  # noqa: E402
from embeddings.source import copy_bilm  # noqa: E402
from embeddings.weights import weight_shapes  # noqa: E402

Batch = list[list[str]]
VOCABULARY = ["<S>", "</S>", "<UNK>", "the", "cat", "Привет", "😀", "e\u0301", "漢字"]
WORDS = [*VOCABULARY[3:], "", "a", "Sat", "мир", "naïve", "x" * 200, "щ" * 100, "👩‍👩‍👧" * 11, "don't", "&lt;", "1,000"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peer", choices=["allennlp", "bilm_tf", "simple_elmo"])
    parser.add_argument("bilm", nargs="?", type=Path, help="a biLM, in any form that Telmo reads")
    parser.add_argument("sentences", nargs="?", type=Path, help="one sentence a line, words split by spaces")
    parser.add_argument("--draws", type=int, help="random biLMs in place of BILM and SENTENCES")
    parser.add_argument("--seed", type=int, default=1, help="of the draws (default 1)")
    parser.add_argument("--limit", type=int, default=200, help="sentences to compare (default 200)")
    parser.add_argument("--python", type=Path, help="default: the peer's environment under benchmarks/peers/.envs")
    arguments = parser.parse_args()
    if not arguments.draws and not arguments.sentences:
        parser.error("expected BILM and SENTENCES, or --draws")

    with TemporaryDirectory() as work:
        if arguments.draws:
            write_draws(Path(work), arguments.peer, arguments.draws, np.random.default_rng(arguments.seed))
        else:
            with arguments.sentences.open(encoding="utf-8") as file:
                sentences = [line.split() for line in islice(file, arguments.limit)]
            folder = Path(work, "0")
            (folder / "bilm").mkdir(parents=True)
            copy_bilm(arguments.bilm, folder / "bilm")
            # AllenNLP takes no empty sentence.
            write_job(folder, [[words] for words in sentences if words], stateful=False)
        python = arguments.python or HERE / "peers" / ".envs" / arguments.peer / "bin" / "python"
        script = HERE / "peers" / f"{arguments.peer}_vectors.py"
        done = subprocess.run([python, script, work], env=CLEAN, check=False, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{arguments.peer} failed:\n{done.stderr[-4000:]}")
        jobs = sorted(path.parent for path in Path(work).glob("*/job.json"))
        differences = [difference(job) for job in jobs]
    for job, found in zip(jobs, differences, strict=True):
        print(f"{job.name:24} {found:.2e}")
    print(
        f"{arguments.peer}: {len(jobs)} comparisons, largest absolute difference {max(differences):.2e}, "
        f"median {median(differences):.2e}"
    )
    sys.exit(int(max(differences) >= LIMIT))


def write_job(folder: Path, batches: list[Batch], stateful: bool) -> None:
    (folder / "job.json").write_text(json.dumps({"batches": batches, "stateful": stateful}), "utf-8")


def difference(job: Path) -> float:
    """The largest absolute difference between Telmo's vectors and those that the peer wrote."""
    asked = json.loads((job / "job.json").read_text("utf-8"))
    theirs = np.load(job / "vectors.npz")
    rows = max(map(len, asked["batches"]))
    embedder = Embedder(load_bilm(job / "bilm"), stateful=True, batch_size=rows)
    largest = 0.0
    for k, batch in enumerate(asked["batches"]):
        if not asked["stateful"]:
            embedder.reset_state()
        for row, ours in enumerate(embedder.embed(batch)):
            largest = max(largest, float(np.abs(ours - theirs[f"{k}.{row}"]).max(initial=0)))
    return largest


def write_draws(work: Path, peer: str, draws: int, random: np.random.Generator) -> None:
    for number in range(draws):
        options = draw_options(peer, random, words=peer == "bilm_tf" and number % 5 == 4)
        # Large enough for the clips to matter, too small for the LSTM to be chaotic and to magnify rounding.
        arrays = {
            key: random.normal(0, 1.5 * np.prod(shape[:-1]) ** -0.5 if len(shape) > 1 else 0.3, shape).astype("f4")
            for key, shape in weight_shapes(options)
        }
        batches = list(draw_batches(peer, random))
        for stateful in (False, True):
            folder = work / f"{number:02}-{'stateful' if stateful else 'fresh'}"
            (folder / "bilm").mkdir(parents=True)
            write_published(folder / "bilm", options, arrays, VOCABULARY)
            write_job(folder, batches, stateful)


def draw_options(peer: str, random: np.random.Generator, words: bool) -> BiLMOptions:
    """Options that the peer can take: AllenNLP knows 50 characters, skip connections and projections alone."""
    free = peer != "allennlp"
    projection = int(random.integers(3, 17))
    lstm = {
        "projection": projection,
        "cells": projection + int(random.integers(0 if free else 1, 30)),
        "layers": int(random.integers(1, 5)),
        "cell_clip": random.choice([None, 0.5, 3.0]),
        "projection_clip": random.choice([None, 0.4, 3.0]),
        "skip_connections": bool(random.integers(2)) if free else True,
    }
    if words:
        return BiLMOptions(**lstm, inputs="words", words=len(VOCABULARY), word_dim=projection, filters=())
    max_characters = int(random.choice([8, 20, 50])) if free else 50
    filters = [(int(random.integers(1, 8)), int(random.integers(1, 9))) for _ in range(random.integers(1, 5))]
    missing = projection - sum(count for _, count in filters)
    if missing >= 0:  # bilm-tf projects to fewer, or not at all
        filters.append((2, missing + int(random.integers(0 if free else 1, 4)) or 1))
    return BiLMOptions(
        **lstm,
        filters=tuple(filters),
        character_dim=int(random.integers(2, 9)),
        highways=int(random.integers(0 if free else 1, 4)),
        activation=str(random.choice(["relu", "tanh"])),
        max_characters=max_characters,
    )


def draw_batches(peer: str, random: np.random.Generator) -> Iterator[Batch]:
    """Six batches of one to five sentences of one to twelve words; the first word of all is empty."""
    for k in range(6):
        batch = [
            [str(word) for word in random.choice(WORDS, random.integers(1, 13))] for _ in range(random.integers(1, 6))
        ]
        batch[0] = [""] if k == 0 else batch[0]
        if k == 3 and peer != "allennlp":
            batch.append([])
        yield batch


if __name__ == "__main__":
    main()
