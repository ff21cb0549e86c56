"""The benchmark of tracking finds what MLflow lacks, and leaves no server behind."""

import subprocess

import pytest


@pytest.fixture
def tracking(house, monkeypatch):
    monkeypatch.syspath_prepend(str(house / "benchmarks"))
    import tracking

    return tracking


def found(last=30):
    """What MLflow has of a training of that many batches: points by metric and step."""
    steps = (*range(10, last, 10), last)
    there = {(key, step): 1 for key in ("loss", "gradient_norm.forward") for step in steps}
    there |= {("forward_perplexity", last): 1, ("system/cpu", 7): 2}
    return there


def rows(points):
    return [(key, step, count) for (key, step), count in points.items() if count]


def test_a_run_is_whole_when_every_metric_is_there_at_every_step_once(tracking, capsys):
    assert tracking.is_whole(rows(found())) and tracking.is_whole(rows(found(last=34)))
    capsys.readouterr()
    assert not tracking.is_whole(rows(found() | {("gradient_norm.forward", 20): 0}))
    assert "gradient_norm.forward: 2 of 3 steps there, 0 more than once" in capsys.readouterr().out
    assert not tracking.is_whole(rows(found() | {("gradient_norm.forward", 20): 2}))
    assert "gradient_norm.forward: 3 of 3 steps there, 1 more than once" in capsys.readouterr().out
    assert not tracking.is_whole(rows(found() | {("forward_perplexity", 30): 0}))
    assert not tracking.is_whole([])


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_a_server_does_not_outlive_its_block(error, tracking, tmp_path, monkeypatch):
    begin = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda command, **options: begin(["sleep", "600"], **options))
    monkeypatch.setattr(tracking.urllib.request, "urlopen", lambda address: None)
    with pytest.raises(error), tracking.serve(tmp_path, 1) as server:
        assert server.poll() is None
        raise error
    assert server.poll() is not None
