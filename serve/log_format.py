"""Log records as lines, for people or as JSON; a record cannot forge another, whatever it holds."""

import json
import logging
import os
import sys
import time
from functools import lru_cache
from typing import Any, TextIO

from serve.options import LogFormat, LogLevel
from serve.request_facts import CURRENT

_encode = json.JSONEncoder(default=str).encode

_TAKEN_OVER = ("uvicorn", "uvicorn.error", "uvicorn.access", "mlflow", "alembic", "tensorflow", "absl")
"""Loggers of libraries that bring handlers of their own."""


def configure_logging(form: LogFormat, level: LogLevel, stream: TextIO | None = None) -> None:
    """Let every record of the process be one line of one format on one stream.

    Args:
        level: of Telmo and of uvicorn; other libraries tell from warnings on.
        stream: standard error by default.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in _TAKEN_OVER:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(logging.NOTSET)
    # MLflow would set up its own as it is imported.
    os.environ.setdefault("MLFLOW_CONFIGURE_LOGGING", "false")
    logging.captureWarnings(True)
    # No line says them, and to find them out takes time (Python's "Logging HOWTO", "Optimization").
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    for name in ("telmo", "uvicorn"):
        logging.getLogger(name).setLevel(level.upper())


def _time_of(record: logging.LogRecord) -> str:
    """RFC 3339, in UTC."""
    return f"{_second(int(record.created))}.{int(record.msecs):03d}Z"


@lru_cache(maxsize=1)
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def _facts_of(record: logging.LogRecord) -> dict[str, Any]:
    """What the record says beside its message; the request it belongs to, if it says nothing."""
    facts = getattr(record, "facts", None)
    if facts is None:
        current = CURRENT.get()
        return {"request_id": current.request_id} if current else {}
    return facts


class JsonFormatter(logging.Formatter):
    """A JSON object a line: `time`, `level`, `logger`, `message`, the facts of the record, and `trace`, if an error is
    told. ASCII, so that no reader of lines takes a character of a text for an end of line."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": _time_of(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        } | _facts_of(record)
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return _encode(line)


class TextFormatter(logging.Formatter):
    """`time LEVEL logger: message key=value ...`; the lines of a traceback are set off by a bar."""

    def format(self, record: logging.LogRecord) -> str:
        facts = "".join(f" {key}={value}" for key, value in _facts_of(record).items())
        line = _printable(f"{_time_of(record)} {record.levelname} {record.name}: {record.getMessage()}{facts}")
        if record.exc_info:
            trace = self.formatException(record.exc_info).splitlines()
            line = "\n".join([line, *(f"    | {_printable(part)}" for part in trace)])
        return line


def _printable(text: str) -> str:
    """The text with what is no visible character (ends of line, terminal and direction codes) written as escapes."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
