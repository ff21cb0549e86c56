"""What tracking costs a training, and whether every metric is there after the server was gone for a minute.

    python benchmarks/tracking.py                       # both parts
    python benchmarks/tracking.py --only outage --gone 60

The training is `telmo pretrain` on the docs corpus, which tells most of all stages: 30 metrics every ten batches,
and every 20 to 80 after the thousandth.

    overhead  the whole command, with and without tracking at the same time, each on a core of its own, which they
              change every round: a machine that slows down does so for both. MLflow's import, its thread and all else
              share that core; the store is an SQLite file that is there already, written to by the process itself,
              which costs it more than a server
    outage    `mlflow server` is killed (SIGKILL) in the middle of the training and begun again after `--gone` seconds

Printed: the seconds of each pair, and the median of their ratios with their range; of the outage the metrics that
MLflow lacks in the end at a step, or has twice. Linux only; the first part needs two cores.
"""

import argparse
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from statistics import median

from recovery import CONFIG

from pipeline.pretraining_history import REPORT_EVERY, told_every

HOUSE = str(Path(__file__).resolve().parent.parent)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=["overhead", "outage"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=float, default=2.0, help="how long the training is")
    parser.add_argument("--gone", type=float, default=60.0, help="seconds that the server is away")
    args = parser.parse_args()
    # So that what is begun is ended, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        config = folder / "config.json"
        # JSON is YAML, too.
        config.write_text(json.dumps(CONFIG | {"output": "bilm", "epochs": args.epochs}))
        parts = {"overhead": overhead, "outage": outage}
        good = [part(folder, config, args) for name, part in parts.items() if args.only in (None, name)]
    sys.exit(0 if all(good) else 1)


def start(folder, config, address, *changes, stderr=subprocess.PIPE):
    command = [sys.executable, "-m", "pipeline.cli", "pretrain", str(config)]
    command += [word for change in changes for word in ("--set", change)]
    here = os.environ | {"PYTHONPATH": HOUSE, "MLFLOW_TRACKING_URI": address}
    return subprocess.Popen(command, cwd=folder, env=here, stderr=stderr, text=True)


def overhead(folder, config, args):
    """Whether it is under 3%. Two threads of one physical core would slow each other, and hide some of it."""
    address, ratios, log = f"sqlite:///{folder}/mlflow.db", [], folder / "errors.txt"
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        sys.exit("error: found one core; expected two, one for each training")
    if (first := start(folder, config, address, "epochs=0.01", "output=first")).wait():
        sys.exit(f"error: a training failed: {first.stderr.read()}")
    for number in range(args.rounds):
        began, seconds, running = time.perf_counter(), {}, []
        with ExitStack() as stack, log.open("w") as errors:
            for tracked, core in zip((True, False), cores[:: -1 if number % 2 else 1], strict=True):
                changes = (f"tracking.enabled={str(tracked).lower()}", f"output=bilm-{tracked}")
                # What it starts stays on the core, too.
                with on_core(core):
                    running.append((tracked, start(folder, config, address, *changes, stderr=errors)))
                stack.callback(running[-1][1].kill)
            while len(seconds) < 2:
                time.sleep(0.05)
                for tracked, process in running:
                    if process.poll() is not None:
                        seconds.setdefault(tracked, time.perf_counter() - began)
        if any(process.returncode for _, process in running):
            sys.exit(f"error: a training failed: {log.read_text()}")
        ratios.append(seconds[True] / seconds[False])
        print(f"{seconds[True]:.1f} s with, {seconds[False]:.1f} s without: {ratios[-1] - 1:+.1%}", flush=True)
    among = f"{min(ratios) - 1:+.1%} to {max(ratios) - 1:+.1%}"
    print(f"overhead of tracking: {median(ratios) - 1:+.1%}, {among} (asked: 3%)")
    return median(ratios) < 1.03


@contextmanager
def on_core(core):
    """Processes that are begun in the block run on this core alone."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def outage(folder, config, args):
    """Whether every metric is there in the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address, store = f"http://127.0.0.1:{port}", folder / "server.db"
    with ExitStack() as stack:
        first = stack.enter_context(serve(folder, port))
        # A pipe that nobody reads for a minute may be full before.
        notes = stack.enter_context((folder / "told.txt").open("w+"))
        process = start(folder, config, address, "output=outage", stderr=notes)
        stack.callback(process.kill)
        while points(store) < 100:
            if process.poll() is not None:
                sys.exit(f"error: the training ended early: {(folder / 'told.txt').read_text()}")
            time.sleep(0.5)
        os.killpg(first.pid, signal.SIGKILL)
        print(f"server killed with {points(store)} points there", flush=True)
        time.sleep(args.gone)
        running = process.poll() is None
        stack.enter_context(serve(folder, port))
        print(f"server back after {args.gone:g} s; the training {'goes on' if running else 'IS OVER'}", flush=True)
        process.wait()
    with closing(sqlite3.connect(store)) as there:
        found = there.execute("SELECT key, step, count(*) FROM metrics GROUP BY key, step").fetchall()
        status = there.execute("SELECT status FROM runs").fetchall()
    whole = is_whole(found)
    print(f"run {status[0][0]}; exit {process.returncode}")
    told = (folder / "told.txt").read_text()
    notices = [line for line in told.splitlines() if line.startswith("telmo: ")]
    print("\n".join([f"told {len(notices)} times:", *notices]))
    return whole and running and len(notices) == 1 and status == [("FINISHED",)] and not process.returncode


def is_whole(found):
    """Whether each metric of the training is there at each step, once.

    Args:
        found: the keys, steps and numbers of points that MLflow has. Those that are taken by the clock are not looked
            at, for nobody knows how many there should be.
    """
    by_key = {}
    for key, step, count in found:
        if not key.startswith("system/"):
            by_key.setdefault(key, {})[step] = count
    # They are measured once, in the end.
    perplexities = {key for key in by_key if key.endswith("_perplexity")}
    last = max((step for key in perplexities for step in by_key[key]), default=0)
    steps = {step for step in range(REPORT_EVERY, last + 1) if step % told_every(step) == 0} | {last}
    good = {"loss", "forward_perplexity"} <= by_key.keys()
    for key, counts in sorted(by_key.items()):
        expected = {last} if key in perplexities else steps
        if counts.keys() != expected or set(counts.values()) != {1}:
            good = False
            twice = sum(count > 1 for count in counts.values())
            print(f"{key}: {len(counts.keys() & expected)} of {len(expected)} steps there, {twice} more than once")
    print(f"{len(by_key)} metrics, {len(steps)} steps; each there once: {good}")
    return good


@contextmanager
def serve(folder, port):
    """`mlflow server` with its workers, until the block ends, in whatever way."""
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    command += [
        "--backend-store-uri",
        f"sqlite:///{folder}/server.db",
        "--artifacts-destination",
        str(folder / "artifacts"),
    ]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen(command, start_new_session=True, cwd=folder, **quiet)
    try:
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health")
                break
            except OSError:
                if server.poll() is not None:
                    sys.exit(f"error: the server ended with {server.returncode}")
                time.sleep(0.5)
        yield server
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def points(store):
    try:
        with closing(sqlite3.connect(store)) as there:
            return there.execute("SELECT count(*) FROM metrics").fetchone()[0]
    except sqlite3.Error:
        return 0


if __name__ == "__main__":
    main()
