"""Trains with Telmo as peers/bilm_tf_training.py does with bilm-tf: telmo_training.py JOB (see pretraining.py)"""

import json
import os
import resource
import sys
from collections.abc import Iterator
from glob import glob
from itertools import islice
from pathlib import Path
from statistics import mean, median

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# As `telmo pretrain` sets it.
os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "true")

from embeddings.arithmetic import matmul_peak, operations
from embeddings.characters import SENTENCE_BEGIN, SENTENCE_END
from embeddings.language_model import LanguageModel
from embeddings.options import BiLMOptions
from embeddings.pretraining import pretrain
from embeddings.settings import PretrainingSettings
from embeddings.vocabulary import Vocabulary
from embeddings.windows import Windows


def sentences(pattern: str) -> Iterator[list[str]]:
    for path in sorted(glob(pattern)):
        with open(path, encoding="utf-8") as file:
            yield from map(str.split, file)


def options_of(job: dict) -> BiLMOptions:
    sizes = {name: job[name] for name in ("projection", "cells", "layers")}
    if job["inputs"] == "words":
        words = {"words": job["vocabulary_size"], "word_dim": job["projection"], "filters": (), "highways": 0}
        return BiLMOptions(**sizes, inputs="words", **words)
    characters = {name: job[name] for name in ("character_dim", "max_characters", "highways")}
    return BiLMOptions(**sizes, **characters, filters=tuple(map(tuple, job["filters"])))


def perplexities(model: LanguageModel, vocabulary: Vocabulary, text: Iterator[list[str]], steps: int) -> list[float]:
    """Per word, forward and backward, with the full softmax, of the words that bilm-tf predicts: it begins each
    sentence with its first frame word given, which costs next to nothing where it is predicted."""
    given = vocabulary.numbers([SENTENCE_BEGIN, SENTENCE_END])
    model.reset_state()
    losses: list[list[np.ndarray]] = [[], []]
    for window in Windows(text, vocabulary, model.batch_size, steps, model.bilm.spelling):
        found = model.predict_on_batch(window)
        for k, direction in enumerate(("forward", "backward")):
            losses[k].append(found[k][window[f"{direction}_next"] != given[k]])
    return [float(np.exp(np.concatenate(parts).mean())) for parts in losses]


def arithmetic(options: BiLMOptions, shape: tuple[int, int], samples: int, distinct: np.ndarray) -> float:
    """Floating-point operations of a batch's matrix products, forward and back: those that the words need.

    Args:
        options: of the biLM.
        shape: rows and steps of a batch.
        samples: of the softmax.
        distinct: characters of each distinct word of the batch.
    """
    words = shape[0] * shape[1]
    needed = operations(options, words, options.directions * words, len(distinct), int(distinct.sum()))
    # Forward, and back to inputs and weights.
    return 3 * (needed + 2.0 * words * options.directions * samples * options.projection)


def main(path: Path) -> None:
    job = json.loads(path.read_text("utf-8"))
    vocabulary = Vocabulary.read(Path(job["vocabulary"]))
    settings = PretrainingSettings(
        batch_size=job["batch_size"],
        steps=job["steps"],
        objective="sampled",
        samples=job["samples"],
        dropout=job["dropout"],
        seed=job["seed"],
        **job["optimizer"],
    )
    seconds: list[float] = []
    options = options_of(job)
    model = pretrain(
        options,
        vocabulary,
        sentences(job["shards"]),
        job["batches"],
        settings,
        # A stream has both frame words of each sentence in it, of which bilm-tf has one.
        lambda now: seconds.append(job["batch_size"] * job["steps"] / (now.words_per_second * job["counted"])),
        report_every=1,
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    shape = job["batch_size"], job["steps"]
    spelling = model.bilm.spelling
    some = islice(Windows(sentences(job["shards"]), vocabulary, *shape, spelling), 10)
    needed = [arithmetic(options, shape, job["samples"], spelling.lengths(window["words"])) for window in some]
    answer = {
        "seconds": seconds,
        "peak": peak,
        "share_of_peak": mean(needed) / (median(seconds) * job["counted"]) / matmul_peak(tries=30),
        "perplexities": perplexities(model, vocabulary, sentences(job["held_out"]), job["steps"]),
    }
    (path.parent / "answer.json").write_text(json.dumps(answer), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
