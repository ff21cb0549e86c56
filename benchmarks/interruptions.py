"""Kill an embedding again and again, and compare what comes out with a run that was left alone.

    python benchmarks/interruptions.py --source demo/bilm demo/sentences.txt
    python benchmarks/interruptions.py --source demo/bilm demo/sentences.txt --engine ray

The run is `telmo embed`. With the local engine the command itself is killed by SIGKILL at random moments of the time
that a run takes, and begun anew by the same words; when it has been killed often enough, it may end. With Ray it is a
worker that is killed, one of two, at random moments while the command goes on. Printed: when each kill came and how
much was done by then, and whether the files of the store and the manifest are those of the run that was left alone.
Linux only.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HOUSE = Path(__file__).resolve().parent.parent


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", nargs="+", help="files to embed")
    parser.add_argument("--source", required=True, help="the biLM")
    parser.add_argument("--engine", choices=["local", "ray"], default="local")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--times", type=int, default=1, help="how often each file is read, for a longer run")
    parser.add_argument("--shard-words", type=int, default=10_000, help="of Ray's files")
    parser.add_argument("--output", default="v.parquet", help="a name, whose ending tells the form")
    parser.add_argument("--every", type=float, default=15.0, help="seconds between two kills of a worker, at most")
    parser.add_argument("--seed", type=int, default=1, help="of the moments")
    args = parser.parse_args()
    draw = random.Random(args.seed)
    more = ["--layers", "2", "--source", str(Path(args.source).resolve())]
    if args.engine == "ray":
        more += ["--engine", "ray", "--workers", "2", "--shard-words", str(args.shard_words)]
    with tempfile.TemporaryDirectory() as place:
        folders = [Path(place, name) for name in ("whole", "killed")]
        for folder in folders:
            folder.mkdir()
        texts = [str(Path(text).resolve()) for text in args.texts] * args.times
        commands = [[*texts, args.output, *more]] * 2
        began = time.perf_counter()
        finish(start(folders[0], commands[0]))
        took = time.perf_counter() - began
        print(f"left alone: {took:.0f} s")
        print("kill  seconds  done")
        if args.engine == "ray":
            kill_workers(folders[1], commands[1], args, draw)
        else:
            kill_commands(folders[1], commands[1], args, draw, took)
        differ = compare(*folders)
        print(f"store and manifest: {'DIFFERENT: ' + ', '.join(differ) if differ else 'the same, byte for byte'}")
        left = [path.name for path in folders[1].iterdir() if path.name not in os.listdir(folders[0])]
        print(f"left over: {', '.join(left) or 'nothing'}")
        sys.exit(1 if differ or left else 0)


def start(folder, arguments):
    command = [sys.executable, "-m", "pipeline.cli", "embed", *arguments]
    environment = os.environ | {"PYTHONPATH": str(HOUSE)}
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def finish(process):
    _, said = process.communicate()
    if process.returncode:
        sys.exit(f"error: a start failed: {said[-2000:]}")


def kill_commands(folder, command, args, draw, took):
    """At moments between none and what the run takes that was left alone; who ends before is not killed."""
    kills = 0
    while kills < args.kills:
        process = start(folder, command)
        lives = draw.uniform(0.0, took)
        try:
            process.wait(lives)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            kills += 1
            print(f"{kills:4d}  {lives:7.1f}  {done_in(folder, args.output)}", flush=True)
            continue
        finish(process)
        # The next one begins from nothing.
        print(f"   -  {lives:7.1f}  had ended, and was compared", flush=True)
        if differ := compare(folder.parent / "whole", folder):
            sys.exit(f"error: {', '.join(differ)} differ")
        shutil.rmtree(folder)
        folder.mkdir()
    finish(start(folder, command))


def kill_workers(folder, command, args, draw):
    kills = 0
    while kills < args.kills:
        process = start(folder, command)
        while process.poll() is None and kills < args.kills:
            wait = draw.uniform(0.0, args.every)
            time.sleep(wait)
            workers = workers_of(process.pid)
            if workers:
                os.kill(draw.choice(workers), signal.SIGKILL)
                kills += 1
                print(f"{kills:4d}  {wait:7.1f}  {done_in(folder, args.output)}", flush=True)
        finish(process)
        if kills < args.kills:
            if differ := compare(folder.parent / "whole", folder):
                sys.exit(f"error: {', '.join(differ)} differ")
            shutil.rmtree(folder)
            folder.mkdir()


def workers_of(command):
    """Ray's workers below a process."""
    parents, names = {}, {}
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                parents[int(process.name)] = int((process / "stat").read_text().rpartition(")")[2].split()[1])
                names[int(process.name)] = (process / "cmdline").read_text()
            except OSError:
                continue

    def below(process):
        return process == command or (process in parents and below(parents[process]))

    return sorted(process for process, name in names.items() if name.startswith("ray::MapWorker") and below(process))


def done_in(folder, output):
    part = folder / f"{output}.part"
    if (part / "shards").is_dir():
        return f"{len(list((part / 'shards').glob('part-*')))} shards"
    try:
        return f"{json.loads((part / 'journal.json').read_text('utf-8'))['sentences']:,} sentences"
    except FileNotFoundError:
        return "all, not published" if (part / "store.json").exists() else "nothing"


def compare(whole, killed):
    """The names of files that differ."""
    found = [
        {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
        for folder in (whole, killed)
    ]
    return [
        name
        for name in sorted(found[0])
        if name not in found[1] or found[0][name].read_bytes() != found[1][name].read_bytes()
    ]


if __name__ == "__main__":
    main()
