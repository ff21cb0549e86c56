"""What the parts of serving.py share: who is asked, by whom, and what was found."""

import argparse
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from serving_sides import Others, Process, Server, Side, telmo

CLIENTS = 64


class Bench:
    """What the parts share."""

    part = ""

    def __init__(self, args: argparse.Namespace, folder: Path, stack: ExitStack):
        self.args, self.folder, self.stack = args, folder, stack
        lines = Path(args.sentences).read_text("utf-8").splitlines()
        self.texts = [line.strip() for line in lines if line.strip()]
        self.name = json.loads(Path(args.model, "model.json").read_text("utf-8"))["name"]
        self.load = self._kept(Process("serving_load.py"))
        self.found: dict[str, list[str]] = {}

    def bare(self, model: str | None = None) -> Process:
        """A predictor without a server."""
        return self._kept(Process("telmo_serving.py", str(model or self.args.model)))

    def _kept(self, process: Process) -> Process:
        self.stack.callback(process.stop)
        return process

    def telmo(self, *models: str) -> Side:
        return telmo(list(models) or [self.args.model], self.name, self.args.options)

    @contextmanager
    def served(self, *sides: Side) -> Iterator[list[Server]]:
        """The sides as servers that are ready; the load is aimed at the first."""
        with ExitStack() as stack:
            servers = [stack.enter_context(Server(side, self.folder)) for side in sides]
            for server in servers:
                server.wait()
            servers[0].aimed(self.load, self.texts)
            yield servers

    def ask(self, server: Server, clients: int, seconds: float, **more: Any) -> "Asked":
        server.aimed(self.load, self.texts)
        return Asked(self.load("closed", clients=clients, seconds=seconds, **more))

    def tell(self, figure: str, value: str, asked: str = "", held: bool | None = None) -> None:
        verdict = {None: "", True: "held", False: "SHORT"}[held]
        line = f"{self.part:11} {figure:38} {value:>26}   {asked:22} {verdict}".rstrip()
        self.found.setdefault(self.part, []).append(line)
        print(line, flush=True)

    def tell_others(self, others: Others) -> None:
        """How busy the machine was with other things."""
        cores = others.cores()
        self.tell("other processes took, cores", f"{cores:.2f}", "none", cores < 0.1)


class Asked:
    """What a load found.

    Args:
        found: the answer of `serving_load`.
    """

    def __init__(self, found: dict[str, Any]):
        self.counts: dict[str, int] = found["counts"]
        self.times = np.array(found["answered"]).reshape(-1, 2)
        self.lost = np.array(found["lost"]).reshape(-1, 2)
        self.seconds, self.cpu = found["seconds"], found["cpu"]

    @property
    def latencies(self) -> np.ndarray:
        """Milliseconds of the answers, the refusals left out."""
        return 1000 * (self.times[:, 1] - self.times[:, 0])

    @property
    def rate(self) -> float:
        """Answers a second."""
        first = self.times[:, 1].min() if len(self.times) else 0.0
        within = self.times[:, 1] <= first + self.seconds
        return within.sum() / self.seconds

    @property
    def failed(self) -> int:
        """Requests that got no answer, or another one than 200."""
        return sum(count for name, count in self.counts.items() if name not in ("200", "with Retry-After"))

    def p(self, percent: float) -> float:
        return float(np.percentile(self.latencies, percent)) if len(self.times) else float("nan")

    def told(self) -> str:
        return ", ".join(f"{count} {name}" for name, count in sorted(self.counts.items())) or "nothing"


def spread(values: list[float], form: str = ",.0f") -> str:
    return f"{median(values):{form}} ({min(values):{form}}-{max(values):{form}})"
