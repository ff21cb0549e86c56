"""Workers of a server, each a process, see each other."""

import multiprocessing
import time

import pytest

from embeddings import cores
from serve import worker_table
from serve.worker_table import STAYS, WorkerTable, computing


@pytest.fixture(autouse=True)
def alone_afterwards(monkeypatch):
    monkeypatch.setattr(worker_table, "_own", None)
    monkeypatch.setattr(cores, "_users_of_cores", lambda: 1)


def compute_as(table, row, begun, end):
    table.join(row)
    with computing():
        begun.set()
        end.wait()


def test_one_that_computes_alone_has_all_processors_and_two_have_half_of_them(monkeypatch):
    monkeypatch.setattr(cores, "processors", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    table = WorkerTable(2)
    table.join(0)
    with computing():
        assert cores.cores() == 8
        context = multiprocessing.get_context("spawn")
        begun, end = context.Event(), context.Event()
        other = context.Process(target=compute_as, args=(table, 1, begun, end))
        other.start()
        assert begun.wait(60)
        assert cores.cores() == 4
        # That is for all of them.
        monkeypatch.setenv("OMP_NUM_THREADS", "3")
        assert cores.cores() == 1
        monkeypatch.delenv("OMP_NUM_THREADS")
        end.set()
        other.join()
        # It is expected to go on for a moment, and then it is not.
        deadline = time.monotonic() + 100 * STAYS
        while cores.cores() < 8:
            assert time.monotonic() < deadline
            time.sleep(STAYS / 5)


def test_one_that_died_while_it_computed_leaves_its_part():
    table = WorkerTable(2)
    table.computes(1, float("inf"))
    assert table.users(0) == 2
    table.leave(1)
    assert table.users(0) == 1


def test_who_computes_without_other_workers_tells_nobody(monkeypatch):
    monkeypatch.setattr(cores, "processors", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    with computing():
        assert cores.cores() == 8


def test_only_workers_that_take_connections_are_compared():
    table = WorkerTable(3)
    table.has(0, 2)
    assert not table.is_fuller(0)
    table.has(2, 1)
    assert table.is_fuller(0) and not table.is_fuller(2)
    table.leave(2)
    assert not table.is_fuller(0)
