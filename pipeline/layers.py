"""What is below a head while it is trained: the layers of a biLM, computed once into a store or with the head."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from embeddings.embedders import Stored, load_embedder
from embeddings.errors import ConfigError
from embeddings.published import write_published
from embeddings.source import load_bilm, random_bilm
from embeddings.store import Store
from embeddings.text_embedding import StoredTextEmbedding
from embeddings.weights import arrays_of
from models.examples import Examples
from models.texts import Layers
from pipeline.checksums import checksum_of_sentences
from pipeline.config import TrainConfig
from pipeline.sources import find_embedder, find_source


def find_below(config: TrainConfig) -> Stored | None:
    """What the source of a config holds, looked at and not run; None where nothing is below the head.

    Raises:
        ConfigError: it gives one vector a text, which the config has no use for.
        SourceError: it cannot be read.
    """
    if config.embedding.kind != "bilm":
        return None
    found = find_embedder(config.embedding.source)
    if isinstance(found, StoredTextEmbedding):
        _check_whole_texts(config)
    return found


def _check_whole_texts(config: TrainConfig) -> None:
    source = config.embedding.source
    if config.task != "classification":
        raise ConfigError(f"embedding.source: {source} gives one vector a text; {config.task} needs one a word")
    asked = {
        "embedding.weights: 'random'": config.embedding.weights == "random",
        "embedding.layers: 'computed'": config.computes_layers and not config.training.fine_tune,
        "training.fine_tune": config.training.fine_tune,
    }
    for key, value in asked.items():
        if value:
            raise ConfigError(f"{key} is for a biLM; {source} embeds texts")
    if config.head.features:
        raise ConfigError("head.inputs: words and characters do not go with a source of one vector a text")


@contextmanager
def layers_below(
    config: TrainConfig, found: Stored | None, examples: dict[str, Examples]
) -> Iterator[tuple[Stored | None, dict[str, Layers]]]:
    """What a head is trained on.

    Args:
        config: of the training.
        found: from `find_below`.
        examples: the splits.

    Yields:
        What is below the head, to be kept with it: what was found, or a biLM made for this run if it is to have
        random weights; and for each split a store of the layers of its texts, or the biLM that computes them, or None.
        A store stays in `embedding.store` if the config names it.
    """
    if found is None:
        yield None, dict.fromkeys(examples)
        return
    with ExitStack() as stack:
        temporary = Path(stack.enter_context(TemporaryDirectory()))
        if config.embedding.weights == "random":
            found = _randomised(found, config.seed, temporary / "bilm")
        if config.computes_layers:
            yield found, dict.fromkeys(examples, load_bilm(found))  # type: ignore[arg-type]
        else:
            yield found, _stores(found, config.embedding.store or temporary, examples)


def _randomised(found: Stored, seed: int, folder: Path) -> Stored:
    assert not isinstance(found, StoredTextEmbedding)
    folder.mkdir()
    write_published(folder, found.options, arrays_of(random_bilm(found, seed)), found.vocabulary, found.spelling)
    return find_source(folder)


def _stores(found: Stored, base: Path, examples: dict[str, Examples]) -> dict[str, Layers]:
    identity, embedder = found.checksum(), None
    stores: dict[str, Layers] = {}
    for split, data in examples.items():
        folder = base / f"{identity[:16]}-{checksum_of_sentences(data.texts)[:16]}"
        if not folder.is_dir():
            embedder = embedder or load_embedder(found)
            Store.write(folder, embedder.embed(data.texts))
        stores[split] = Store(folder)
    return stores
