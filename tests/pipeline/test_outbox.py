"""What a run has told is lost neither to a store that refuses, nor to another that stands in its place, nor to a
process that looks; and a disk that is full ends no training."""

import os
import shutil
import signal
import subprocess
import sys
import threading

import mlflow
import pytest
from mlflow.exceptions import MlflowException

from embeddings.errors import OutputError
from pipeline import outbox as outbox_module
from pipeline.config import Tracking
from pipeline.config_file import Section
from pipeline.outbox import Outbox, names_of, outboxes
from pipeline.outbox_delivery import Delivery
from pipeline.outbox_sender import Sender, send_left
from pipeline.sync import sync_stage
from pipeline.tracking import start_run

pytestmark = pytest.mark.usefixtures("quick_outbox")

TOLD = [(step, 1 / (1 + step)) for step in range(50)]


class Config(Section):
    rate: float = 0.5


def begin(run_id=None):
    return start_run(Tracking(), "train", "a run", Config(), run_id)


@pytest.fixture
def left(tracking_uri):
    """An outbox, still open, whose run MLflow has, and which holds what MLflow has not heard; and the run's id."""
    box = Outbox.new(tracking_uri)
    key = box.begin(None, name="a run", experiment="telmo", tags={}, wanted=None)
    Sender(box, Delivery(tracking_uri), pytest.fail).send(box)
    for step, loss in TOLD:
        box.add(key, "metrics", {"values": {"loss": loss}, "step": step, "time": 1000 + step})
    return box, box.run_ids[key]


def losses(run_id):
    history = mlflow.MlflowClient().get_metric_history(run_id, "loss")
    return sorted((point.step, point.value) for point in history)


def status(run_id):
    return mlflow.get_run(run_id).info.status


def refused(*arguments):
    raise MlflowException("who are you", error_code=16)


def test_a_store_that_refuses_a_run_that_goes_on_takes_nothing_of_what_it_told(left, monkeypatch):
    box, run_id = left
    box.end(next(iter(box.run_ids)), "FAILED", 2000)
    box.close()
    with monkeypatch.context() as patch:
        patch.setattr(Delivery, "_metrics", refused)
        with pytest.raises(OutputError, match="who are you"), begin(run_id):
            pytest.fail("began")
    assert sync_stage(print) == 1 and losses(run_id) == TOLD
    assert status(run_id) == "FAILED" and mlflow.get_run(run_id).info.end_time == 2000


def test_another_store_at_the_address_is_not_given_what_was_left(left, capsys):
    box, run_id = left
    box.close()
    delete(run_id)
    told = []
    with pytest.raises(OutputError, match="0 runs sent; 1 of 1 folders are kept"):
        sync_stage(told.append)
    assert len(told) == 1 and f"has no run {run_id}" in told[0] and str(box.folder) in told[0]
    with begin():
        pass
    assert f"has no run {run_id}" in capsys.readouterr().err and outboxes() == [box.folder]
    mlflow.MlflowClient().restore_run(run_id)
    assert sync_stage(print) == 1 and losses(run_id) == TOLD and status(run_id) == "KILLED"


def delete(run_id):
    mlflow.MlflowClient().delete_run(run_id)


def test_a_run_that_goes_on_where_mlflow_has_it_no_more_begins_anew(left, capsys):
    box, run_id = left
    box.close()
    delete(run_id)
    with begin(run_id) as run:
        run.metrics({"loss": 7.0}, step=99)
    assert run.run_id != run_id and not outboxes()
    assert losses(run.run_id) == [*TOLD, (99, 7.0)]
    assert status(run.run_id) == "FINISHED" and mlflow.get_run(run.run_id).data.params["rate"] == "0.5"
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and f"has no run {run_id}" in told


def test_a_run_and_its_child_that_are_gone_begin_anew_while_they_run(tracking_uri, capsys):
    with begin() as parent, begin() as child:
        while len(parent._outbox.run_ids) < 2 or len(parent._outbox):
            parent._sender.sent(0)
        gone = [parent.run_id, child.run_id]
        for run_id in gone:
            delete(run_id)
        parent.metrics({"loss": 1.0})
        child.metrics({"loss": 2.0})
    assert losses(parent.run_id) == [(0, 1.0)] and losses(child.run_id) == [(0, 2.0)]
    assert not {parent.run_id, child.run_id} & set(gone)
    assert capsys.readouterr().err.count("\n") == 1


def test_a_run_that_goes_on_waits_for_who_looks_at_its_outbox(left, tracking_uri):
    box, run_id = left
    found = []
    search = threading.Thread(target=lambda: found.append(Outbox.of_run(tracking_uri, run_id)))
    search.start()
    search.join(0.2)
    assert search.is_alive()
    box.close()
    search.join(10)
    assert found[0].folder == box.folder and len(found[0]) == len(TOLD)
    # By the key, which is all that a run knows of itself until MLflow answers, and not by the name of another.
    found[0].close()
    again = Outbox.of_run(tracking_uri, next(iter(box.run_ids)))
    assert again.folder == box.folder and Outbox.of_run(tracking_uri, "another") is None
    again.remove()


def test_an_outbox_that_is_emptied_while_it_is_waited_for_is_none(left, tracking_uri):
    box, run_id = left
    search = threading.Thread(target=lambda: found.append(Outbox.of_run(tracking_uri, run_id)))
    found = []
    search.start()
    box.remove()
    search.join(10)
    assert found == [None] and not box.folder.exists()


@pytest.mark.parametrize("has_ended", [True, False])
def test_a_run_that_went_on_without_its_outbox_was_not_killed(left, tracking_uri, has_ended, monkeypatch):
    monkeypatch.setattr(outbox_module, "PATIENCE", 0)
    box, run_id = left
    sender = Sender(box, Delivery(tracking_uri), pytest.fail)
    with begin(run_id) as run:
        assert run.run_id == run_id
        if not has_ended:
            send_left(box, sender)
            assert status(run_id) == "RUNNING"
    if has_ended:
        send_left(box, sender)
    assert status(run_id) == "FINISHED" and losses(run_id) == TOLD


def test_a_look_is_no_sign_of_life(tracking_uri, house):
    code = f"""
import os
from pipeline import outbox
outbox.milliseconds = lambda: 1234567
box = outbox.Outbox.new({tracking_uri!r})
key = box.begin(None, name="killed", experiment="telmo", tags={{}}, wanted=None)
outbox.milliseconds = lambda: 2345678
box.add(key, "metrics", {{"values": {{"loss": 1.0}}, "step": 1, "time": 1}})
os.kill(os.getpid(), 9)
"""
    here = os.environ | {"PYTHONPATH": str(house)}
    assert subprocess.run([sys.executable, "-c", code], check=False, env=here).returncode == -signal.SIGKILL
    Outbox(outboxes()[0]).close()
    sync_stage(print)
    (run,) = mlflow.search_runs(search_all_experiments=True, output_format="list")
    assert (run.info.start_time, run.info.end_time, run.info.status) == (1234567, 2345678, "KILLED")


def test_a_full_disk_ends_no_run_and_what_it_tells_waits(tracking_uri, capsys):
    with begin() as run:
        journal = run._outbox._journal
        pages = journal.execute("PRAGMA page_count").fetchone()[0]
        journal.execute(f"PRAGMA max_page_count = {pages}")
        for step in range(500):
            run.metrics({"a" * 200: step}, step=step)
        assert run._sender._unwritten
        with begin() as child:
            child.metrics({"loss": 1.0})
        run.end_children()
        journal.execute("PRAGMA max_page_count = 1000000")
    history = mlflow.MlflowClient().get_metric_history(run.run_id, "a" * 200)
    assert [point.step for point in history] == list(range(500)) and status(run.run_id) == "FINISHED"
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "full" in told and "TELMO_CACHE" in told and not outboxes()


def test_a_journal_that_cannot_be_read_ends_no_run(tracking_uri, tmp_path, capsys):
    (tmp_path / "model").mkdir()
    with begin() as run:
        run._outbox.close()
        run.metrics({"loss": 1.0})
        run.text("a", "a.txt")
        assert run.model(tmp_path / "model", "a", "name", None, {}) is None
        with begin() as child:
            assert not child.is_tracked
    assert capsys.readouterr().err.count("cannot be written") == 1


def test_a_cache_that_is_cleared_ends_no_run(tracking_uri, tmp_path):
    with begin() as run:
        while not run._outbox.run_ids or len(run._outbox):
            run._sender.sent(0)
        shutil.rmtree(tmp_path / "cache")
        run.metrics({"loss": 1.0})
        run.text("hello", "hello.txt")
    assert losses(run.run_id) == [(0, 1.0)] and status(run.run_id) == "FINISHED"
    assert mlflow.artifacts.load_text(f"runs:/{run.run_id}/hello.txt") == "hello"


def test_the_names_of_a_run_are_there_whoever_has_its_outbox(left):
    box, run_id = left
    assert names_of(box.folder) == [next(iter(box.run_ids)), run_id] and names_of(box.folder / "none") == []
    box.remove()
