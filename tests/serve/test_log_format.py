import io
import json
import logging
import re

import pytest

from serve.log_format import configure_logging
from serve.request_facts import CURRENT, RequestFacts


@pytest.fixture
def logged():
    """Configures logging and gives what reads the lines; afterwards it is as before."""
    loggers = [logging.getLogger(name) for name in (None, "telmo", "uvicorn", "uvicorn.error", "mlflow")]
    before = [(one.level, one.handlers[:], one.propagate) for one in loggers]
    stream = io.StringIO()

    def configure(form, level="info"):
        configure_logging(form, level, stream)
        return lambda: stream.getvalue().splitlines()

    yield configure
    logging.captureWarnings(False)
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = True
    for one, (level, handlers, propagate) in zip(loggers, before, strict=True):
        one.setLevel(level)
        one.handlers[:], one.propagate = handlers, propagate


def test_a_record_is_a_json_object(logged):
    lines = logged("json")
    logging.getLogger("telmo.serve").info("it took %d", 3, extra={"facts": {"status": 200}})
    (line,) = map(json.loads, lines())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    assert line == {"level": "info", "logger": "telmo.serve", "message": "it took 3", "status": 200}


def test_a_record_is_a_line_of_text(logged):
    lines = logged("text")
    logging.getLogger("telmo.serve").info("it took %d", 3, extra={"facts": {"status": 200}})
    assert lines()[0].split(" ", 1)[1] == "INFO telmo.serve: it took 3 status=200"


FORGED = "a\n2026-01-01T00:00:00.000Z INFO telmo: forged\r\x1b[2K\u2028\u202e\x85 \ud800"


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_text_cannot_forge_a_line(logged, form):
    lines = logged(form)
    logging.getLogger("telmo.serve").warning("found %s", FORGED, extra={"facts": {"name": FORGED}})
    assert len(lines()) == 1
    assert lines()[0].isprintable()


def test_the_lines_of_a_traceback_cannot_pass_for_records(logged):
    lines = logged("text")
    try:
        raise ValueError(FORGED)
    except ValueError:
        logging.getLogger("telmo.serve").exception("failed")
    first, *rest = lines()
    assert "failed" in first and rest
    assert all(line.startswith("    | ") and line.isprintable() for line in rest)


def test_a_traceback_is_a_part_of_its_json_object(logged):
    lines = logged("json")
    try:
        raise ValueError("why")
    except ValueError:
        logging.getLogger("telmo.serve").exception("failed")
    (line,) = map(json.loads, lines())
    assert line["message"] == "failed" and line["traceback"].endswith("ValueError: why")


def test_libraries_write_in_the_same_format_and_once(logged):
    logging.getLogger("mlflow").addHandler(logging.StreamHandler(io.StringIO()))
    for name in ("mlflow", "uvicorn.error"):
        logging.getLogger(name).setLevel(logging.ERROR)
    lines = logged("json")
    logging.getLogger("uvicorn.error").info("started")
    logging.getLogger("mlflow.tracking").warning("slow")
    logging.getLogger("some.library").info("chatter")
    assert [(line["logger"], line["message"]) for line in map(json.loads, lines())] == [
        ("uvicorn.error", "started"),
        ("mlflow.tracking", "slow"),
    ]


def test_the_level_is_that_of_telmo(logged):
    lines = logged("text", "warning")
    logging.getLogger("telmo.serve").info("no")
    logging.getLogger("telmo.serve").warning("yes")
    assert len(lines()) == 1


def test_what_is_told_during_a_request_names_it(logged):
    lines = logged("json")
    token = CURRENT.set(RequestFacts("abc", "GET"))
    logging.getLogger("telmo.serve").warning("odd")
    CURRENT.reset(token)
    assert json.loads(lines()[0])["request_id"] == "abc"
