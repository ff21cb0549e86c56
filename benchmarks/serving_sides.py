"""The processes that serving.py sets against one another: servers, the load, and a predictor without a server."""

import contextlib
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


def environment() -> dict[str, str]:
    """Of a process that finds Telmo and what a peer runs of it; MLflow finds the uvicorn beside it."""
    return os.environ | {
        "PYTHONPATH": os.pathsep.join(map(str, (HERE.parent, HERE / "peers"))),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }


class Process:
    """A process that answers a line of JSON by a line of JSON."""

    def __init__(self, script: str, *arguments: str):
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / script), *arguments],
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, do: str, **job: Any) -> Any:
        self.begin(do, **job)
        return self.end()

    def begin(self, do: str, **job: Any) -> None:
        assert self._process.stdin
        print(json.dumps({"do": do, **job}), file=self._process.stdin, flush=True)

    def end(self, at_once: bool = False) -> Any:
        """The answer; `at_once` ends a load first."""
        assert self._process.stdin and self._process.stdout
        if at_once:
            print("{}", file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        if not line:
            sys.exit("error: a process of the benchmark ended; what it said stands above")
        return json.loads(line)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


@dataclass(frozen=True)
class Side:
    """How a server is started and asked.

    Args:
        command: that starts it.
        ready: a path that answers with 200 once it can predict.
        path, body: of the request for one text.
        says: a line of its log that tells that all of it is ready.
        settings: told beside its figures.
    """

    name: str
    command: list[str]
    port: int
    ready: str
    path: str
    body: Callable[[str], Any]
    settings: str = ""
    says: str = ""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def telmo(models: list[str], name: str, options: str) -> Side:
    port = free_port()
    command = [sys.executable, "-m", "pipeline.cli", "serve", *models, "--port", str(port), *shlex.split(options)]
    path = f"/v1/models/{name}:predict"
    return Side("telmo", command, port, "/v1/models", path, lambda text: {"texts": [text]}, options, "telmo: serving")


def mlflow(model: str) -> Side:
    port = free_port()
    options = ["--model-uri", model, "--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)]
    command = [sys.executable, "-m", "mlflow", "models", "serve", *options]
    return Side("mlflow", command, port, "/ping", "/invocations", lambda text: {"inputs": [text]})


def mlserver(model: str, name: str, folder: Path, settings: dict[str, Any]) -> Side | None:
    """None without its environment (peers/install.py)."""
    program = HERE / "peers" / ".envs" / "mlserver" / "bin" / "mlserver"
    if not program.exists():
        return None
    folder.mkdir()
    port = free_port()
    ports = {"http_port": port, "grpc_port": free_port(), "metrics_port": free_port()}
    of_server = {"parallel_workers": settings.pop("parallel_workers", 0), "debug": False, "host": "127.0.0.1", **ports}
    of_model = {"name": name, "implementation": "mlserver_runtime.TelmoRuntime", "parameters": {"uri": model}}
    (folder / "settings.json").write_text(json.dumps(of_server))
    (folder / "model-settings.json").write_text(json.dumps(of_model | settings))

    def body(text: str) -> dict[str, Any]:
        return {"inputs": [{"name": "texts", "shape": [1], "datatype": "BYTES", "data": [text]}]}

    path = f"/v2/models/{name}"
    told = f"{of_server['parallel_workers']} workers, {json.dumps(settings)}"
    return Side("mlserver", [str(program), "start", str(folder)], port, f"{path}/ready", f"{path}/infer", body, told)


class Server:
    """A side that runs, in the folder where its log is; `with` stops it."""

    def __init__(self, side: Side, folder: Path):
        self.side, self.log = side, folder / f"{side.name}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                side.command, cwd=folder, env=environment(), stdout=log, stderr=log, start_new_session=True
            )

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: Any) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def wait(self, seconds: float = 180.0) -> float:
        """Until it is ready; the seconds that took."""
        began = time.perf_counter()
        while self.get(self.side.ready) is None or self.side.says not in self.log.read_text("utf-8", "replace"):
            if self.process.poll() is not None or time.perf_counter() - began > seconds:
                sys.exit(f"error: {self.side.name} is not ready:\n{self.log.read_text('utf-8', 'replace')[-4000:]}")
            time.sleep(0.05)
        return time.perf_counter() - began

    def get(self, path: str) -> bytes | None:
        """What it answers, or None if that is no 200."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.side.port}{path}", timeout=60) as response:
                return response.read()
        except (urllib.error.URLError, OSError):
            return None

    def bodies(self, texts: list[str]) -> list[str]:
        return [json.dumps(self.side.body(text)) for text in texts]

    def aimed(self, load: Process, texts: list[str]) -> None:
        load("aim", port=self.side.port, path=self.side.path, bodies=self.bodies(texts))

    def memory(self) -> float:
        """Resident MB of the server and all processes below it."""
        return sum(map(_resident, self.processes())) / 1e6

    def processes(self) -> list[int]:
        """The server's own first."""
        return list(_below(self.process.pid))

    def worker(self) -> int:
        """The process that computes: the largest one."""
        return max(self.processes(), key=_resident)


class Others:
    """How much of the processors others take than this process and those below it; figures of a busy machine are not
    worth much."""

    def __init__(self) -> None:
        self._began, self._busy, self._own = time.perf_counter(), _busy(), _own()

    def cores(self) -> float:
        """Since it was made; processes that began or ended since are counted by what is known of them."""
        return max(0.0, _busy() - self._busy - (_own() - self._own)) / (time.perf_counter() - self._began)


def _busy() -> float:
    """Seconds of all processors."""
    user, nice, system, _, _, interrupts, soft, *_ = map(int, Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + interrupts + soft) / os.sysconf("SC_CLK_TCK")


def _own() -> float:
    """Seconds of this process and those below it, with those that they have waited for."""
    return sum(sum(map(int, fields[11:15])) for fields in _below(os.getpid()).values()) / os.sysconf("SC_CLK_TCK")


def _below(first: int) -> dict[int, list[str]]:
    """A process and those below it, with the fields of their /proc/PID/stat from the third on."""
    fields = {}
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            with contextlib.suppress(OSError):
                fields[int(path.name)] = (path / "stat").read_text().rpartition(")")[2].split()
    below: dict[int, list[int]] = {}
    for process, found in fields.items():
        below.setdefault(int(found[1]), []).append(process)
    order = [first]
    for process in order:
        order += below.get(process, [])
    return {process: fields[process] for process in order if process in fields}


def _resident(process: int) -> int:
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
