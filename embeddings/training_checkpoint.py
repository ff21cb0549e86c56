"""Where a training stands, on disk: whole or not at all, and the one before is kept until the next is complete.

    batch-00001200/
        position.json     what was done, and where in the text
        variables.npz     weights, carried states, random state and the optimizer's variables, in their order

Arrays have no backend: what was begun on one goes on with another.
"""

import json
import re
import shutil
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from embeddings.atomic import atomic_folder
from embeddings.errors import SourceError

POSITION, VARIABLES = "position.json", "variables.npz"
_NAME = re.compile(r"batch-(\d+)")


def save_checkpoint(
    folder: Path, batch: int, position: dict[str, Any], variables: Iterable[Any], keep: int = 2
) -> None:
    """Write a checkpoint and remove all but the newest.

    Args:
        folder: of the training's checkpoints.
        batch: number of batches done.
        position: what JSON can hold.
        variables: Keras variables.
        keep: how many stay.

    Raises:
        OutputError: the folder cannot be written.
    """
    from keras import ops

    target = folder / f"batch-{batch:08}"
    with atomic_folder(target, POSITION) as temporary:
        with (temporary / VARIABLES).open("wb") as file:
            np.savez(file, **{path: ops.convert_to_numpy(variable) for path, variable in _numbered(variables)})
        (temporary / POSITION).write_text(json.dumps(position) + "\n", "utf-8")
    for old in _checkpoints(folder)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)


def newest_checkpoint(folder: Path) -> Path | None:
    """The last checkpoint that was completed, or None."""
    found = _checkpoints(folder)
    return found[-1] if found else None


def load_checkpoint(checkpoint: Path, variables: Iterable[Any]) -> dict[str, Any]:
    """Give variables the values of a checkpoint.

    Returns:
        The position.

    Raises:
        SourceError: the checkpoint cannot be read, or is that of another network; nothing is changed then.
    """
    path = checkpoint / VARIABLES
    try:
        position = json.loads((checkpoint / POSITION).read_text("utf-8"))
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise SourceError(f"{checkpoint}: not a checkpoint that can be read ({error})") from None
    wanted = dict(_numbered(variables))
    for name in wanted.keys() | arrays.keys():
        if name not in wanted or name not in arrays or tuple(wanted[name].shape) != arrays[name].shape:
            raise SourceError(
                f"{path}: array {name} does not fit; expected the checkpoint of a training with the same config "
                "(another config needs another output folder)"
            )
    for name, variable in wanted.items():
        variable.assign(arrays[name])
    return position


def _checkpoints(folder: Path) -> list[Path]:
    found = [path for path in folder.glob("batch-*") if _NAME.fullmatch(path.name) and (path / POSITION).is_file()]
    return sorted(found, key=lambda path: int(path.name.removeprefix("batch-")))


def _numbered(variables: Iterable[Any]) -> Iterable[tuple[str, Any]]:
    """By their order: Keras counts up the names of networks that are built one after the other."""
    for k, variable in enumerate(variables):
        yield f"{k:04}", variable
