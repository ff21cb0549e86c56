"""MLflow as commands use it: it says nothing itself, and who asks it does not wait for minutes."""

import logging
import os
import re
from typing import Any


def quiet_mlflow() -> Any:
    """MLflow without its bars, greetings and warnings, and without its own patience: seven more attempts take four
    minutes, of which it says nothing. A user's settings win."""
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
    return re.sub(r"(?<=://)[^/@\s]+:[^/\s]+@", "", text)
