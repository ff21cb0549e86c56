"""The parts of serving.py that trouble the server: overload, an alias that moves, and deaths."""

import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from serving_bench import CLIENTS, Asked, Bench, spread
from serving_registry import Registry
from serving_sides import Others, Server


def overload(bench: Bench) -> None:
    args = bench.args
    with bench.served(bench.telmo()) as (server,):
        bench.ask(server, CLIENTS, 3)
        others = Others()
        calm = [bench.ask(server, CLIENTS, args.seconds) for _ in range(3)]
        capacity = median(one.rate for one in calm)
        memory = [server.memory()]
        bench.load.begin("open", rate=4 * capacity, seconds=args.overload_seconds, connections=args.connections)
        ends = time.perf_counter() + args.overload_seconds
        while time.perf_counter() < ends:
            time.sleep(1.0)
            memory.append(server.memory())
        found = Asked(bench.load.end())
        memory.append(server.memory())
        after = bench.ask(server, CLIENTS, args.seconds)
        dead = server.process.poll() is not None
        bench.tell_others(others)
    bench.tell("capacity, 1/s", spread([one.rate for one in calm]))
    bench.tell("offered for seconds, 1/s", f"{4 * capacity:,.0f} for {args.overload_seconds:.0f}")
    bench.tell("answers", found.told())
    bench.tell("accepted, 1/s", f"{found.rate:,.0f}")
    refused, told = found.counts.get("429", 0), found.counts.get("with Retry-After", 0)
    bench.tell("refused, with Retry-After", f"{refused:,} {told:,}", "the same", refused == told)
    others = found.failed - refused - found.counts.get("left out", 0)
    bench.tell("neither answered nor refused", f"{others}", "0", others == 0)
    calm99 = median(one.p(99) for one in calm)
    bench.tell("p50 / p99 at capacity, ms", f"{median(one.p(50) for one in calm):,.0f} / {calm99:,.0f}")
    bench.tell("p50 / p99 in overload, ms", f"{found.p(50):,.0f} / {found.p(99):,.0f}")
    bench.tell("p99 of that at capacity", f"{found.p(99) / calm99:.1f} x", "about 1 x", found.p(99) <= 1.5 * calm99)
    half = len(memory) // 2
    bench.tell("resident MB: start, peak, end", f"{memory[0]:,.0f}, {max(memory):,.0f}, {memory[-1]:,.0f}")
    grown = max(memory[half:]) / max(memory[:half]) - 1
    bench.tell("peak of the second half over the first", f"{grown:+.1%}", "flat", grown < 0.02)
    bench.tell("afterwards, 1/s", f"{after.rate:,.0f}", "alive", not dead and after.failed == 0)


def alias(bench: Bench) -> None:
    args = bench.args
    models = [Path(args.model), bench.folder / "second"]
    perturb(*models)
    wanted = [bench.bare(str(model))("answers", texts=bench.texts) for model in models]
    distance = [apart(*both) for both in zip(*wanted, strict=True)]
    bench.texts = [text for text, far in zip(bench.texts, distance, strict=True) if far > 0.01]
    wanted = [[one for one, far in zip(side, distance, strict=True) if far > 0.01] for side in wanted]
    with Registry(bench.folder / "aliases") as registry:
        versions = [registry.log(str(model), bench.name) for model in models]
        registry.move(bench.name, versions[0])
        seconds: list[float] = []
        memory: list[float] = []
        with bench.served(bench.telmo(f"models:/{bench.name}@champion")) as (server,):
            bench.load.begin("closed", clients=args.move_clients, seconds=1e4, keep=str(bench.folder / "kept"))
            for move in range(1, args.moves + 1):
                time.sleep(1.0)
                registry.move(bench.name, versions[move % 2])
                seconds.append(moved(server, bench.name, versions[move % 2]))
                memory.append(server.memory())
            time.sleep(1.0)
            found = Asked(bench.load.end(at_once=True))
    right, wrong = 0, []
    for line in (bench.folder / "kept").read_bytes().splitlines():
        number, status, body = line.split(b" ", 2)
        if status == b"200":
            answer = json.loads(body)
            side = versions.index(answer["version"]) if answer["version"] in versions else None
            if side is not None and apart(answer["predictions"][0], wanted[side][int(number)]) < 0.005:
                right += 1
            else:
                wrong.append(answer)
    bench.tell(f"seconds of {args.moves} moves", spread(seconds, ".1f"))
    told = ", ".join(f"{memory[k]:,.0f}" for k in sorted({0, *range(9, len(memory), max(10, len(memory) // 6))}))
    bench.tell("resident MB after moves", told)
    # The first moves fill what stays; a version that is not let go adds its weights with each move.
    tenth = 1 + len(memory) // 10
    grown = median(memory[-tenth:]) - median(memory[len(memory) // 2 :][:tenth])
    bench.tell("the last tenth over that in the middle", f"{grown:+,.0f} MB")
    bench.tell("answers", found.told())
    bench.tell("requests that failed", f"{found.failed}", "0", found.failed == 0)
    bench.tell("answers of the version that they name", f"{right:,}", f"all {len(found.times):,}", not wrong)


def perturb(model: Path, copy: Path) -> None:
    """A copy that answers otherwise: noise on the head's weights."""
    import h5py

    shutil.copytree(model, copy)
    draw = np.random.default_rng(1)
    with h5py.File(copy / "head.weights.h5", "r+") as file:

        def change(_: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset) and item.dtype.kind == "f":
                item[...] += draw.normal(0, 0.3, item.shape) * np.std(item[...])

        file.visititems(change)


def apart(one: dict[str, Any], other: dict[str, Any]) -> float:
    """The largest difference of two answers' probabilities; of tags whether there is one."""
    if "probabilities" in one:
        return max(abs(p - other["probabilities"][label]) for label, p in one["probabilities"].items())
    return float(one.get("tags", one.get("text")) != other.get("tags", other.get("text")))


def moved(server: Server, name: str, version: str) -> float:
    """Seconds until the server says that this version answers."""
    began = time.perf_counter()
    while time.perf_counter() - began < 600:
        if json.loads(server.get(f"/v1/models/{name}") or "{}").get("version") == version:
            return time.perf_counter() - began
        time.sleep(0.05)
    sys.exit(f"error: version {version} does not answer after 600 s")


def stop(bench: Bench) -> None:
    lost: list[int] = []
    for start in range(1, bench.args.stops + 1):
        with bench.served(bench.telmo()) as (server,):
            bench.load.begin("closed", clients=CLIENTS, seconds=120)
            time.sleep(3.0 + 0.123 * start)
            began = time.perf_counter()
            server.process.send_signal(signal.SIGTERM)
            code = server.process.wait(60)
            took = time.perf_counter() - began
            found = Asked(bench.load.end(at_once=True))
        lost.append(found.counts.get("lost", 0) + found.counts.get("no answer", 0))
        answered = int((found.times[:, 1] > began).sum())
        bench.tell(f"SIGTERM {start}: answered after it", f"{answered} in {took:.2f} s", f"exit code {code}")
        bench.tell(f"SIGTERM {start}: answers", found.told())
    bench.tell("sent, and not answered", f"{sum(lost)}", "0", not any(lost))


def kill(bench: Bench) -> None:
    with bench.served(bench.telmo()) as (server,):
        bench.load.begin("closed", clients=CLIENTS, seconds=1e4)
        time.sleep(3.0)
        worker = server.worker()
        began = time.perf_counter()
        os.kill(worker, signal.SIGKILL)
        if worker == server.process.pid:
            bench.load.end(at_once=True)
            return bench.tell("the server is one process", "it is dead", "recovers", False)
        time.sleep(1.0)
        again = server.wait()
        time.sleep(3.0)
        found = Asked(bench.load.end(at_once=True))
    after = found.times[found.times[:, 0] > began + 0.001]
    gap = after[:, 1].min() - began if len(after) else float("nan")
    longest = np.diff(np.sort(found.times[:, 1])).max()
    bench.tell("seconds until it is ready", f"{1 + again:.1f}")
    bench.tell("seconds to the first answer", f"{gap:.1f}", "recovers", len(after) > 0)
    bench.tell("longest time without an answer, s", f"{longest:.1f}")
    bench.tell("answers", found.told())
    bench.tell("lost, of those under way", f"{found.counts.get('lost', 0)} of {CLIENTS}")
    refused = found.counts.get("refused", 0)
    bench.tell("connections refused", f"{refused}", "0", refused == 0)
