"""A real `telmo serve`, in processes of its own."""

import os
import subprocess
import sys
from contextlib import contextmanager

SOON = 120


@contextmanager
def telmo_serve(house, *arguments, **environment):
    """A server, ready, with its `address`, or None if it ended; it is stopped when the block ends.

    Args:
        house: the checkout.
        arguments: of the command; the port is a free one.
        environment: variables, beside those of this process.
    """
    command = [sys.executable, "-m", "pipeline.cli", "serve", *map(str, arguments), "--port", "0"]
    variables = os.environ | {"PYTHONPATH": str(house)} | environment
    process = subprocess.Popen(command, env=variables, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        ready = process.stdout.readline()
        process.address = ready.split("http://")[1].split()[0] if "http://" in ready else None
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=SOON)
