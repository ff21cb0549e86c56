"""The code that a registered model brings along."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from embeddings.bundled import FOLDER


@contextmanager
def model_code() -> Iterator[list[str]]:
    """The packages that answer, as folders, without the bundled biLM: a model has the weights that it needs itself."""
    house = Path(__file__).parent.parent
    ignored = shutil.ignore_patterns(FOLDER.name, "__pycache__")
    with TemporaryDirectory() as folder:
        yield [
            str(shutil.copytree(house / package, Path(folder) / package, ignore=ignored))
            for package in ("embeddings", "models")
        ]
