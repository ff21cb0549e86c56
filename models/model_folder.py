"""A trained model on disk: `model.json`, the head's weights and the biLM. Nothing in it is pickled.

model.json          task, labels, tokenizer, head options
head.weights.h5     the head's weights, in Keras's own HDF5 form
bilm/               options.json, weights.hdf5, vocabulary.txt
"""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

from embeddings.atomic import atomic_folder
from embeddings.embedder import Embedder
from embeddings.errors import ModelError
from embeddings.options import BiLMOptions
from embeddings.source import load_bilm
from embeddings.tokenizer import TokenizerName
from models.options import HeadOptions, Task
from models.training import Head, build_head

FORMAT = 1
DESCRIPTION, HEAD_WEIGHTS, BILM = "model.json", "head.weights.h5", "bilm"


@dataclass(frozen=True)
class Description:
    """What `model.json` holds.

    Args:
        name: of the model.
        task: classification or tagging.
        labels: the label set, in the order of the head's output.
        tokenizer: how raw text becomes words.
        head: options of the head.
        metrics: what evaluation gave when the model was made.
        example: a text to try the model with.
    """

    name: str
    task: Task
    labels: list[str]
    tokenizer: TokenizerName
    head: HeadOptions
    metrics: dict[str, float]
    example: str


def save_model(folder: Path, description: Description, head: Head, bilm_folder: Path) -> None:
    """Write a model folder; what stood there before is replaced when the new one is complete.

    Raises:
        OutputError: the folder cannot be written.
    """
    with atomic_folder(folder) as temporary:
        shutil.copytree(bilm_folder, temporary / BILM)
        head.save_weights(temporary / HEAD_WEIGHTS)
        text = json.dumps({"format": FORMAT} | asdict(description), indent=2, ensure_ascii=False)
        (temporary / DESCRIPTION).write_text(text + "\n", "utf-8")


def read_description(folder: Path) -> Description:
    """Read `model.json`.

    Raises:
        ModelError: there is no model in this folder, or not of this format.
    """
    path = folder / DESCRIPTION
    if not folder.is_dir():
        raise ModelError(f"{folder}: no such folder; expected the folder of a trained model")
    try:
        values: dict[str, Any] = json.loads(path.read_text("utf-8"))
        found = values.pop("format")
        if found != FORMAT:
            raise ModelError(f"{path}: format {found}; this version of Telmo reads format {FORMAT}")
        return _checked(Description(**values | {"head": HeadOptions(**values["head"])}))
    except OSError:
        raise ModelError(f"{folder}: no {DESCRIPTION} in this folder; expected the folder of a trained model") from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(f"{path}: not the description of a model ({error})") from None


def _checked(description: Description) -> Description:
    labels = description.labels
    if not (isinstance(labels, list) and labels and all(isinstance(label, str) for label in labels)):
        raise ValueError("'labels' is no list of labels")
    if description.task not in get_args(Task):
        raise ValueError(f"task '{description.task}'")
    return description


def load_model(folder: Path) -> tuple[Description, Head, Embedder]:
    """Read a model folder.

    Raises:
        ModelError: the folder is no model, or its weights do not fit its description.
        SourceError: its biLM cannot be read.
    """
    description = read_description(folder)
    bilm = load_bilm(folder / BILM)
    options: BiLMOptions = bilm.options
    head = build_head(description.task, description.head, len(description.labels), (options.layers + 1, options.dim))
    try:
        head.load_weights(folder / HEAD_WEIGHTS)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{folder / HEAD_WEIGHTS}: cannot be read ({str(error).splitlines()[0]})") from None
    return description, head, Embedder(bilm)
