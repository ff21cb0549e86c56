"""The memory of a pretraining from its first words to its last.

    python benchmarks/memory.py --train '../shared/data/books/*.xz'

Trains a small biLM once over the whole text, shuffled in a buffer as one would, and prints the resident set after every
tenth of the batches, and the ratio of the one at 90% to the one at 10%. Linux only.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

CONFIG = {
    "tokenizer": "whitespace",
    "vocabulary": 20_000,
    "shuffle": 20_000,
    "bilm": {"projection": 16, "cells": 32, "layers": 1, "filters": [[1, 8], [3, 24]], "highways": 0},
    "training": {"batch_size": 256, "steps": 20, "objective": "sampled", "samples": 256, "checkpoint_every": 500},
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", required=True, help="files, a folder or a pattern")
    parser.add_argument("--epochs", type=float, default=1.0)
    parser.add_argument("--inputs", choices=["characters", "words"], default="characters")
    args = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from pipeline.config import PretrainConfig
    from pipeline.pretrain import pretrain_stage

    bilm = CONFIG["bilm"]
    if args.inputs == "words":
        bilm = {key: bilm[key] for key in ("projection", "cells", "layers")} | {"inputs": "words"}
    with tempfile.TemporaryDirectory() as place:
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{place}/mlflow.db"
        validation = Path(place) / "validation.txt"
        validation.write_text("The quick brown fox jumps over the lazy dog .\n" * 2000)
        values = {"output": f"{place}/bilm", "train": args.train, "validation": str(validation)}
        config = PretrainConfig.model_validate(CONFIG | values | {"bilm": bilm, "epochs": args.epochs})
        sizes, began = {}, time.perf_counter()

        def report(progress):
            tenth = 10 * progress.batch // progress.batches
            if tenth not in sizes:
                sizes[tenth] = resident()
                words = progress.batch * config.training.batch_size * config.training.steps
                seconds = time.perf_counter() - began
                print(f"{10 * tenth:3d}%  {words:11,} words  {sizes[tenth]:7.0f} MB  {seconds:5.0f} s", flush=True)

        scores = pretrain_stage(config, report)
    print(json.dumps({"words": scores["words"], "ratio of 90% to 10%": round(sizes[9] / sizes[1], 3)}))


def resident():
    """In MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    main()
