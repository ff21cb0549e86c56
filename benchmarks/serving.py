"""Is the endpoint as fast as it can be, and does it hold: throughput, latency, overload, moves of an alias, deaths.

    python benchmarks/peers/install.py mlserver
    python benchmarks/serving.py demo/models/library demo/sentences.txt
    python benchmarks/serving.py demo/models/library demo/sentences.txt --only throughput latency --results serving.json

The endpoint is `telmo serve`, the load comes from another process on the same machine, the sentences are real, and all
ask the same model. Parts, each with servers of its own:

    throughput  64 clients, who each ask for one sentence at a time, beside `Predictor.predict` in large batches while
                the load's process waits, and beside `mlflow models serve` and MLServer with adaptive batching, by turns
    latency     one client, beside a bare `Predictor.predict`, by turns
    overload    four times as many requests a second as the server can answer
    alias       an alias moves between two versions that differ, under load
    stop        SIGTERM under load
    kill        SIGKILL of the process that computes, under load

Printed, a line each as it is found: the figure, and what is asked of it. Medians of the rounds, with the least and the
most. With `--results` figures are kept in a file, and parts that it has are not run again. Linux only.
"""

import argparse
import json
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from serving_bench import CLIENTS, Asked, Bench, spread
from serving_registry import Registry
from serving_sides import Others, mlflow, mlserver
from serving_trouble import alias, kill, overload, stop

MLSERVER = {"parallel_workers": 0, "max_batch_size": 64, "max_batch_time": 0.002}
"""What served it best: its own loop, which waits in a thread."""


def throughput(bench: Bench) -> None:
    args, bare = bench.args, bench.bare()
    sides = [bench.telmo()]
    if "mlflow" in args.peers:
        version = bench.stack.enter_context(Registry(bench.folder / "peer")).log(args.model, bench.name)
        sides.append(mlflow(f"models:/{bench.name}/{version}"))
    if "mlserver" in args.peers:
        side = mlserver(str(Path(args.model).resolve()), bench.name, bench.folder / "mlserver", dict(args.mlserver))
        if side is None:
            sys.exit("error: no MLServer; python benchmarks/peers/install.py mlserver")
        sides.append(side)
    offline: list[float] = []
    full: list[float] = []
    asked: dict[str, list[Asked]] = {side.name: [] for side in sides}
    with bench.served(*sides) as servers:
        bare("rate", texts=bench.texts, batch=args.batch, seconds=3)
        for server in servers:
            bench.ask(server, CLIENTS, 3)
        others = Others()
        for _ in range(args.rounds):
            # Connected, and silent.
            servers[0].aimed(bench.load, bench.texts)
            bench.load("connect", clients=CLIENTS)
            offline.append(bare("rate", texts=bench.texts, batch=args.batch, seconds=args.seconds))
            full += bare("times", texts=bench.texts, size=CLIENTS)
            for server in servers:
                asked[server.side.name].append(bench.ask(server, CLIENTS, args.seconds))
        bench.tell_others(others)
    rates = {name: median(one.rate for one in found) for name, found in asked.items()}
    bench.tell(f"offline, batches of {args.batch}, 1/s", spread(offline))
    for side in sides:
        found = asked[side.name]
        bench.tell(f"{side.name}, {CLIENTS} clients, 1/s", spread([one.rate for one in found]), side.settings)
        percentiles = " / ".join(f"{median(one.p(k) for one in found):,.0f}" for k in (50, 99))
        bench.tell(f"{side.name}, p50 / p99, ms", percentiles)
        if failed := sum(one.failed for one in found):
            bench.tell(f"{side.name}, requests that failed", f"{failed}", "0", False)
    share = rates["telmo"] / median(offline)
    bench.tell("telmo of offline", f"{share:.0%}", "70% or more", share >= 0.7)
    for name, least in (("mlflow", 5.0), ("mlserver", 1.0)):
        if name in rates:
            times = rates["telmo"] / rates[name]
            bench.tell(f"telmo of {name}", f"{times:.1f} x", f"more than {least:.0f} x", times > least)
    batch = 1000 * median(full)
    p99 = median(one.p(99) for one in asked["telmo"])
    bench.tell(f"offline, one batch of {CLIENTS}, ms", spread([1000 * one for one in full]))
    bench.tell("telmo, p99 of that", f"{p99 / batch:.1f} x", "3 x or less", p99 <= 3 * batch)
    cpu = median(one.cpu / sum(one.counts.values()) for one in asked["telmo"])
    bench.tell("load, its own CPU for a request, us", f"{1e6 * cpu:,.0f}")


def latency(bench: Bench) -> None:
    bare, texts = bench.bare(), bench.texts[:50]
    alone: list[float] = []
    served: list[float] = []
    with bench.served(bench.telmo()) as (server,):
        server.aimed(bench.load, texts)
        others = Others()
        for turn in range(bench.args.rounds * 2 + 1):
            seconds = bare("times", texts=texts, size=1)
            found = Asked(bench.load("closed", clients=1, seconds=60, count=len(texts)))
            # The first turn warms both up.
            if turn:
                alone += [1000 * one for one in seconds]
                served += found.latencies.tolist()
        bench.tell_others(others)
    bench.tell("bare Predictor.predict, median, ms", f"{median(alone):.2f}")
    bench.tell("telmo, one client, median, ms", f"{median(served):.2f}")
    more = median(served) - median(alone)
    bench.tell("difference, ms", f"{more:.2f}", "3 or less", more <= 3)


PARTS: dict[str, Callable[[Bench], None]] = {
    part.__name__: part for part in (throughput, latency, overload, alias, stop, kill)
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a model folder")
    parser.add_argument("sentences", help="a file of sentences, one a line")
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS), metavar="PART")
    parser.add_argument("--peers", nargs="*", choices=["mlflow", "mlserver"], default=["mlflow", "mlserver"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0, help="of a side in a round")
    parser.add_argument("--batch", type=int, default=256, help="of the predictor without a server")
    parser.add_argument("--options", default="--workers 2", help="of telmo serve (default: --workers 2)")
    parser.add_argument("--mlserver", type=json.loads, default=MLSERVER, help="settings of its model, JSON")
    parser.add_argument("--overload-seconds", type=float, default=120.0)
    parser.add_argument("--connections", type=int, default=512, help="of the overload, at most")
    parser.add_argument("--moves", type=int, default=20, help="of the alias")
    parser.add_argument("--move-clients", type=int, default=8, help="that ask while it moves")
    parser.add_argument("--stops", type=int, default=3, help="by SIGTERM")
    parser.add_argument("--results", type=Path, help="a file where figures are kept")
    args = parser.parse_args()
    # The servers run elsewhere.
    args.model = str(Path(args.model).resolve())
    known = json.loads(args.results.read_text("utf-8")) if args.results and args.results.exists() else {}
    with TemporaryDirectory() as folder, ExitStack() as stack:
        bench = Bench(args, Path(folder), stack)
        for name in args.only:
            if name in known:
                print("\n".join(known[name]), flush=True)
                continue
            bench.part = name
            PARTS[name](bench)
            known[name] = bench.found[name]
            if args.results:
                args.results.write_text(json.dumps(known, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
