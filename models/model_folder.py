"""A trained model on disk: `model.json`, the head's weights and the biLM. Nothing in it is pickled.

model.json          task, labels, tokenizer, head options
head.weights.h5     the head's weights, in Keras's own HDF5 form
bilm/               options.json, weights.hdf5, vocabulary.txt
"""

import json
from dataclasses import asdict
from pathlib import Path

from embeddings.atomic import atomic_folder
from embeddings.embedder import Embedder
from embeddings.errors import ModelError
from embeddings.source import copy_bilm, load_bilm
from models.description import DESCRIPTION, FORMAT, Description, read_description
from models.training import Head, build_head

HEAD_WEIGHTS, BILM = "head.weights.h5", "bilm"


def save_model(folder: Path, description: Description, head: Head, bilm_folder: Path) -> None:
    """Write a model folder; what stood there before is replaced when the new one is complete.

    Raises:
        OutputError: the folder cannot be written.
    """
    with atomic_folder(folder, DESCRIPTION) as temporary:
        (temporary / BILM).mkdir()
        copy_bilm(bilm_folder, temporary / BILM)
        head.save_weights(temporary / HEAD_WEIGHTS)
        text = json.dumps({"format": FORMAT} | asdict(description), indent=2, ensure_ascii=False)
        (temporary / DESCRIPTION).write_text(text + "\n", "utf-8")


def load_model(folder: Path) -> tuple[Description, Head, Embedder]:
    """Read a model folder.

    Raises:
        ModelError: the folder is no model, or its weights do not fit its description.
        SourceError: its biLM cannot be read.
    """
    description = read_description(folder)
    bilm = load_bilm(folder / BILM)
    options = bilm.options
    head = build_head(description.task, description.head, len(description.labels), (options.layers + 1, options.dim))
    try:
        head.load_weights(folder / HEAD_WEIGHTS)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{folder / HEAD_WEIGHTS}: cannot be read ({str(error).splitlines()[0]})") from None
    return description, head, Embedder(bilm)
