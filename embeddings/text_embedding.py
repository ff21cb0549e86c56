"""Text embeddings: SavedModels of TensorFlow 2 that turn a text into one vector, such as the Universal Sentence
Encoder or NNLM of TF-Hub. They are sources for classification alone.

A SavedModel is a program. To look at one is safe; to load it with `load_text_embedder` runs it, with the rights of
whoever does so.
"""

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from embeddings.archive import Tree
from embeddings.errors import InputError, SourceError
from embeddings.saved_graph import read_graph
from embeddings.source import source_tree
from embeddings.stored import checksum_of
from embeddings.tokenizer import is_text

GRAPH = "saved_model.pb"
SIGNATURES = ("serving_default", "default")
"""Where to look for a signature, after the model as a callable."""


class TextEmbedder:
    """Embeds texts, with the face of `Embedder`: each text is as a sentence of one word and one layer.

    Args:
        embed: float `[batch, dim]` of strings `[batch]`.
        dim: width of a vector.
        batch_size: most texts that are embedded at once.
    """

    def __init__(self, embed: Callable[[list[str]], np.ndarray], dim: int, batch_size: int = 64):
        self.dim, self.batch_size = dim, batch_size
        self._embed = embed

    def embed(self, sentences: Iterable[Sequence[str]]) -> Iterator[np.ndarray]:
        """Embed texts lazily.

        Args:
            sentences: lists of words; a text is the words with spaces between them.

        Raises:
            InputError: a sentence is a text, not a list of words.

        Yields:
            For each sentence, in order, float32 of shape `[1, 1, dim]`.
        """
        texts = map(_text, sentences)
        while batch := list(islice(texts, self.batch_size)):
            for vector in self._embed(batch):
                yield vector[None, None]


def _text(sentence: Sequence[str]) -> str:
    if isinstance(sentence, str):
        raise InputError(f"expected lists of words, found the text {sentence[:40]!r}; split it into words first")
    text = " ".join(sentence)
    if not is_text(text):
        raise InputError(f"the text {text[:40]!r} holds half a character (a lone surrogate); expected Unicode text")
    return text


class StoredTextEmbedding:
    """A SavedModel of TensorFlow 2 that takes texts and gives a vector for each, as far as can be told without running
    it.

    Args:
        tree: the files.

    Raises:
        SourceError: it is no SavedModel, or one of another kind; the message says what was found.
    """

    form = "SavedModel that embeds texts"

    def __init__(self, tree: Tree):
        self.tree = tree
        graph, self.where = _graph(tree)
        self._entry = _entry(graph, self.where)
        place = tree.within(_name(tree))
        self.files = tuple(name for name in tree.names if name.startswith(place))

    @classmethod
    def find(cls, tree: Tree) -> "StoredTextEmbedding | None":
        """The text embedding among files, or None."""
        if not tree.named(GRAPH):
            return None
        try:
            return cls(tree)
        except SourceError:
            return None

    @property
    def _folder(self) -> Path:
        return self.tree.folder() / self.tree.within(_name(self.tree))

    def checksum(self) -> str:
        """SHA-256 over its files, in hexadecimal."""
        return checksum_of(self.tree, self.files)

    def copy_to(self, folder: Path) -> None:
        """Write its files into an existing, empty folder."""
        shutil.copytree(self._folder, folder, dirs_exist_ok=True)

    def load(self, batch_size: int = 64) -> TextEmbedder:
        """Load it, which runs its program.

        Args:
            batch_size: most texts that are embedded at once.

        Raises:
            SourceError: it cannot be loaded, or gives something else than a vector for each text.
        """
        import tensorflow as tf

        try:
            embed = _Embed(tf.saved_model.load(str(self._folder)), self._entry)
            tried = embed(["a text", ""])
        except (tf.errors.OpError, OSError, ValueError, TypeError, RuntimeError, LookupError, AttributeError) as error:
            first = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
            raise SourceError(f"{self.where}: cannot be loaded ({first})") from None
        if tried.ndim != 2 or len(tried) != 2:
            raise SourceError(f"{self.where}: gives {list(tried.shape)} for 2 texts; expected a vector for each")
        return TextEmbedder(embed, tried.shape[1], batch_size)


class _Embed:
    """Calls a SavedModel; it holds the model, whose variables live no longer than that."""

    def __init__(self, model: Any, entry: str):
        self._model = model
        self._call = model if entry == "__call__" else model.signatures[entry]
        # A SavedModel names the argument of a signature.
        self._name = None if entry == "__call__" else next(iter(self._call.structured_input_signature[1]))

    def __call__(self, texts: list[str]) -> np.ndarray:
        import tensorflow as tf

        strings = tf.constant(texts, tf.string)
        found = self._call(strings) if self._name is None else self._call(**{self._name: strings})
        return np.asarray(tf.nest.flatten(found)[0], np.float32)


def is_text_embedding(tree: Tree) -> bool:
    """Whether files are a SavedModel that takes texts and gives a vector for each."""
    return StoredTextEmbedding.find(tree) is not None


def load_text_embedder(source: str | Path, batch_size: int = 64) -> TextEmbedder:
    """Load a SavedModel of TensorFlow 2 that takes texts and gives a vector for each. This runs its program.

    Args:
        source: its folder, its archive, or a TF-Hub handle.
        batch_size: most texts that are embedded at once.

    Raises:
        SourceError: the source does not exist, is no SavedModel, or one of another kind; the message says what was
            found.
    """
    return StoredTextEmbedding(source_tree(source)).load(batch_size)


def _name(tree: Tree) -> str:
    found = [name for name in tree.named(GRAPH) if name.rpartition("/")[2] == GRAPH]
    if len(found) != 1:
        raise SourceError(f"{tree.place}: {len(found)} files {GRAPH}; expected one SavedModel")
    return found[0]


def _graph(tree: Tree) -> tuple[Any, str]:
    """The first graph of a SavedModel, and the file."""
    name = _name(tree)
    where = tree.where(name)
    return read_graph(tree.read(name), where), where


def _entry(graph: Any, where: str) -> str:
    """What to call: `__call__`, or the name of a signature.

    Raises:
        SourceError: the SavedModel is of TensorFlow 1, or takes or gives something else.
    """
    objects = graph.object_graph_def
    if not objects.nodes:
        raise SourceError(f"{where}: a SavedModel of TensorFlow 1; expected one of TensorFlow 2")
    found = []
    function = next((child.node_id for child in objects.nodes[0].children if child.local_name == "__call__"), None)
    if function is not None and function < len(objects.nodes):
        for name in objects.nodes[function].function.concrete_functions:
            concrete = objects.concrete_functions[name]
            inputs = list(_tensors(concrete.canonicalized_input_signature))
            outputs = list(_tensors(concrete.output_signature))
            found.append(f"__call__ takes {_told(inputs)} and gives {_told(outputs)}")
            if _embeds(inputs, outputs):
                return "__call__"
    for name in SIGNATURES:
        if name in graph.signature_def:
            signature = graph.signature_def[name]
            inputs, outputs = (
                [(info.dtype, info.tensor_shape) for info in infos.values()]
                for infos in (signature.inputs, signature.outputs)
            )
            found.append(f"signature '{name}' takes {_told(inputs)} and gives {_told(outputs)}")
            if _embeds(inputs, outputs):
                return name
    raise SourceError(
        f"{where}: no text embedding; expected strings [batch] in and floats [batch, dim] out, found "
        f"{'; '.join(found) or 'nothing to call'}"
    )


def _tensors(value: Any) -> Iterator[tuple[int, Any]]:
    """The type and the shape of each tensor in a structure."""
    kind = value.WhichOneof("kind")
    if kind == "tensor_spec_value":
        yield value.tensor_spec_value.dtype, value.tensor_spec_value.shape
    elif kind in ("tuple_value", "list_value"):
        for inner in getattr(value, kind).values:
            yield from _tensors(inner)
    elif kind == "dict_value":
        for inner in value.dict_value.fields.values():
            yield from _tensors(inner)


def _embeds(inputs: list, outputs: list) -> bool:
    """Whether one vector of strings goes in and one matrix of floats comes out; a rank may be left open."""
    from tensorflow import dtypes

    return (
        [dtype for dtype, _ in inputs] == [dtypes.string.as_datatype_enum]
        and [dtype for dtype, _ in outputs] == [dtypes.float32.as_datatype_enum]
        and all(shape.unknown_rank or len(shape.dim) == 1 for _, shape in inputs)
        and all(shape.unknown_rank or len(shape.dim) == 2 for _, shape in outputs)
    )


def _told(tensors: list) -> str:
    from tensorflow import dtypes

    def told(dtype, shape):
        try:
            name = dtypes.as_dtype(dtype).name
        except TypeError:
            name = f"type {dtype}"
        sizes = ["?" if dim.size < 0 else str(dim.size) for dim in shape.dim]
        return f"{name} [{'...' if shape.unknown_rank else ', '.join(sizes)}]"

    return ", ".join(told(*tensor) for tensor in tensors) or "nothing"
