"""MLflow as Telmo asks it: quietly, with little patience, and what goes wrong told in a line."""

import logging
import os
import re
from typing import Any

NOT_THERE = ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST")
"""Codes of errors with which MLflow answers for what it does not have."""

_USER = re.compile(r"(?<=://)(?:[^/?#\s]*|[^/@:?#\s]*:(?!\d*(?:[/?#\s]|$))\S*)@")
"""What stands before the host. A password may hold a slash, as SQLAlchemy reads it, where a port has digits only."""

_SECRET = re.compile(r"(?i)(?<=[?&;])(user|uid|odbc_connect|\w*(?:password|passwd|pwd|secret|token)\w*)=[^&\s]*")
"""What stands behind it, as PostgreSQL's own addresses have it."""


def quiet_mlflow() -> Any:
    """MLflow without its bars, greetings and warnings, and without its patience, which is minutes: who watches is told,
    and what is sent is kept and sent again. A user's settings win."""
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    import mlflow

    # Alembic tells every step of making a new database.
    for name in ("alembic", "mlflow", "urllib3.connectionpool"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # It tells of a locked database in fifty lines.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    return mlflow


def without_login(text: str) -> str:
    """An address, or an error that names one, without user and password."""
    return _SECRET.sub(r"\1=***", _USER.sub("", text))


def reason_of(error: BaseException) -> str:
    """Why MLflow could not be asked, or what it answered, in a line."""
    # Of a server that is not there MLflow tells what the libraries below it told one another.
    below = error.__cause__ or error.__context__
    reason = getattr(below.args[0], "reason", None) if below and below.args else None
    text = str(reason).rpartition("): ")[2] if reason else str(error)
    return without_login((text.splitlines() or [type(error).__name__])[0])
