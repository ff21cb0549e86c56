"""A real S3 store on loopback: SeaweedFS, as the compose file runs it."""

import contextlib
import os
import subprocess
import sysconfig
import time
import urllib.request
from pathlib import Path

from reference.postgresql import free_port

WEED = Path(sysconfig.get_path("scripts")) / "weed"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "telmo",
    "AWS_SECRET_ACCESS_KEY": "a secret of tests",
    "AWS_DEFAULT_REGION": "us-east-1",
}


@contextlib.contextmanager
def s3_store(folder, bucket, options):
    """Gives the address of a store with one bucket until the block ends; options are those of the compose file."""
    parts = ("master", "volume", "filer", "s3")
    ports = {f"-{part}.port{kind}": free_port() for part in parts for kind in ("", ".grpc")}
    ports |= {"-admin.port": free_port(), "-admin.port.grpc": free_port()}
    command = [WEED, *options, f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
    command += [f"{name}={port}" for name, port in ports.items()]
    address = f"http://127.0.0.1:{ports['-s3.port']}"
    with open(folder / "weed.log", "w") as log:
        server = subprocess.Popen(
            command, env=os.environ | CREDENTIALS | {"S3_BUCKET": bucket}, stdout=log, stderr=log, cwd=folder
        )
        try:
            wait_for(f"{address}/healthz", server, folder / "weed.log")
            yield address
        finally:
            server.terminate()
            server.wait(60)


def wait_for(address, server, log, seconds=180):
    """Wait until an address answers; if the server ends or takes too long, say what it said."""
    end = time.monotonic() + seconds
    while server.poll() is None and time.monotonic() < end:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(address, timeout=5).close()
            return
        time.sleep(0.2)
    raise AssertionError(f"{address} does not answer\n{log.read_text('utf-8')[-4000:]}")
