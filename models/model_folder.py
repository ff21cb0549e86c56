"""A trained model on disk: `model.json`, the head's weights and the biLM. Nothing in it is pickled.

model.json          task, labels, tokenizer, head options
head.weights.h5     the head's weights, in Keras's own HDF5 form
features.json       the vocabularies of words and characters, if the head asks for them
bilm/               options.json, weights.hdf5, vocabulary.txt, if the head asks for ELMo
text_embedding/     in place of the biLM, if the head is above a SavedModel that embeds texts
tfidf.json          terms, in place of a head,
tfidf.npz           and what each weighs, in NumPy's form
"""

import json
from dataclasses import asdict
from pathlib import Path

from embeddings.atomic import atomic_folder
from embeddings.embedder import Embedder
from embeddings.embedders import AnyEmbedder, Stored, copy_stored, shape_of
from embeddings.errors import ModelError
from embeddings.published import write_published
from embeddings.source import load_bilm
from embeddings.stored import StoredBiLM
from embeddings.text_embedding import StoredTextEmbedding, load_text_embedder
from embeddings.weights import arrays_of
from models.description import (
    BILM,
    DESCRIPTION,
    FORMAT,
    HEAD_WEIGHTS,
    MODEL_FILES,
    TEXT_EMBEDDING,
    Description,
    read_description,
)
from models.features import Features
from models.fine_tuning import HeadOnBiLM
from models.seq2seq import Seq2seq
from models.tfidf import Tfidf
from models.training import Head, build_head

AnyHead = Head | Seq2seq | Tfidf


def save_model(
    folder: Path,
    description: Description,
    head: AnyHead | HeadOnBiLM,
    below: Stored | None,
    features: Features | None = None,
) -> None:
    """Write a model folder; what stood there before is replaced when the new one is complete.

    Args:
        folder: to write.
        description, head: of the model; its calibration is written with it, and of a head on a biLM this biLM.
        below: what is below the head, or None if it asks for no ELMo.
        features: of the head, if it asks for words or characters.

    Raises:
        OutputError: the folder cannot be written.
    """
    with atomic_folder(folder, MODEL_FILES) as temporary:
        if below is not None:
            place = temporary / (TEXT_EMBEDDING if isinstance(below, StoredTextEmbedding) else BILM)
            place.mkdir()
            if isinstance(head, HeadOnBiLM) and isinstance(below, StoredBiLM):
                write_published(place, below.options, arrays_of(head.bilm), below.vocabulary, below.spelling)
            else:
                copy_stored(below, place)
        head = head.head if isinstance(head, HeadOnBiLM) else head
        description = description.calibrated_as(head)
        if features is not None:
            features.write(temporary)
        if isinstance(head, Tfidf):
            head.write(temporary)
        else:
            head.save_weights(temporary / HEAD_WEIGHTS)
        text = json.dumps({"format": FORMAT} | asdict(description), indent=2, ensure_ascii=False)
        (temporary / DESCRIPTION).write_text(text + "\n", "utf-8")


def load_model(folder: Path) -> tuple[Description, AnyHead, AnyEmbedder | None, Features]:
    """Read a model folder. One with a text embedding holds a program, which this runs.

    Returns:
        What the model says of itself, its head, the embedder below it, or None if the head asks for no ELMo, and
        the head's features.

    Raises:
        ModelError: the folder is no model, or its weights do not fit its description.
        SourceError: its biLM cannot be read.
    """
    description = read_description(folder)
    if description.kind == "tfidf":
        tfidf = Tfidf.read(folder, description.task, description.head, description.labels)
        return description, tfidf, None, Features({})
    features = Features.read(folder, description.head)
    embedder: AnyEmbedder | None = None
    if (folder / TEXT_EMBEDDING).is_dir() and description.task != "classification":
        raise ModelError(f"{folder / TEXT_EMBEDDING}: gives one vector a text; {description.task} needs one a word")
    if description.head.uses_bilm:
        # By the name and not by a look: nothing in a folder of the name `bilm` is ever run.
        texts = folder / TEXT_EMBEDDING
        embedder = load_text_embedder(texts) if texts.is_dir() else Embedder(load_bilm(folder / BILM))
    shape = shape_of(embedder) if embedder else None
    try:
        arguments = description.head, description.labels, shape, features.rows
        head = Seq2seq(*arguments) if description.task == "seq2seq" else build_head(description.task, *arguments)
        head.load_weights(folder / HEAD_WEIGHTS)
        head.calibration = description.calibration
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{folder / HEAD_WEIGHTS}: cannot be read ({str(error).splitlines()[0]})") from None
    return description, head, embedder, features
