"""A corpus becomes a store, whole however often the work breaks off."""

import hashlib
import io
import json
import os
import random
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest

from embeddings.embedder import Embedder
from embeddings.errors import ConfigError, InputError, OutputError
from embeddings.selection import Selection
from embeddings.source import load_bilm
from embeddings.stores import open_vectors
from pipeline import embed, unfinished
from pipeline.embed import EmbeddingJob, embed_stage
from pipeline.sentence_stream import BEGIN, Sentences

TEXTS = [" ".join(f"w{(k * k + j) % 37}" for j in range(k % 9)) for k in range(60)]


@pytest.fixture
def small(monkeypatch):
    """Windows of four sentences, and a table of words that is soon full."""
    whole = embed.Embedder

    def embedder(*arguments, **more):
        made = whole(*arguments, batch_size=None if more.get("stateful") else 1, batch_words=2, **more)
        made._table.capacity = 12
        return made

    monkeypatch.setattr(embed, "Embedder", embedder)


@pytest.fixture
def job(tmp_path, tiny_bilm_folder):
    (tmp_path / "a.txt").write_text("\n".join(TEXTS) + "\n")

    def make(selection=None, stateful=False, **how):
        sentences = Sentences(names=(str(tmp_path / "a.txt"),), tokenizer="whitespace", **how)
        return EmbeddingJob(str(tiny_bilm_folder), sentences, selection or Selection(), stateful)

    return make


class Killed(BaseException):
    """In place of a signal."""


def killed_after(commits):
    def report(progress):
        if progress.work.words and report.left == 0:
            raise Killed
        report.left -= 1

    report.left = commits - 1
    return report


def files_of(path):
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return {file.name: file.read_bytes() for file in files if file.is_file()}


@pytest.mark.parametrize("name", ["v.hdf5", "v.parquet", "v.zarr", "v"])
def test_vectors_are_those_of_the_embedder_in_every_form(tmp_path, job, tiny_bilm_folder, name):
    done = embed_stage(job(), tmp_path / name)
    words = sum(len(text.split()) for text in TEXTS)
    assert (done.counts.sentences, done.counts.words, done.counts.empty) == (60, words, 7)
    found = open_vectors(tmp_path / name)
    expected = Embedder(load_bilm(tiny_bilm_folder)).embed([text.split() for text in TEXTS])
    for k, vectors in enumerate(expected):
        np.testing.assert_allclose(found[k], vectors, atol=1e-6)
    assert found.words(58) == TEXTS[58].split()
    manifest = json.loads((tmp_path / f"{name}.manifest.json").read_text())
    assert manifest["counts"] == {"sentences": 60, "words": words, "empty": 7, "cut": 0, "unreadable": 0}
    assert not (tmp_path / f"{name}.part").exists()


@pytest.mark.parametrize("stateful", [False, True])
@pytest.mark.parametrize("commits", [1, 2, 5])
def test_what_was_killed_goes_on_to_the_same_bytes(tmp_path, job, small, stateful, commits):
    asked = job(stateful=stateful)
    embed_stage(asked, tmp_path / "whole")
    ends = 0
    while not (tmp_path / "v").exists():
        try:
            embed_stage(asked, tmp_path / "v", report=killed_after(commits))
        except Killed:
            ends += 1
    assert ends >= (1 if commits == 5 else 3)
    assert files_of(tmp_path / "v") == files_of(tmp_path / "whole")
    whole, found = (json.loads((tmp_path / f"{name}.manifest.json").read_text()) for name in ("whole", "v"))
    assert found == whole


@pytest.mark.parametrize("stateful", [False, True])
def test_hundreds_of_sentences_are_committed_at_once(tmp_path, job, stateful):
    (tmp_path / "a.txt").write_text("one two\n" * 500)
    done = []
    embed_stage(job(stateful=stateful), tmp_path / "v", report=lambda progress: done.append(progress.counts.sentences))
    assert done == [500]


@pytest.mark.parametrize("name", ["v.hdf5", "v"])
def test_what_was_killed_as_it_took_its_form_is_not_computed_again(tmp_path, job, monkeypatch, name):
    def fail(*_):
        raise Killed

    with monkeypatch.context() as broken:
        broken.setattr(unfinished, "write_vectors" if name == "v.hdf5" else "_link", fail)
        with pytest.raises(Killed):
            embed_stage(job(), tmp_path / name)
    monkeypatch.setattr(embed, "load_bilm", fail)
    done = embed_stage(job(), tmp_path / name)
    assert done.counts.sentences == 60 and len(open_vectors(tmp_path / name)) == 60
    # Nor once more.
    again = embed_stage(job(), tmp_path / name)
    assert again.done and again.counts == done.counts


def test_another_job_does_not_go_on_with_the_work(tmp_path, job, small):
    with pytest.raises(Killed):
        embed_stage(job(), tmp_path / "v", report=killed_after(1))
    with pytest.raises(OutputError, match=r'v\.part: was begun with selection .*"all".*, now it is .*"average"'):
        embed_stage(job(Selection("average")), tmp_path / "v")
    (tmp_path / "a.txt").write_text("other\n")
    with pytest.raises(OutputError, match=r"v\.part: was begun with another content of a\.txt; expected the same"):
        embed_stage(job(), tmp_path / "v")


def test_a_text_of_the_same_size_is_another_text(tmp_path, job, small):
    embed_stage(job(), tmp_path / "v")
    with pytest.raises(Killed):
        embed_stage(job(), tmp_path / "part", report=killed_after(1))
    text = (tmp_path / "a.txt").read_bytes().replace(b"w1 ", b"w2 ")
    (tmp_path / "a.txt").write_bytes(text)
    assert not embed_stage(job(), tmp_path / "v").done
    assert open_vectors(tmp_path / "v").words(58) == text.decode().splitlines()[58].split()
    manifest = json.loads((tmp_path / "v.manifest.json").read_text())
    assert manifest["files"] == [["a.txt", len(text), hashlib.sha256(text).hexdigest()]]
    with pytest.raises(OutputError, match=r"part\.part: was begun with another content of a\.txt"):
        embed_stage(job(), tmp_path / "part")


@pytest.fixture
def piped(monkeypatch, tiny_bilm_folder):
    """Embeds a text from standard input."""

    def run(text, output, **how):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text)))
        sentences = Sentences(names=("-",), tokenizer="whitespace", unreadable="skip")
        return embed_stage(EmbeddingJob(str(tiny_bilm_folder), sentences), output, **how)

    return run


def test_standard_input_is_read_each_time(tmp_path, piped):
    assert piped(b"one two\n", tmp_path / "v").counts.words == 2
    first = json.loads((tmp_path / "v.manifest.json").read_text())
    again = piped(b"one two three\n", tmp_path / "v")
    assert not again.done and open_vectors(tmp_path / "v").words(0) == ["one", "two", "three"]
    second = json.loads((tmp_path / "v.manifest.json").read_text())
    assert first["files"] is None and first["sentences"] != second["sentences"]


def test_only_the_same_text_from_standard_input_is_gone_on_with(tmp_path, piped, small):
    text = b"\xff\n" + "\n".join(TEXTS).encode() + b"\n\xff\n"
    piped(text, tmp_path / "whole")
    with pytest.raises(Killed):
        piped(text, tmp_path / "v", report=killed_after(2))
    with pytest.raises(OutputError, match=r"v\.part: was begun with another text from standard input; sentence 3 diff"):
        piped(text.replace(b"w1\n", b"w2\n", 1), tmp_path / "v")
    with pytest.raises(OutputError, match="sentence 2 differs"):
        piped(b"\xff\n", tmp_path / "v")
    told = []
    piped(text, tmp_path / "v", tell=told.append)
    # What was told before is not told again.
    assert len(told) == 1 and "line 62" in told[0]
    assert files_of(tmp_path / "v") == files_of(tmp_path / "whole")


def test_a_complete_work_on_standard_input_does_not_stand_for_another_text(tmp_path, piped, monkeypatch):
    def fail(*_):
        raise Killed

    with monkeypatch.context() as broken:
        broken.setattr(unfinished, "_link", fail)
        with pytest.raises(Killed):
            piped(b"one\ntwo\n", tmp_path / "v")
    for other, number in ((b"one\nthree\n", 2), (b"one\n", 2), (b"one\ntwo\nthree\n", 3)):
        with pytest.raises(OutputError, match=f"another text from standard input; sentence {number} differs"):
            piped(other, tmp_path / "v")
    assert piped(b"one\ntwo\n", tmp_path / "v").counts.words == 2


def test_a_complete_store_of_another_job_is_replaced(tmp_path, job):
    told = []
    embed_stage(job(), tmp_path / "v", tell=told.append)
    embed_stage(job(Selection("1", "mean", "float16")), tmp_path / "v", tell=told.append)
    assert told == [f"{tmp_path / 'v'}: holds a store; this one will take its place"]
    found = open_vectors(tmp_path / "v")
    assert found[3].shape == (1, 1, 8) and found[3].dtype == np.float16
    embed_stage(job(), tmp_path / "v.hdf5")
    with h5py.File(tmp_path / "v.hdf5") as file:
        assert len(file) == 61


def test_two_processes_do_not_work_on_one_output(tmp_path, job, small):
    def second(progress):
        embed_stage(job(), tmp_path / "v")

    with pytest.raises(OutputError, match=r"v\.part: another process works in it"):
        embed_stage(job(), tmp_path / "v", report=second)


def test_a_full_disk_is_told_and_what_is_done_stays(tmp_path, job, small, monkeypatch):
    add, left = unfinished.StoreWriter.add, [30]

    def full(self, *arguments):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, "No space left on device")
        add(self, *arguments)

    with monkeypatch.context() as small_disk:
        small_disk.setattr(unfinished.StoreWriter, "add", full)
        with pytest.raises(OutputError, match=r"v: cannot be written \(No space left on device\); .*v\.part keeps"):
            embed_stage(job(), tmp_path / "v")
    seen = []
    embed_stage(job(), tmp_path / "v", report=lambda progress: seen.append(progress.counts.sentences))
    assert seen[0] > 4 and len(open_vectors(tmp_path / "v")) == 60


def test_a_line_that_cannot_be_read_stops_or_is_passed_over(tmp_path, job, small):
    lines = (tmp_path / "a.txt").read_bytes().split(b"\n")
    lines[41] = b"no \xff"
    (tmp_path / "a.txt").write_bytes(b"\n".join(lines))
    with pytest.raises(InputError, match=r"a\.txt line 42: byte 0xff"):
        embed_stage(job(), tmp_path / "v")
    assert (tmp_path / "v.part").is_dir() and not (tmp_path / "v").exists()
    told = []
    done = embed_stage(job(unreadable="skip", cut=5), tmp_path / "w", tell=told.append)
    assert done.counts.unreadable == 1 and len(told) == 1 and "line 42" in told[0]
    assert done.counts.cut == sum(len(text.split()) > 5 for k, text in enumerate(TEXTS) if k != 41)
    found = open_vectors(tmp_path / "w")
    assert found[41].shape == (3, 0, 8) and found[8].shape == (3, 5, 8)


def test_what_a_line_has_stopped_goes_on_past_it_where_that_is_asked_for(tmp_path, job, small):
    lines = (tmp_path / "a.txt").read_bytes().split(b"\n")
    lines[41] = b"no \xff"
    (tmp_path / "a.txt").write_bytes(b"\n".join(lines))
    embed_stage(job(unreadable="skip"), tmp_path / "whole")
    with pytest.raises(InputError):
        embed_stage(job(), tmp_path / "v")
    seen = []
    embed_stage(job(unreadable="skip"), tmp_path / "v", report=seen.append)
    assert 0 < seen[-1].work.words < seen[-1].counts.words
    assert files_of(tmp_path / "v") == files_of(tmp_path / "whole")
    # Who asks for a stop is not given a store with a gap as complete.
    with pytest.raises(InputError, match="line 42"):
        embed_stage(job(), tmp_path / "v")
    assert embed_stage(job(unreadable="skip"), tmp_path / "v").done


def test_of_long_sentences_few_are_read_ahead():
    read = []

    def sentences(words):
        for k in range(2000):
            read.append(k)
            yield embed.Sentence(["w"] * words, BEGIN)

    for words, expected in ((1, 256), (100, 164), (20_000, 1)):
        read.clear()
        assert len(next(embed._in_blocks(sentences(words)))) == len(read) == expected


def test_what_cannot_be_is_told_before_anything_is_computed(tmp_path, job, monkeypatch):
    monkeypatch.setattr(embed, "load_bilm", None)
    with pytest.raises(ConfigError, match="no layer 3; expected 0 to 2"):
        embed_stage(job(Selection("3")), tmp_path / "v")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("years of work")
    with pytest.raises(OutputError, match="mine: holds something else"):
        embed_stage(job(), tmp_path / "mine")
    (tmp_path / "mine.parquet").write_text("years of work")
    with pytest.raises(OutputError, match=r"mine\.parquet: is not of `telmo embed`"):
        embed_stage(job(), tmp_path / "mine.parquet")


@pytest.mark.slow
def test_processes_that_are_killed_lose_nothing(tmp_path, house, job, tiny_bilm_folder):
    """By signal 9, some moment after a commit; `benchmarks/interruptions.py` does it at any."""
    lines = [" ".join(f"w{(k * k + j) % 997}" for j in range(20)) for k in range(20_000)]
    (tmp_path / "a.txt").write_text("\n".join(lines) + "\n")
    embed_stage(job(Selection("2")), tmp_path / "whole.parquet")
    expected, journal = (tmp_path / "whole.parquet").read_bytes(), tmp_path / "v.parquet.part/journal.json"
    command = [sys.executable, "-m", "pipeline.cli", "embed", str(tmp_path / "a.txt"), "v.parquet"]
    command += ["--source", str(tiny_bilm_folder), "--layers", "2", "--tokenizer", "whitespace"]
    done = []
    for share in (0.0, 0.5):
        process = subprocess.Popen(command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(house)})
        while not journal.exists() or json.loads(journal.read_text())["sentences"] <= share * len(lines):
            assert process.poll() is None
            time.sleep(0.001)
        time.sleep(random.uniform(0, 0.02))
        process.send_signal(signal.SIGKILL)
        process.wait()
        done.append(json.loads(journal.read_text())["sentences"])
    assert 0 < done[0] < done[1] < len(lines)
    embed_stage(job(Selection("2")), tmp_path / "v.parquet")
    assert (tmp_path / "v.parquet").read_bytes() == expected and not journal.parent.exists()
