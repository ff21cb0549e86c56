"""A real PostgreSQL on loopback, from the programs of this machine."""

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from uuid import uuid4

import pytest

both_stores = pytest.mark.parametrize("tracking_uri", ["sqlite", "postgresql"], indirect=True)
"""Of tests of what MLflow's stores might do differently: searches, and what is told twice."""


def program(name):
    """The path of a program of PostgreSQL; Debian keeps most of them out of PATH. None if it is not on this machine."""
    homes = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda home: int(home.parent.name))
    return shutil.which(name, path=os.pathsep.join(map(str, homes[::-1]))) or shutil.which(name)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Cluster:
    """A server that runs, and its databases."""

    def __init__(self, port, password):
        self.port, self.password = port, password

    def uri(self, database):
        return f"postgresql+psycopg://telmo:{self.password}@127.0.0.1:{self.port}/{database}"

    def execute(self, statement):
        import psycopg

        place = {"host": "127.0.0.1", "port": self.port, "user": "telmo", "password": self.password}
        with psycopg.connect(dbname="postgres", autocommit=True, **place) as connection:
            connection.execute(statement)

    @contextlib.contextmanager
    def database(self, template="template1"):
        """Gives the URI of a database that lives until the block ends."""
        name = f"test_{uuid4().hex}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        yield self.uri(name)
        self.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextlib.contextmanager
def cluster():
    """Gives a `Cluster` of its own that lives until the block ends."""
    # Not a folder of pytest: those are closed to others, and PostgreSQL refuses to run as root.
    folder = Path(tempfile.mkdtemp(prefix="telmo-postgresql-"))
    user = {"user": "postgres"} if os.geteuid() == 0 else {}
    password, port = secrets.token_hex(16), free_port()
    secret = folder / "password"
    secret.write_text(password)

    def run(name, *arguments):
        command = [program(name), "-D", folder / "data", *arguments]
        done = subprocess.run(command, **user, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr

    try:
        if user:
            for path in (folder, secret):
                shutil.chown(path, "postgres", "postgres")
        run("initdb", "--username=telmo", f"--pwfile={secret}", "--auth=scram-sha-256", "--no-sync", "--encoding=UTF8")
        # What is lost in a crash of the machine is lost with the test.
        options = f"-c listen_addresses=127.0.0.1 -p {port} -k {folder} -c fsync=off -c full_page_writes=off"
        run("pg_ctl", "-w", "-t", "120", "-l", folder / "log", "-o", options, "start")
        try:
            yield Cluster(port, password)
        finally:
            run("pg_ctl", "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)
