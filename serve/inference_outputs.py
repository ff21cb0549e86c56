"""Predictions as the tensors of the Open Inference Protocol."""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from embeddings.selection import Selection
from models.options import Task
from serve.answers import ServedInfo, Service
from serve.errors import NotReady, NotUsable
from serve.inference_schemas import RequestedOutput, TensorMetadata
from serve.tensors import Tensor


@dataclass(frozen=True)
class Output:
    """A tensor that models of a task give.

    Args:
        holds: what a value is, for people.
        value: of a prediction: a string, or a number of each label.
        by_label: whether it is `[texts, labels]` and not `[texts]`.
        by_default: whether it is given where no outputs are named.
    """

    name: str
    holds: str
    value: Callable[[Any], Any]
    by_label: bool = False
    by_default: bool = True


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


_OUTPUTS: dict[Task, list[Output]] = {
    "classification": [
        Output("label", "the most probable label", lambda one: one.label),
        Output("probabilities", "the probability of each label", lambda one: one.probabilities, by_label=True),
        Output("logits", "the score of each label", lambda one: one.logits, by_label=True, by_default=False),
    ],
    "tagging": [
        Output("tags", "a JSON list: the tag of each word", lambda one: _json(one.tags)),
        Output("tokens", "a JSON list: [word, start, end] of each word", lambda one: _json(one.tokens)),
        Output(
            "spans",
            "a JSON list: {label, text, start, end} of each span",
            lambda one: _json([asdict(span) for span in one.spans]),
        ),
        Output("logits", "a JSON list: {label: score} of each word", lambda one: _json(one.logits), by_default=False),
    ],
    "seq2seq": [
        Output("text", "the best translation", lambda one: one.text),
        Output(
            "hypotheses",
            "a JSON list: {text, score} of each of the best translations",
            lambda one: _json([asdict(hypothesis) for hypothesis in one.hypotheses]),
        ),
    ],
}

EMBEDDING = "embedding"


def described(info: ServedInfo) -> list[TensorMetadata]:
    """What a model gives."""
    found = [
        TensorMetadata(
            name=output.name,
            datatype="FP32" if output.by_label else "BYTES",
            shape=[-1, len(info.labels)] if output.by_label else [-1],
            parameters={"holds": output.holds} | ({"labels": info.labels} if output.by_label else {}),
        )
        for output in _OUTPUTS[info.task]
    ]
    if info.dim is not None:
        holds = "the mean over layers and words of the biLM's vectors; given if it is named"
        found.append(TensorMetadata(name=EMBEDDING, datatype="FP32", shape=[-1, info.dim], parameters={"holds": holds}))
    return found


def wanted(info: ServedInfo, outputs: Sequence[RequestedOutput] | None, logits: bool) -> list[RequestedOutput]:
    """The outputs that a request asks for.

    Args:
        outputs: that it names, if it names any.
        logits: whether they are wanted where none are named.

    Raises:
        NotUsable: the model does not give one, or not in the form that is asked for.
    """
    if not outputs:
        named = [
            output.name for output in _OUTPUTS[info.task] if output.by_default or (logits and output.name == "logits")
        ]
        return [RequestedOutput(name=name) for name in named]
    given = {tensor.name: tensor for tensor in described(info)}
    for output in outputs:
        if output.name not in given:
            raise NotUsable(f"no output {output.name[:100]!a}; the model '{info.name}' gives {', '.join(given)}")
        if output.parameters.shared_memory_region is not None:
            raise NotUsable(f"output '{output.name}' is wanted in shared memory; this server has none")
        if output.parameters.classification and "labels" not in (given[output.name].parameters or {}):
            raise NotUsable(f"output '{output.name}' has no values of labels to classify by")
    if len({output.name for output in outputs}) < len(outputs):
        raise NotUsable("an output is named twice")
    return list(outputs)


async def computed(
    service: Service,
    info: ServedInfo,
    texts: Sequence[Any],
    outputs: Sequence[RequestedOutput],
    version: str | None,
    timeout: float | None,
) -> tuple[str | None, list[Tensor]]:
    """Ask a model for outputs.

    Returns:
        The version that answered, and a tensor for each output.
    """
    names = [output.name for output in outputs]

    async def predict():
        return await service.predict(info.name, texts, version=version, logits="logits" in names, timeout=timeout)

    async def embed():
        selection = Selection("average", "mean")
        return await service.embed(info.name, texts, selection, version=version, timeout=timeout)

    asked = [ask() for ask, needed in ((predict, names != [EMBEDDING]), (embed, EMBEDDING in names)) if needed]
    # Alone, it is asked before anything else can happen, so that `info` is that of the version which answers.
    found = [await asked[0]] if len(asked) == 1 else await _both(asked)
    answered = {answer.version for answer in found}
    if len(answered) > 1:
        raise NotReady(f"the model '{info.name}' changed its version meanwhile; ask again", retry_after=1)
    by = found[0].version
    if by != info.version:
        info = service.model(info.name, by)
    values = {output.name: output for output in _OUTPUTS[info.task]}
    tensors = []
    for output in outputs:
        if output.name == EMBEDDING:
            vectors = np.stack([vectors[0, 0] for vectors in found[-1].vectors]).astype(np.float32)
            tensors.append(Tensor(EMBEDDING, "FP32", vectors.shape, vectors))
        else:
            tensor = _tensor(info, values[output.name], found[0].predictions)
            best = output.parameters.classification
            tensors.append(_classified(tensor, info.labels, best) if best else tensor)
    return by, tensors


async def _both(asked: Sequence[Any]) -> list[Any]:
    """The answers to questions that are asked at once; if one fails, the others are given up."""
    tasks = [asyncio.ensure_future(one) for one in asked]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


def _tensor(info: ServedInfo, output: Output, predictions: Sequence[Any]) -> Tensor:
    values = [output.value(prediction) for prediction in predictions]
    if not output.by_label:
        return Tensor(output.name, "BYTES", (len(values),), values)
    numbers = np.array([[row[label] for label in info.labels] for row in values], np.float32)
    return Tensor(output.name, "FP32", numbers.shape, numbers)


def _classified(tensor: Tensor, labels: Sequence[str], count: int) -> Tensor:
    """The best labels of each text as `value:index:label` (Triton's classification extension)."""
    rows = np.asarray(tensor.values)
    best = np.argsort(-rows, axis=1, kind="stable")[:, :count]
    named = [f"{row[k]:f}:{k}:{labels[k]}" for row, kept in zip(rows, best, strict=True) for k in kept]
    return Tensor(tensor.name, "BYTES", best.shape, named)
