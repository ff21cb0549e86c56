"""The parts that AllenNLP builds models from, read from config and weights: what embeds words and what encodes them.

Every size is that of the weights; the config's are held against them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from models import torch_weights
from models.allennlp_config import Section, listed
from models.allennlp_vocabulary import Indexed, Vocabularies
from models.features import Feature
from models.options import CharacterInput, Dense, ElmoInput, Input, WordInput
from models.torch_weights import Arrays, TorchWeights

_ACTIVATIONS = {
    "linear": "linear",
    "relu": "relu",
    "relu6": "relu6",
    "elu": "elu",
    "selu": "selu",
    "gelu": "gelu",
    "swish": "silu",
    "mish": "mish",
    "tanh": "tanh",
    "hardtanh": "hard_tanh",
    "sigmoid": "sigmoid",
    "log_sigmoid": "log_sigmoid",
    "softplus": "softplus",
    "softsign": "softsign",
}
"""AllenNLP's names of activations that agree with Keras's of the same row."""

DEFAULT_INDEXER = "single_id"
"""What an indexer without a type is."""


class Layers(NamedTuple):
    """Layers that follow one another: what `HeadOptions` calls them, the weights of each, and their output's width."""

    options: Any
    arrays: list[Arrays]
    width: int


def read_feedforward(section: Section, weights: TorchWeights, width: int) -> Layers:
    """AllenNLP's `FeedForward`; the options are a `Dense`.

    Raises:
        SourceError: it cannot be converted, as in all functions here.
    """
    weights.shape("_linear_layers.0.weight", 2)
    count = weights.count("_linear_layers.{}.weight")
    section.check("num_layers", count)
    section.check("input_dim", width)
    section.ignore("dropout")
    activations = listed(section, "activations", count)
    units = listed(section, "hidden_dims", count)
    options, arrays = [], []
    for k in range(count):
        arrays.append(torch_weights.dense(weights.below(f"_linear_layers.{k}."), width))
        width = arrays[-1][1].size
        if units[k] != width:
            section.fail("hidden_dims", f"says {units[k]} for layer {k}; the weights have {width}")
        options.append((width, activation(section, "activations", activations[k])))
    section.close()
    return Layers(tuple(options), arrays, width)


def read_maxout(section: Section, weights: TorchWeights, width: int) -> Layers:
    """AllenNLP's `Maxout`; the options are pairs of units and pieces."""
    weights.shape("_linear_layers.0.weight", 2)
    count = weights.count("_linear_layers.{}.weight")
    section.check("num_layers", count)
    section.check("input_dim", width)
    section.ignore("dropout")
    units, pieces = listed(section, "output_dims", count), listed(section, "pool_sizes", count)
    options, arrays = [], []
    for k, (unit, piece) in enumerate(zip(units, pieces, strict=True)):
        arrays.append(torch_weights.dense(weights.below(f"_linear_layers.{k}."), width))
        found = arrays[-1][1].size
        if type(unit) is not int or type(piece) is not int or min(unit, piece) < 1 or unit * piece != found:
            section.fail("output_dims", f"and 'pool_sizes' say {unit} times {piece}; the weights have {found}")
        options.append((unit, piece))
        width = unit
    section.close()
    return Layers(tuple(options), arrays, width)


def activation(section: Section, key: str, value: Any) -> Any:
    """Keras's name of an activation."""
    if isinstance(value, dict):
        inner = Section(value, f"{section.path}.{key}", section.where)
        value = inner.take("type", kind=str)
        inner.close()
    if not isinstance(value, str) or value not in _ACTIVATIONS:
        section.fail(key, f"is {value!r}, which cannot be converted; expected one of {', '.join(_ACTIVATIONS)}")
    return _ACTIVATIONS[value]


def read_recurrent(section: Section, weights: TorchWeights, width: int) -> Layers:
    """PyTorch's stacked LSTM or GRU; the options are those of `HeadOptions` and of the like."""
    cell = section.choice("type", ("lstm", "gru"))
    bidirectional = section.take("bidirectional", False, bool)
    bias = section.take("bias", True, bool)
    section.only("stateful", False, None)
    section.only("batch_first", True, None)
    section.ignore("dropout")
    section.check("input_size", width)
    depth = weights.count("weight_hh_l{}")
    section.check("num_layers", depth)
    _, units = weights.shape("weight_hh_l0", 2)
    section.check("hidden_size", units)
    arrays = []
    for k in range(depth):
        arrays.append(torch_weights.recurrent(weights, cell, k, width, bidirectional, bias))
        if len(arrays[-1][1]) != units:
            section.fail("", f"has layers of different widths in the weights: {units} and {len(arrays[-1][1])}")
        width = 2 * units if bidirectional else units
    section.close()
    return Layers({"cell": cell, "units": units, "depth": depth, "bidirectional": bidirectional}, arrays, width)


@dataclass
class Embedded:
    """What a word is given as: the inputs of a head in their order, the weights of each beside ELMo's and its features,
    and the width of all together.

    ELMo itself is left to `elmo`, which gets its section, its weights and the section of its indexer, and gives the
    width of a biLM's layer.
    """

    vocabularies: Vocabularies
    elmo: Callable[[Section, TorchWeights, Section], int]
    inputs: list[Input] = field(default_factory=list)
    arrays: list[Arrays] = field(default_factory=list)
    projection: Arrays | None = None
    features: dict[str, Feature] = field(default_factory=dict)
    width: int = 0

    def read(self, section: Section, weights: TorchWeights, indexers: Section) -> None:
        """Read AllenNLP's `BasicTextFieldEmbedder`, which puts embedders side by side in the order of their names."""
        section.only("type", "basic")
        section.ignore("type", "allow_unmatched_keys")
        # Before version 1 the embedders stood among the section's own keys.
        old = "token_embedders" not in section
        embedders = section if old else section.section("token_embedders")
        chosen = section.section("embedder_to_indexer_map") if "embedder_to_indexer_map" in section else None
        section.ignore("embedder_to_indexer_map")
        for name in sorted(set(embedders) - {"type", "allow_unmatched_keys", "embedder_to_indexer_map"}):
            indexer = name if chosen is None else chosen.take(name, name)
            if isinstance(indexer, list) and len(indexer) == 1:
                (indexer,) = indexer
            if not isinstance(indexer, str):
                section.fail("embedder_to_indexer_map", f"gives '{name}' several indexers; only one can be converted")
            self._embedder(name, embedders.section(name), weights.below(f"token_embedder_{name}."), indexers, indexer)
        embedders.close()
        section.close()

    def _embedder(self, name: str, section: Section, weights: TorchWeights, indexers: Section, indexer: str) -> None:
        known = ("embedding", "character_encoding", "elmo_token_embedder", "empty")
        kind = section.choice("type", known, "embedding")
        if kind == "empty":
            return
        index = indexers.section(indexer)
        if kind == "elmo_token_embedder":
            self.add_elmo(self.elmo(section, weights.below("_elmo."), index), section, weights)
        elif kind == "embedding":
            self._words(name, section, weights, index)
        else:
            self._characters(name, section, weights, index)
        section.close()
        index.close()

    def add_elmo(self, width: int, section: Section | None = None, weights: TorchWeights | None = None) -> None:
        """Add the biLM's mix, with a projection above it if the section asks for one."""
        projection = None
        if section and weights and section.take("projection_dim", 0, int):
            self.projection = torch_weights.dense(weights.below("_projection."), width)
            width = projection = self.projection[1].size
            section.check("projection_dim", width)
        self.inputs.append(ElmoInput(projection=projection))
        self.width += width

    def _words(self, name: str, section: Section, weights: TorchWeights, index: Section) -> None:
        index.choice("type", ("single_id",), DEFAULT_INDEXER)
        index.only("feature_name", "text")
        index.ignore("default_value")
        _indexer_options(index)
        namespace = index.take("namespace", "tokens", str)
        indexed = self.vocabularies.words(namespace, index.take("lowercase_tokens", False, bool))
        table = _table(section, weights, indexed, self.vocabularies)
        self._add(WordInput(name=name, dim=table.shape[1]), [table], indexed.feature, table.shape[1])

    def _characters(self, name: str, section: Section, weights: TorchWeights, index: Section) -> None:
        index.choice("type", ("characters",), DEFAULT_INDEXER)
        # Only windows of characters that are there count, however many are padded.
        index.ignore("min_padding_length")
        _indexer_options(index)
        inner = weights.below("_embedding._module.")
        rows, _ = inner.shape("weight", 2)
        tokenizer = index.section("character_tokenizer") if "character_tokenizer" in index else None
        indexed = self.vocabularies.characters(index.take("namespace", "token_characters", str), tokenizer, rows)
        embedding = section.section("embedding")
        embedding.only("type", "embedding")
        table = _table(embedding, inner, indexed, self.vocabularies)
        embedding.close()
        section.ignore("dropout")
        encoder = section.section("encoder")
        options, arrays, width = _word_encoder(encoder, weights.below("_encoder._module."), table.shape[1])
        encoder.close()
        part = CharacterInput(name=name, dim=table.shape[1], **options)
        self._add(part, [table, *arrays], indexed.feature, width)

    def _add(self, part: Input, arrays: Arrays, feature: Feature, width: int) -> None:
        self.inputs.append(part)
        self.arrays.append(arrays)
        self.features[part.name] = feature  # type: ignore[union-attr]
        self.width += width


def _indexer_options(index: Section) -> None:
    index.only("start_tokens", [], None)
    index.only("end_tokens", [], None)
    # Padding of the text changes no answer.
    index.ignore("token_min_padding_length")


def _table(section: Section, weights: TorchWeights, indexed: Indexed, vocabularies: Vocabularies) -> np.ndarray:
    """The vectors of an `Embedding`, for the rows of a feature; a projection above them is folded in."""
    rows, width = weights.shape("weight", 2)
    section.check("embedding_dim", width)
    section.only("max_norm", None)
    section.ignore(
        *("trainable", "padding_index", "norm_type", "scale_grad_by_freq", "sparse", "pretrained_file", "weight")
    )
    namespace = section.take("vocab_namespace", "tokens", str)
    # Of another namespace than the indexer's, if the config's author forgot it; AllenNLP does not mind.
    if "num_embeddings" not in section and rows != vocabularies.size(namespace):
        section.fail(
            "", f"has {rows} rows in the weights; the vocabulary '{namespace}' has {vocabularies.size(namespace)}"
        )
    section.check("num_embeddings", rows)
    largest = int(indexed.rows.max())
    if largest >= rows:
        section.fail("", f"has {rows} rows in the weights; the vocabulary asks for {largest + 1}")
    table = weights.take("weight", rows, width)[indexed.rows]
    if section.take("projection_dim", 0, int):
        kernel, bias = torch_weights.dense(weights.below("_projection."), width)
        section.check("projection_dim", bias.size)
        table = table @ kernel + bias
    return table


def _word_encoder(section: Section, weights: TorchWeights, width: int) -> tuple[dict[str, Any], Arrays, int]:
    """AllenNLP's `Seq2VecEncoder` over the characters of a word: options of a `CharacterInput`, weights, and width."""
    kind = section.choice("type", ("cnn", "lstm", "gru", "bag_of_embeddings", "boe"))
    if kind in ("bag_of_embeddings", "boe"):
        section.check("embedding_dim", width)
        return {"encoder": "mean" if section.take("averaged", False, bool) else "sum"}, [], width
    if kind in ("lstm", "gru"):
        layers = read_recurrent(section, weights.below("_module."), width)
        options = dict(layers.options)
        return {"encoder": options.pop("cell")} | options, [a for arrays in layers.arrays for a in arrays], layers.width
    return _convolutions(section, weights, width)


def _convolutions(section: Section, weights: TorchWeights, width: int) -> tuple[dict[str, Any], Arrays, int]:
    section.check("embedding_dim", width)
    count = weights.count("conv_layer_{}.weight")
    layers = [torch_weights.convolution(weights.below(f"conv_layer_{k}."), width) for k in range(count)]
    widths = [len(kernel) for kernel, _ in layers]
    if section.take("ngram_filter_sizes", [2, 3, 4, 5], list) != widths:
        section.fail("ngram_filter_sizes", f"differs from the weights, which have {widths}")
    filters = {bias.size for _, bias in layers}
    if len(filters) != 1:
        section.fail("num_filters", f"is not one number in the weights: {sorted(filters)}")
    section.check("num_filters", *filters)
    options: dict[str, Any] = {
        "encoder": "cnn",
        "widths": tuple(widths),
        "filters": layers[0][1].size,
        "activation": activation(section, "conv_layer_activation", section.take("conv_layer_activation", "relu")),
    }
    arrays, width = [a for layer in layers for a in layer], layers[0][1].size * count
    if section.take("output_dim", 0, int):
        arrays += torch_weights.dense(weights.below("projection_layer."), width)
        width = options["projection"] = arrays[-1].size
        section.check("output_dim", width)
    return options, arrays, width


def dense_encoder(section: Section, weights: TorchWeights, width: int) -> Layers:
    """AllenNLP's encoders that go word by word, `pass_through` and `feedforward`; the options are a `Dense`."""
    if section.take("type") == "pass_through":
        section.check("input_dim", width)
        section.close()
        nothing: Dense = ()
        return Layers(nothing, [], width)
    return read_feedforward(section.section("feedforward"), weights.below("_feedforward."), width)
