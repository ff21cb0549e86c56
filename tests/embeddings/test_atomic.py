"""Outputs are on the disk before they have their names."""

import os
import subprocess
import sys

import pytest

from embeddings.atomic import atomic_file, atomic_folder
from embeddings.errors import OutputError


@pytest.fixture
def flushed(monkeypatch):
    """The inodes that were flushed to the disk, in order, each with the names that then stood in the watched folder."""
    seen = []

    def fsync(descriptor, flush=os.fsync):
        flush(descriptor)
        seen.append((os.fstat(descriptor).st_ino, sorted(name for name in os.listdir() if name[0] != ".")))

    monkeypatch.setattr(os, "fsync", fsync)
    return seen


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_file_is_flushed_before_its_renaming_and_the_folder_after_it(here, flushed):
    with atomic_file(here / "result") as temporary:
        temporary.write_text("whole")
        assert not flushed
    assert flushed == [((here / "result").stat().st_ino, []), (here.stat().st_ino, ["result"])]


def test_all_that_is_in_a_folder_is_flushed_before_its_renaming(here, flushed):
    for _ in range(2):
        flushed.clear()
        with atomic_folder(here / "result", ("a", "part")) as temporary:
            (temporary / "part").mkdir()
            for name in ("a", "part/b"):
                (temporary / name).write_text("whole")
        *before, last = flushed
        inside = [here / "result", *(here / "result").rglob("*")]
        assert {inode for inode, _ in before} == {path.stat().st_ino for path in inside}
        assert last == (here.stat().st_ino, ["result"])
    # The earlier result stood until the new one was on the disk.
    assert all(names == ["result"] for _, names in before)


def test_nothing_takes_the_name_if_the_disk_fails(here, monkeypatch):
    def fsync(descriptor):
        raise OSError(5, "Input/output error")

    (here / "result").write_text("earlier")
    monkeypatch.setattr(os, "fsync", fsync)
    with (
        pytest.raises(OutputError, match="result: cannot be written \\(Input/output error\\)"),
        atomic_file(here / "result") as temporary,
    ):
        temporary.write_text("whole")
    assert [path.name for path in here.iterdir()] == ["result"]
    assert (here / "result").read_text() == "earlier"


def test_rests_of_writers_that_were_killed_are_removed_and_those_of_others_stay(here):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    # One that is alone in a container always has the same number, also that of the one before.
    rests = [here / f".result.{process}-0123abcd" for process in (dead.pid, os.getpid(), os.getppid())]
    for rest in rests:
        rest.mkdir()
    with atomic_folder(here / "result", ("a",)) as temporary:
        (temporary / "a").touch()
        with atomic_folder(here / "result", ("a",)) as other:
            (other / "a").touch()
        assert temporary.exists()
    assert [rest.exists() for rest in rests] == [False, False, True]


def test_what_stood_there_is_put_back_after_a_kill_between_the_renamings(here):
    """The next writer does it, though it fails itself."""
    (here / ".result.replaced").mkdir()
    (here / ".result.replaced" / "a").write_text("earlier")
    with pytest.raises(KeyError), atomic_folder(here / "result", ("a",)):
        raise KeyError
    assert (here / "result" / "a").read_text() == "earlier"
    assert os.listdir() == ["result"]
