"""What a trained model says of itself, in `model.json`; reading it loads nothing heavy."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import TypeAdapter, ValidationError

from embeddings.errors import ModelError
from embeddings.tokenizer import TokenizerName
from models.calibration import Calibration
from models.options import HeadOptions, Task
from models.seq2seq_options import Seq2seqOptions

FORMAT = 1
DESCRIPTION = "model.json"
HEAD_WEIGHTS, BILM, TEXT_EMBEDDING, FEATURES = "head.weights.h5", "bilm", "text_embedding", "features.json"
TFIDF_TERMS, TFIDF_WEIGHTS = "tfidf.json", "tfidf.npz"
MODEL_FILES = (DESCRIPTION, HEAD_WEIGHTS, BILM, TEXT_EMBEDDING, FEATURES, TFIDF_TERMS, TFIDF_WEIGHTS)


@dataclass(frozen=True)
class Description:
    """What `model.json` holds.

    Args:
        name: of the model.
        task: classification, tagging or seq2seq.
        labels: the label set, in the order of the head's output; for seq2seq the target vocabulary.
        tokenizer: how raw text becomes words.
        head: options of the head, for seq2seq `Seq2seqOptions`, else `HeadOptions`.
        metrics: what evaluation gave when the model was made.
        example: a text to try the model with, or a pair of them.
        target_tokenizer: for seq2seq, what the words of a translation are.
        temperature: that a classifier's logits are divided by, so that its probabilities are calibrated.
        surest: the highest probability of its answers, likewise.
        kind: `head`, or `tfidf` for TF-IDF with logistic regression in place of one.
        learned_from: SHA-256 of the words and the labels of the training texts, in hexadecimal, if it is known.
    """

    name: str
    task: Task
    labels: list[str]
    tokenizer: TokenizerName
    head: Any
    metrics: dict[str, float]
    example: str | list[str]
    target_tokenizer: TokenizerName = "spacy"
    temperature: float = 1.0
    surest: float = 1.0
    kind: Literal["head", "tfidf"] = "head"
    learned_from: str | None = None

    @property
    def calibration(self) -> Calibration:
        return Calibration(self.temperature, self.surest)

    def calibrated_as(self, head: Any) -> "Description":
        """The same, with the calibration of a head if it has one."""
        return replace(self, **getattr(head, "calibration", Calibration())._asdict())


def read_description(folder: Path) -> Description:
    """Read `model.json`.

    Raises:
        ModelError: there is no model in this folder, or not of this format.
    """
    path = folder / DESCRIPTION
    if not folder.is_dir():
        found = "is a file" if folder.exists() else "no such folder"
        raise ModelError(f"{folder}: {found}; expected the folder of a trained model")
    try:
        values: dict[str, Any] = json.loads(path.read_text("utf-8"))
        found = values.pop("format")
        if found != FORMAT:
            raise ModelError(f"{path}: format {found}; this version of Telmo reads format {FORMAT}")
        options = TypeAdapter(Seq2seqOptions if values["task"] == "seq2seq" else HeadOptions)
        return _checked(Description(**values | {"head": options.validate_python(values["head"])}))
    except OSError:
        raise ModelError(f"{folder}: no {DESCRIPTION} in this folder; expected the folder of a trained model") from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, ("head", *first["loc"])))
        raise ModelError(f"{path}: not the description of a model ('{key}': {first['msg']})") from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(f"{path}: not the description of a model ({error})") from None


def _checked(description: Description) -> Description:
    labels = description.labels
    if not (isinstance(labels, list) and labels and all(isinstance(label, str) for label in labels)):
        raise ValueError("'labels' is no list of labels")
    if description.task not in get_args(Task):
        raise ValueError(f"task '{description.task}'")
    if description.kind not in ("head", "tfidf"):
        raise ValueError(f"kind '{description.kind}'")
    temperature = description.temperature
    if type(temperature) not in (int, float) or not 0 < temperature < float("inf"):
        raise ValueError(f"'temperature' is {temperature!r}; expected a number above 0")
    if type(description.surest) not in (int, float) or not 0 < description.surest <= 1:
        raise ValueError(f"'surest' is {description.surest!r}; expected a number above 0, at most 1")
    return description
