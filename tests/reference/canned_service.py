"""A `serve.answers.Service` whose models give answers that anyone can foretell, and load nothing."""

import re
from collections.abc import Sequence
from typing import Any

from embeddings.errors import InputError
from embeddings.tokenizer import Token
from models.predictions import Classification, Hypothesis, Prediction, Span, Tagging, Translation, classification
from serve.answers import Answer, ServedInfo
from serve.errors import NotFound, NotReady, TooLate, TooMany

PARTS = {"the": "DET", "a": "DET", "cat": "NOUN", "mat": "NOUN", "sat": "VERB", "on": "ADP", ".": "PUNCT"}
NAMES = ["O", "B-NAME", "I-NAME", "B-SIGN", "I-SIGN"]

MODELS = [
    ServedInfo(
        "topics",
        "3",
        "ready",
        "classification",
        ["arts", "biology", "chemistry", "<b>history</b>"],
        {"accuracy": 0.91234, "macro_f1": 0.9},
        "The cell divides.",
        layer_weights=[0.2, 0.5, 0.3],
        layers=3,
        dim=1024,
    ),
    ServedInfo("genres", None, "ready", "classification", ["drama", "crime", "comedy", "war"], {}, "Two thieves."),
    ServedInfo("names", "7", "ready", "tagging", NAMES, {"f1": 0.5}, "Ada met Bob."),
    ServedInfo("names", "6", "draining", "tagging", NAMES, {"f1": 0.4}, "Ada met Bob."),
    ServedInfo("parts", "1", "ready", "tagging", sorted({*PARTS.values(), "X"}), {}, "The cat sat on a mat."),
    ServedInfo("dates", "1", "ready", "seq2seq", [], {"bleu": 88.0}, "May 5"),
    ServedInfo("same", "1", "ready", "classification", ["same", "other"], {}, ["a cat", "a dog"], pairs=True),
    ServedInfo("broken", "1", "loading", "classification", ["x", "y"], {}, "full"),
]


class CannedService:
    """A model of every task; the text `full`, `late` or `loading` is refused with the error of that name."""

    def __init__(self):
        self.asked: list[Any] = []

    def models(self) -> list[ServedInfo]:
        return MODELS

    def model(self, name: str, version: str | None = None) -> ServedInfo:
        for info in MODELS:
            if info.name == name and version in (None, info.version):
                return info
        raise NotFound(f"no model '{name}'; expected one of {', '.join(info.name for info in MODELS)}")

    async def predict(self, name, texts: Sequence, *, version=None, logits=False, timeout=None) -> Answer:
        info = self.model(name, version)
        self.asked.append(texts)
        if info.state == "loading":
            raise NotReady(f"the model '{name}' is being loaded", retry_after=1)
        answers = [answer(info, text, k) for k, text in enumerate(texts)]
        return Answer(info.name, info.version, info.task, answers, 4.21)

    async def embed(self, name, texts, selection, *, version=None, timeout=None):
        raise NotImplementedError


def answer(info: ServedInfo, text: Any, position: int) -> Prediction:
    if info.pairs:
        same = float(text[0] == text[1])
        return Classification("same" if same else "other", {"same": same, "other": 1 - same})
    if text == "full":
        raise TooMany("the queue holds 256 requests; expected fewer", retry_after=1)
    if text == "late":
        raise TooLate("the deadline has passed")
    if not text.strip():
        raise InputError(f"texts[{position}] has no words; expected at least one")
    if info.task == "seq2seq":
        return Translation(f"{text}!", [Hypothesis(f"{text}!", -0.1234), Hypothesis(f"{text}?", -2.5)])
    if info.task == "tagging":
        return tagging(info, text)
    if info.name == "genres":
        return classification(info.labels, [0.9, 0.7, 0.2, 0.0004], multi_label=True)
    return classification(info.labels, [0.1, 0.6, 0.0, 0.3], multi_label=False)


def tagging(info: ServedInfo, text: str) -> Tagging:
    """Names begin with a capital letter, signs are emoji; a part of speech is looked up."""
    found = list(re.finditer(r"\w[\w\u0300-\u036f]*|[^\w\s]", text))
    tokens = [Token(one[0], one.start(), one.end()) for one in found]
    if info.name == "parts":
        return Tagging(tokens, [PARTS.get(token.text.lower(), "X") for token in tokens], [])
    labels = ["NAME" if t.text[0].isupper() else "SIGN" if t.text[0] > "\uffff" else "" for t in tokens]
    spans = [Span(label, *token) for token, label in zip(tokens, labels, strict=True) if label]
    return Tagging(tokens, [f"B-{label}" if label else "O" for label in labels], spans)
