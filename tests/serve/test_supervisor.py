"""Workers that come and go, with an application that loads nothing."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from serve.listener import listen

SCRIPT = """
import os, socket, sys, time
from types import SimpleNamespace

async def answer(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            event = (await receive())["type"]
            await send({"type": event + ".complete"})
            if event == "lifespan.shutdown":
                return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]})
    await send({"type": "http.response.body", "body": str(os.getpid()).encode()})

def application():
    # All but the first wait until they may go on.
    try:
        open("first", "x").close()
    except FileExistsError:
        while not os.path.exists("go"):
            time.sleep(0.05)
    answer.state = SimpleNamespace(stop=lambda: None)
    return answer

if __name__ == "__main__":
    from serve.options import ServeOptions
    from serve.supervisor import supervise
    listener = socket.socket(fileno=int(sys.argv[1]))
    sys.exit(supervise(application, listener, ServeOptions(workers=2), "all answer"))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="hands a socket on by its number")
def test_a_worker_that_dies_before_another_one_is_ready_is_replaced(house, tmp_path):
    (tmp_path / "server.py").write_text(SCRIPT)
    listener = listen("127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    server = subprocess.Popen(
        [sys.executable, "server.py", str(listener.fileno())],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(house)},
        pass_fds=[listener.fileno()],
        stdout=subprocess.PIPE,
        text=True,
    )
    listener.close()
    try:
        first = int(urllib.request.urlopen(url, timeout=60).read())
        os.kill(first, signal.SIGKILL)
        while Path(f"/proc/{first}").exists():
            time.sleep(0.01)
        (tmp_path / "go").touch()
        assert server.stdout.readline() == "all answer\n"
        assert int(urllib.request.urlopen(url, timeout=60).read()) != first
    finally:
        server.terminate()
    assert server.wait(60) == 0
