"""A biLM from any form in which it was published to any form that others read."""

import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, get_args

from embeddings.atomic import atomic_file, atomic_folder
from embeddings.errors import OutputError
from embeddings.published import DICTIONARIES, OPTIONS, VOCABULARY, WEIGHTS
from embeddings.source import Source, copy_bilm

Form = Literal["files", "zip", "saved-model"]
"""A folder with `options.json` and `weights.hdf5`, for bilm-tf and AllenNLP; a zip archive with the names of the NLPL
repository, for simple_elmo; a TF2 SavedModel with the signatures of TF-Hub's ELMo."""

_IN_ZIP = {OPTIONS: OPTIONS, WEIGHTS: "model.hdf5", VOCABULARY: "vocab.txt", DICTIONARIES: DICTIONARIES}


def form_of(target: Path, form: str | None = None) -> Form:
    """The form to write: the one that is asked for, else a zip archive where the name ends so, else files.

    Raises:
        OutputError: there is no such form.
    """
    form = form or ("zip" if target.suffix == ".zip" else "files")
    for known in get_args(Form):
        if form == known:
            return known
    raise OutputError(f"no form '{form}' to write; expected one of {', '.join(get_args(Form))}")


def convert_bilm(source: Source, target: Path, form: Form) -> None:
    """Write a source's biLM in another form; an earlier result at the target is replaced.

    Softmax and vocabulary travel with files and zip archives, and stay behind in a SavedModel.

    Raises:
        SourceError: the source cannot be read.
        OutputError: the target cannot be written, or holds something else.
    """
    if form == "files":
        with atomic_folder(target, OPTIONS) as folder:
            copy_bilm(source, folder)
    elif form == "zip":
        with atomic_file(target) as temporary, TemporaryDirectory() as name:
            folder = Path(name)
            copy_bilm(source, folder)
            with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
                for file in sorted(folder.iterdir()):
                    archive.write(file, _IN_ZIP[file.name])
    else:
        from embeddings.elmo_encoder import ElmoEncoder
        from embeddings.saved_model import export_saved_model

        export_saved_model(target, ElmoEncoder.load(source))
