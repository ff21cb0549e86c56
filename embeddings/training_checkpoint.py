"""Where a training stands, on disk: whole or not at all, and the one before is kept until the next is complete.

    batch-00001200/
        options.json, weights.hdf5, vocabulary.txt      the biLM as it is: a source like any other
        position.json                                   what was done, and where in the text
        variables.npz                                   the rest: carried states, random state, the optimizer's state

Arrays have no backend: what was begun on one goes on with another.
"""

import json
import os
import re
import shutil
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from embeddings.atomic import atomic_folder
from embeddings.errors import OutputError, SourceError
from embeddings.published import FILES

POSITION, VARIABLES = "position.json", "variables.npz"
_NAME = re.compile(r"batch-(\d+)")


def save_checkpoint(
    folder: Path,
    batch: int,
    position: dict[str, Any],
    variables: Iterable[Any],
    write: Callable[[Path], None],
    keep: int = 2,
) -> Path:
    """Write a checkpoint and remove all but the newest.

    Args:
        folder: of the training's checkpoints.
        batch: number of batches done.
        position: what JSON can hold.
        variables: Keras variables, those of the biLM left out.
        write: writes the biLM into a folder.
        keep: how many stay.

    Raises:
        OutputError: the folder cannot be written.
    """
    from keras import ops

    target = folder / f"batch-{batch:08}"
    with atomic_folder(target, (POSITION, VARIABLES, *FILES)) as temporary:
        write(temporary)
        with (temporary / VARIABLES).open("wb") as file:
            np.savez(file, **{name: ops.convert_to_numpy(variable) for name, variable in _numbered(variables)})
        (temporary / POSITION).write_text(json.dumps(position) + "\n", "utf-8")
    for old in checkpoints_in(folder)[:-keep]:
        remove_checkpoint(old)
    return target


def remove_checkpoint(checkpoint: Path) -> None:
    """Remove a checkpoint or a folder of them, so that no half of it is found, whenever this ends."""
    hidden = checkpoint.with_name(f".{checkpoint.name}.removed")
    shutil.rmtree(hidden, ignore_errors=True)
    checkpoint.rename(hidden)
    shutil.rmtree(hidden, ignore_errors=True)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold a folder of checkpoints for this process, until the block ends or the process is killed.

    Raises:
        OutputError: another process holds it, or the place cannot be written.
    """
    if os.name == "nt":
        # It has no such locks, and removes no folder with a file that is open.
        yield
        return
    import fcntl

    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / "lock").open("w")
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror})") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise OutputError(f"{folder}: another training writes here; expected another output, or its end") from None
        try:
            yield
        finally:
            if folder.exists() and not checkpoints_in(folder):
                remove_checkpoint(folder)


def clear_rests(folder: Path) -> None:
    """Remove what runs that were killed while they wrote or removed checkpoints left behind."""
    for rest in folder.glob(".*"):
        shutil.rmtree(rest, ignore_errors=True)


def checkpoints_of(output: Path) -> Path:
    """The folder with the checkpoints of a training that writes to `output`."""
    output = output if output.name else output.absolute()
    return output.with_name(f"{output.name}.checkpoints")


def checkpoints_in(folder: Path) -> list[Path]:
    """The checkpoints that were completed, the newest last."""
    found = [path for path in folder.glob("batch-*") if _NAME.fullmatch(path.name) and (path / POSITION).is_file()]
    return sorted(found, key=lambda path: int(path.name.removeprefix("batch-")))


def read_position(checkpoint: Path) -> dict[str, Any]:
    """The position of a checkpoint.

    Raises:
        SourceError: it cannot be read.
    """
    try:
        return json.loads((checkpoint / POSITION).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise SourceError(f"{checkpoint / POSITION}: not a checkpoint that can be read ({error})") from None


def load_variables(checkpoint: Path, variables: Iterable[Any]) -> None:
    """Give variables the values that `save_checkpoint` wrote.

    Raises:
        SourceError: the checkpoint cannot be read, or is that of another network; nothing is changed then.
    """
    path = checkpoint / VARIABLES
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise SourceError(f"{path}: not a checkpoint that can be read ({error})") from None
    wanted = dict(_numbered(variables))
    for name in wanted.keys() | arrays.keys():
        if name not in wanted or name not in arrays or tuple(wanted[name].shape) != arrays[name].shape:
            raise SourceError(
                f"{path}: array {name} does not fit; expected the checkpoint of a training with the same config"
            )
    for name, variable in wanted.items():
        variable.assign(arrays[name])


def _numbered(variables: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    """By their order: Keras counts up the names of networks that are built one after the other."""
    for k, variable in enumerate(variables):
        yield f"{k:04}", variable
