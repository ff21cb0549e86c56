"""The models of AllenNLP archives that can be converted: `simple_tagger`, `crf_tagger` and `bcn`."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from embeddings.archive import Tree
from embeddings.errors import SourceError
from embeddings.options import BiLMOptions
from embeddings.tokenizer import TokenizerName
from embeddings.weights import Arrays as BiLMArrays
from models import torch_weights
from models.allennlp_config import Section
from models.allennlp_elmo import read_bilm, read_mix, read_options
from models.allennlp_parts import (
    DEFAULT_INDEXER,
    Embedded,
    Layers,
    dense_encoder,
    read_feedforward,
    read_maxout,
    read_recurrent,
)
from models.allennlp_reader import read_reader
from models.allennlp_vocabulary import Vocabularies
from models.label_scheme import SCHEMES, allowed_transitions
from models.options import Biattention, HeadOptions, Task
from models.torch_weights import Arrays, TorchWeights


@dataclass
class ArchivedModel:
    """A model as it is read, part by part, in the order of its layers.

    Args:
        root: the archive's files.
        config: all of `config.json`.
        weights: all of `weights.th`.

    Attributes:
        task, labels, tokenizer: as a `Description` has them.
        embedded: the inputs of the head.
        indexers: the section of that name.
        bilm: its options and weights, if the model has one.
        mixes: of the biLM's layers, the input's before the output's.
        switches: what `HeadOptions` gets beside the inputs.
        parts: weights of the layers of each part of the head.
    """

    root: Tree
    config: Section
    weights: TorchWeights
    task: Task = field(default="tagging", init=False)
    labels: list[str] = field(init=False)
    tokenizer: TokenizerName = field(init=False)
    embedded: Embedded = field(init=False)
    indexers: Section = field(init=False)
    bilm: tuple[BiLMOptions, BiLMArrays] | None = field(default=None, init=False)
    mixes: list[Arrays] = field(default_factory=list, init=False)
    switches: dict[str, Any] = field(default_factory=dict, init=False)
    parts: dict[str, list[Arrays]] = field(default_factory=dict, init=False)

    def read(self) -> None:
        """Read all of it.

        Raises:
            SourceError: a part cannot be converted.
        """
        model = self.config.section("model")
        kind = model.choice("type", ("simple_tagger", "crf_tagger", "bcn"))
        vocabulary = self.config.section("vocabulary") if "vocabulary" in self.config else None
        self.embedded = Embedded(Vocabularies(self.root, vocabulary), self._elmo)
        # AllenNLP predicts with the reader of the validation data, if there is one of its own.
        reader = "validation_dataset_reader" if "validation_dataset_reader" in self.config else "dataset_reader"
        self.tokenizer, self.indexers = read_reader(self.config.section(reader))
        model.ignore("initializer", "regularizer", "verbose_metrics", "dropout", "ddp_accelerator")
        if kind == "bcn":
            self._bcn(model)
        else:
            self._tagger(model, kind)
        model.close()
        self.weights.close()

    def _tagger(self, model: Section, kind: str) -> None:
        self.labels = self.embedded.vocabularies.labels(model.take("label_namespace", "labels", str))
        text, encoder = model.section("text_field_embedder"), model.section("encoder")
        self.embedded.read(text, self.weights.below("text_field_embedder."), self.indexers)
        width = self._encoder(encoder, self.weights.below("encoder."))
        model.ignore("calculate_span_f1", "label_encoding")
        if kind == "crf_tagger":
            width = self._crf(model, width)
        else:
            self.switches["decoder"] = "softmax"
        self.parts["output"] = [torch_weights.dense(self.weights.below("tag_projection_layer._module."), width)]
        self._check_labels(self.parts["output"][0][1].size, "tag_projection_layer._module.weight")

    def _encoder(self, section: Section, weights: TorchWeights) -> int:
        """The encoder of a tagger; the width of its output."""
        if section.choice("type", ("lstm", "gru", "pass_through", "feedforward")) in ("lstm", "gru"):
            layers = read_recurrent(section, weights.below("_module."), self.embedded.width)
            options = dict(layers.options)
            self.switches |= {"encoder": options.pop("cell")} | options
            self.parts["stack"] = layers.arrays
            return layers.width
        layers = dense_encoder(section, weights, self.embedded.width)
        self.switches |= {"encoder": "none", "feedforward": layers.options}
        self.parts["after"] = layers.arrays
        section.close()
        return layers.width

    def _crf(self, model: Section, width: int) -> int:
        model.ignore("top_k", "ignore_loss_on_o_tags", "label_weights", "weight_strategy")
        if "feedforward" in model:
            layers = read_feedforward(model.section("feedforward"), self.weights.below("_feedforward."), width)
            self.switches["feedforward"] = (*self.switches.get("feedforward", ()), *layers.options)
            self.parts.setdefault("after", []).extend(layers.arrays)
            width = layers.width
        # The name of the key before version 0.5.
        encoding = model.take("label_encoding", model.take("constraint_type", None, str), str)
        if model.take("constrain_crf_decoding", encoding is not None, bool):
            model.choice("constraint_type" if "constraint_type" in model else "label_encoding", SCHEMES)
            self.switches["constraints"] = encoding
        boundaries = model.take("include_start_end_transitions", True, bool)
        self.switches |= {"decoder": "crf", "boundaries": boundaries}
        count, weights = len(self.labels), self.weights.below("crf.")
        arrays = [weights.take("transitions", count, count)]
        if boundaries:
            arrays += [weights.take(f"{end}_transitions", count) for end in ("start", "end")]
        if "_constraint_mask" in weights:
            _check_constraints(weights, self.labels, self.switches.get("constraints"))
        self.parts["crf"] = [arrays]
        return width

    def _bcn(self, model: Section) -> None:
        self.task = "classification"
        self.labels = self.embedded.vocabularies.labels("labels")
        model.ignore("embedding_dropout", "integrator_dropout")
        text = model.section("text_field_embedder")
        self.embedded.read(text, self.weights.below("_text_field_embedder."), self.indexers)
        at_input, at_output = (model.take(f"use_{place}_elmo", False, bool) for place in ("input", "integrator_output"))
        if "elmo" in model:
            elmo = model.section("elmo")
            if not (at_input or at_output):
                model.fail("elmo", "is given; expected 'use_input_elmo' or 'use_integrator_output_elmo' to be true")
            elmo.check("num_output_representations", at_input + at_output)
            dim = self._elmo(elmo, self.weights.below("_elmo."), self.indexers.section("elmo"), at_input + at_output)
            elmo.close()
            if at_input:
                self.embedded.add_elmo(dim)
        elif at_input or at_output:
            model.fail("elmo", "is missing, though 'use_input_elmo' or 'use_integrator_output_elmo' is true")
        before = self._layers(
            "before", model, "pre_encode_feedforward", "_pre_encode_feedforward.", self.embedded.width, read_feedforward
        )
        encoder = self._layers("stack", model, "encoder", "_encoder._module.", before.width, read_recurrent)
        integrator = self._layers(
            "integrator", model, "integrator", "_integrator._module.", 3 * encoder.width, read_recurrent
        )
        width = integrator.width + (dim if at_output else 0)
        self.parts["attention"] = [
            torch_weights.dense(self.weights.below("_self_attentive_pooling_projection."), width)
        ]
        # Either kind is known by its keys; its class is not named in the config.
        maxout = "pool_sizes" in model.section("output_layer")
        reader = read_maxout if maxout else read_feedforward
        top = self._layers("output", model, "output_layer", "_output_layer.", 4 * width, reader)
        self._check_labels(top.width, "_output_layer")
        options, integrating = dict(encoder.options), dict(integrator.options)
        output = {"output": top.options[:-1], "pieces": top.options[-1][1]} if maxout else {"dense": top.options}
        biattention = Biattention(
            before=before.options, integrator=integrating.pop("cell"), elmo=at_output, **integrating, **output
        )
        self.switches = {"encoder": options.pop("cell")} | options | {"biattention": biattention}

    def _layers(self, part: str, model: Section, key: str, prefix: str, width: int, reader: Any) -> Layers:
        layers = reader(model.section(key), self.weights.below(prefix), width)
        self.parts[part] = layers.arrays
        return layers

    def _elmo(self, section: Section, weights: TorchWeights, indexer: Section, mixes: int = 1) -> int:
        """Read the biLM and the mixes of its layers; the width of one."""
        if self.bilm:
            section.fail("", "is a second biLM; only one can be converted")
        indexer.choice("type", ("elmo_characters",), DEFAULT_INDEXER)
        indexer.only("tokens_to_add", {}, None)
        indexer.ignore("namespace", "token_min_padding_length")
        indexer.close()
        # AllenNLP normalises over all texts of a batch, so that an answer would depend on its neighbours.
        section.only("do_layer_norm", False)
        section.only("keep_sentence_boundaries", False)
        section.only("vocab_to_cache", None, [])
        section.only("namespace_to_cache", None)
        section.only("module", None)
        section.ignore("weight_file", "dropout", "requires_grad", "scalar_mix_parameters")
        self.bilm = read_bilm(weights.below("_elmo_lstm."), read_options(self.root, section))
        layers = self.bilm[0].layers + 1
        self.mixes = [read_mix(weights.below(f"scalar_mix_{k}."), layers) for k in range(mixes)]
        return self.bilm[0].dim

    def _check_labels(self, found: int, key: str) -> None:
        if found != len(self.labels):
            raise SourceError(
                f"{self.weights.where}: '{key}' gives {found} labels; the vocabulary has {len(self.labels)}"
            )

    def options(self) -> HeadOptions:
        """The options of the head."""
        try:
            return HeadOptions(inputs=tuple(self.embedded.inputs), **self.switches)
        except ValueError as error:
            raise SourceError(f"{self.config.where}: {error}") from None

    def fill(self, head: Any) -> None:
        """Give the head its weights."""
        encoder, parts, mixes = head.encoder, self.parts, list(self.mixes)
        for layer in (encoder.elmo, getattr(head, "elmo", None)):
            if layer is not None:
                layer.set_weights(mixes.pop(0))
        if encoder.project is not None:
            encoder.project.set_weights(self.embedded.projection)
        _fill(encoder.features, self.embedded.arrays)
        _fill(encoder.before, parts.get("before", []))
        _fill(encoder.stack, parts.get("stack", []))
        _fill(encoder.after, parts.get("after", []))
        if self.task == "tagging":
            _fill([head.output_layer], parts["output"])
            _fill([head.crf] if head.crf is not None else [], parts.get("crf", []))
        else:
            _fill(head.integrator, parts["integrator"])
            _fill([head.attention], parts["attention"])
            _fill(head.output_layers, parts["output"])


def _check_constraints(weights: TorchWeights, labels: list[str], scheme: Any) -> None:
    """Whether the mask in the weights, which rules in AllenNLP, is that of the scheme: from tag to tag, then the rows
    and columns of a path's begin and end."""
    count = len(labels)
    mask = weights.take("_constraint_mask", count + 2, count + 2)
    expected = np.ones_like(mask)
    if scheme:
        between, begin, end = allowed_transitions(scheme, labels)
        expected = np.zeros_like(mask)
        expected[:count, :count], expected[count, :count], expected[:count, count + 1] = between, begin, end
    if (mask != expected).any():
        raise SourceError(
            f"{weights.where}: key 'crf._constraint_mask' allows other paths than {scheme or 'no constraints'}"
        )


def _fill(layers: list, arrays: list[Arrays]) -> None:
    for layer, weights in zip(layers, arrays, strict=True):
        layer.set_weights(weights)
