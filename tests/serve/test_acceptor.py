"""Two workers that listen on one socket, here in one event loop."""

import asyncio
import socket
from contextlib import asynccontextmanager

import pytest

from serve.acceptor import Acceptor
from serve.listener import listen
from serve.worker_table import WorkerTable


class Echo(asyncio.Protocol):
    def __init__(self, worker):
        self.worker = worker

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(self.worker.name + data)

    def connection_lost(self, exc):
        self.worker.acceptor.lost()


class Worker:
    def __init__(self, name, listener, table, row):
        self.name = name
        self.acceptor = Acceptor(listener.dup(), lambda: Echo(self), table, row)


async def ask(address):
    """A connection that has been answered, and the worker that did."""
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"!")
    return writer, await asyncio.wait_for(reader.read(2), 10)


@asynccontextmanager
async def workers(*names):
    listener = listen("127.0.0.1", 0)
    table = WorkerTable(len(names))
    made = [Worker(name, listener, table, row) for row, name in enumerate(names)]
    yield listener.getsockname(), table, made
    for worker in made:
        if worker.acceptor._listener.fileno() >= 0:
            await worker.acceptor.close()
    listener.close()


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request):
    """Runs a coroutine in a loop of each kind; the server's is uvloop."""
    return pytest.importorskip(request.param).run


def test_of_connections_that_come_one_after_another_each_takes_half(run):
    async def ask_often():
        async with workers(b"a", b"b") as (address, _, _):
            asked = [await ask(address) for _ in range(40)]
            for writer, _ in asked:
                writer.close()
            return sorted(name for _, name in asked)

    assert run(ask_often()) == [b"a!"] * 20 + [b"b!"] * 20


def test_who_has_lost_its_clients_takes_the_next_ones(run):
    async def ask_some():
        async with workers(b"a", b"b") as (address, table, _):
            asked = [await ask(address) for _ in range(8)]
            of_a = [writer for writer, name in asked if name == b"a!"]
            for writer in of_a:
                writer.close()
                await writer.wait_closed()
            # The other side hears of it a little later.
            while table.is_fuller(0) or not table.is_fuller(1):
                await asyncio.sleep(0.01)
            new = [await ask(address) for _ in of_a]
            for writer, _ in [*asked, *new]:
                writer.close()
            return len(of_a), [name for _, name in new]

    lost, found = run(ask_some())
    assert lost == 4 and found == [b"a!"] * 4


def test_what_is_left_to_a_worker_that_takes_nothing_is_taken_all_the_same(run):
    async def ask_some():
        async with workers(b"a") as (address, _, (worker,)):
            worker.acceptor._table = table = WorkerTable(2)
            # It says that it has none, and does not accept.
            table.has(1, 0)
            asked = [await ask(address) for _ in range(5)]
            for writer, _ in asked:
                writer.close()
            return [name for _, name in asked]

    assert run(ask_some()) == [b"a!"] * 5


def test_those_who_wait_when_it_closes_are_answered_and_then_nobody_is_let_in(run):
    async def ask_some():
        async with workers(b"a") as (address, _, (worker,)):
            # The system lets them in, the loop has not seen them yet.
            waiting = [socket.create_connection(address, timeout=10) for _ in range(3)]
            for one in waiting:
                one.sendall(b"!")
            await worker.acceptor.close()
            answers = await asyncio.gather(*(asyncio.to_thread(one.recv, 2) for one in waiting))
            for one in waiting:
                one.close()
            return answers

    assert run(ask_some()) == [b"a!"] * 3


def test_a_process_that_may_open_no_more_files_tries_again_later(monkeypatch, run):
    async def ask_some():
        async with workers(b"a") as (address, _, (worker,)):
            failing = FullTable(worker.acceptor._listener)
            worker.acceptor._listener = failing
            monkeypatch.setattr("serve.acceptor.REST", 0.05)
            writer, name = await ask(address)
            writer.close()
            return name, failing.tries

    name, tries = run(ask_some())
    assert name == b"a!" and tries == 2


class FullTable:
    """A listener at whose first use no file can be opened."""

    def __init__(self, listener):
        self.listener, self.tries = listener, 0

    def __getattr__(self, name):
        return getattr(self.listener, name)

    def accept(self):
        self.tries += 1
        if self.tries == 1:
            raise OSError(24, "Too many open files")
        return self.listener.accept()
