"""Kill a pretraining again and again, and compare what comes out with a run that was left alone.

    python benchmarks/recovery.py --kills 20

The run is `telmo pretrain` on the docs corpus. It is killed by SIGKILL after a random time, between nothing and a bit
more than what the start takes, and begun anew by the same command; when it has been killed often enough, it may end.
Printed: how far each start came, and whether weights and logged losses are those of the run that was left alone.
"""

import argparse
import hashlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CONFIG = {
    "train": "docs:text/train",
    "validation": "docs:text/validation",
    "tokenizer": "whitespace",
    "vocabulary": 5000,
    "shuffle": 1000,
    "bilm": {"projection": 32, "cells": 128, "layers": 2, "filters": [[1, 16], [2, 16], [3, 32]], "highways": 1},
    "training": {"batch_size": 16, "steps": 20, "objective": "sampled", "samples": 500, "checkpoint_every": 20},
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--epochs", type=float, default=0.2, help="how long the run is")
    parser.add_argument("--longest", type=float, default=25.0, help="seconds that a start may live at most")
    parser.add_argument("--seed", type=int, default=1, help="of the moments")
    args = parser.parse_args()

    draw = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        config = folder / "config.json"
        # JSON is YAML, too.
        config.write_text(json.dumps(CONFIG | {"output": "bilm", "epochs": args.epochs}))

        def start(output):
            command = [sys.executable, "-m", "pipeline.cli", "pretrain", str(config), "--set", f"output={output}"]
            house = str(Path(__file__).resolve().parent.parent)
            return subprocess.Popen(
                command, cwd=folder, env=os.environ | {"PYTHONPATH": house}, stderr=subprocess.DEVNULL
            )

        began = time.perf_counter()
        if start("whole").wait():
            sys.exit("error: the run that was left alone failed")
        print(f"left alone: {time.perf_counter() - began:.0f} s")
        kills = gone_on = 0
        while True:
            process = start("killed")
            if kills < args.kills:
                try:
                    process.wait(draw.uniform(0.5, args.longest))
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGKILL)
                    process.wait()
                    kills += 1
                    found = sorted(path.name for path in (folder / "killed.checkpoints").glob("batch-*"))
                    gone_on += bool(found) and found[-1] > "batch-00000000"
                    print(f"kill {kills}: {found[-1] if found else 'no checkpoint yet'}", flush=True)
                    continue
            if process.wait():
                sys.exit("error: a start failed")
            break
        if kills < args.kills or not gone_on:
            sys.exit(f"error: {kills} kills, {gone_on} after a checkpoint; expected more: see --epochs and --longest")
        same = checksum(folder / "whole") == checksum(folder / "killed")
        print(f"weights: {'the same, bit for bit' if same else 'DIFFERENT'}")
        whole, killed = losses(folder, "whole"), losses(folder, "killed")
        furthest = max(abs(whole[step] - killed.get(step, float("inf"))) for step in whole)
        print(f"losses: {len(whole)} logged, last {whole[max(whole)]:.6f} and {killed[max(killed)]:.6f}, ", end="")
        print(f"largest difference {furthest:g}")
        sys.exit(0 if same and not furthest else 1)


def checksum(folder):
    return hashlib.sha256((folder / "weights.hdf5").read_bytes()).hexdigest()


def losses(folder, output):
    """By step, as MLflow has them; a step that was repeated counts once, by its last value."""
    query = (
        "select step, value from metrics join runs using (run_uuid) where key = 'loss' and name = ? order by timestamp"
    )
    with sqlite3.connect(folder / "mlflow.db") as store:
        return dict(store.execute(query, (f"pretrain {output}",)))


if __name__ == "__main__":
    main()
