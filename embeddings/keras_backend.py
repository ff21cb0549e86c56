"""What Keras computes with."""

import os
import sys
from importlib.util import find_spec


def prefer_backend(name: str) -> None:
    """Let Keras compute with a backend, by its name there, before anything loads Keras; a user's choice wins, and so
    does another backend on a machine that has not this one."""
    if "keras" not in sys.modules and find_spec(name):
        os.environ.setdefault("KERAS_BACKEND", name)
