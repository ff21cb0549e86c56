"""A biLM from any form in which it was published to any form that others read."""

import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, get_args

from embeddings.archive import reading
from embeddings.atomic import atomic_file, atomic_folder, check_file, check_folder
from embeddings.errors import OutputError
from embeddings.published import DICTIONARIES, FILES, OPTIONS, VOCABULARY, WEIGHTS
from embeddings.source import Source, copy_bilm, find_source

Form = Literal["files", "zip", "saved-model"]
"""A folder with `options.json` and `weights.hdf5`, for bilm-tf and AllenNLP; a zip archive with the names of the NLPL
repository, for simple_elmo; a TF2 SavedModel with the signatures of TF-Hub's ELMo."""

_IN_ZIP = {
    OPTIONS: OPTIONS,
    WEIGHTS: "model.hdf5",
    VOCABULARY: "vocab.txt",
    DICTIONARIES: DICTIONARIES,
    "vocabulary.counts.txt": "vocab.counts.txt",
}
_SUFFIXES = (".zip", ".gz", ".tgz", ".tar", ".hdf5", ".h5", ".json", ".pb")


def form_of(target: Path, form: str | None = None) -> Form:
    """The form to write: the one that is asked for, else a zip archive where the name ends so, else files.

    Raises:
        OutputError: there is no such form.
    """
    asked = form or ("zip" if target.suffix == ".zip" else "files")
    for known in get_args(Form):
        if asked == known:
            return known
    raise OutputError(f"no form '{form}' to write; expected one of {', '.join(get_args(Form))}")


def check_target(source: Source, target: Path, is_file: bool) -> None:
    """Whether a place is one to write to from a source.

    Args:
        source: what is read.
        target: where to write.
        is_file: whether a file is to be written, not a folder.

    Raises:
        OutputError: it is the source, or holds it, or a folder is to have the name of a file.
    """
    if target.suffix in _SUFFIXES and not is_file:
        raise OutputError(f"{target}: the name of a file, and a folder is to be written; expected another name")
    if isinstance(source, str | Path) and target.exists() and Path(source).exists():
        place = Path(source).resolve()
        if target.resolve() in (place, *place.parents):
            raise OutputError(f"{target}: is the source, or holds it; expected another place to write")


def convert_bilm(source: Source, target: Path, form: Form) -> None:
    """Write a source's biLM in another form; an earlier result at the target is replaced.

    Softmax, full or adaptive, and vocabulary with its counts travel with files and zip archives, and stay behind in a
    SavedModel.

    Raises:
        SourceError: the source cannot be read.
        OutputError: the target cannot be written, is the source, or holds something else.
    """
    check_target(source, target, form == "zip")
    if form == "files":
        check_folder(target, FILES)
        stored = find_source(source)
        with atomic_folder(target, FILES) as folder:
            copy_bilm(stored, folder)
    elif form == "zip":
        _check_zip(target)
        stored = find_source(source)
        with atomic_file(target) as temporary, TemporaryDirectory() as name:
            copy_bilm(stored, Path(name))
            with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
                for file in sorted(Path(name).iterdir()):
                    archive.write(file, _IN_ZIP[file.name])
    else:
        from embeddings.exported import FILES as EXPORTED

        check_folder(target, EXPORTED)
        stored = find_source(source)
        from embeddings.saved_model import export_saved_model

        export_saved_model(target, stored)


def _check_zip(target: Path) -> None:
    check_file(target, b"PK")
    if target.is_file() and target.stat().st_size:
        with reading(str(target)), zipfile.ZipFile(target) as archive:
            foreign = sorted(set(archive.namelist()) - set(_IN_ZIP.values()))
        if foreign:
            raise OutputError(f"{target}: holds {foreign[0]}, too; expected a new file")
