"""A trained model on disk: `model.json`, the head's weights and the biLM. Nothing in it is pickled.

model.json          task, labels, tokenizer, head options
head.weights.h5     the head's weights, in Keras's own HDF5 form
features.json       the vocabularies of words and characters, if the head asks for them
bilm/               options.json, weights.hdf5, vocabulary.txt, if the head asks for ELMo
text_embedding/     in place of the biLM, if the head is above a SavedModel that embeds texts
"""

import json
from dataclasses import asdict
from pathlib import Path

from embeddings.atomic import atomic_folder
from embeddings.embedders import AnyEmbedder, copy_source, embeds_texts, load_embedder, shape_of
from embeddings.errors import ModelError
from embeddings.source import Source
from models.description import DESCRIPTION, FORMAT, Description, read_description
from models.features import Features
from models.training import Head, build_head

HEAD_WEIGHTS, BILM, TEXT_EMBEDDING = "head.weights.h5", "bilm", "text_embedding"


def save_model(
    folder: Path, description: Description, head: Head, source: Source | None, features: Features | None = None
) -> None:
    """Write a model folder; what stood there before is replaced when the new one is complete.

    Args:
        folder: to write.
        description, head: of the model.
        source: what is below the head, or None if it asks for no ELMo.
        features: of the head, if it asks for words or characters.

    Raises:
        OutputError: the folder cannot be written.
    """
    with atomic_folder(folder, DESCRIPTION) as temporary:
        if source is not None:
            below = temporary / (TEXT_EMBEDDING if embeds_texts(source) else BILM)
            below.mkdir()
            copy_source(source, below)
        if features is not None:
            features.write(temporary)
        head.save_weights(temporary / HEAD_WEIGHTS)
        text = json.dumps({"format": FORMAT} | asdict(description), indent=2, ensure_ascii=False)
        (temporary / DESCRIPTION).write_text(text + "\n", "utf-8")


def load_model(folder: Path) -> tuple[Description, Head, AnyEmbedder | None, Features]:
    """Read a model folder.

    Returns:
        What the model says of itself, its head, the embedder below it, or None if the head asks for no ELMo, and
        the head's features.

    Raises:
        ModelError: the folder is no model, or its weights do not fit its description.
        SourceError: its biLM cannot be read.
    """
    description = read_description(folder)
    features = Features.read(folder, description.head)
    embedder, shape = None, None
    if description.head.uses_bilm:
        below = folder / TEXT_EMBEDDING
        embedder = load_embedder(below if below.is_dir() else folder / BILM)
        shape = shape_of(embedder)
    rows = {name: feature.size for name, feature in features.parts.items()}
    try:
        head = build_head(description.task, description.head, description.labels, shape, rows)
        head.load_weights(folder / HEAD_WEIGHTS)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{folder / HEAD_WEIGHTS}: cannot be read ({str(error).splitlines()[0]})") from None
    return description, head, embedder, features
