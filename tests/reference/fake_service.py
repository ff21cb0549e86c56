"""A `serve.answers.Service` whose answers follow from the text alone, so that a test can foretell them."""

import asyncio

import numpy as np

from embeddings.errors import InputError
from embeddings.tokenizer import is_text, tokenize
from models.predictions import Classification, Hypothesis, Span, Tagging, Translation
from serve.answers import Answer, Embedding, ServedInfo
from serve.errors import NotFound, TooLate, TooMany

MODELS = [
    ServedInfo(
        "kinds", "3", "ready", "classification", ["many", "one"], {"accuracy": 0.5}, "An example.", layers=3, dim=4
    ),
    ServedInfo("kinds", "2", "draining", "classification", ["many", "one"], {}, "An example."),
    ServedInfo("names", None, "ready", "tagging", ["O", "B-NAME"], {}, "Ada met Bob."),
    ServedInfo("dates", "1", "ready", "seq2seq", [], {}, "May 5"),
    ServedInfo("same", "1", "ready", "classification", ["same", "other"], {}, ["a cat", "a dog"], pairs=True),
]


class FakeService:
    """Answers for `MODELS`.

    Attributes:
        full: how often the queue is full before a request gets in.
        under_way, most_under_way: requests that are being answered, and the most that ever were at once.
        open: a gate, at which requests wait until it is set.
    """

    def __init__(self, models=MODELS):
        self.found = models
        self.full = 0
        self.under_way = self.most_under_way = 0
        self.open = asyncio.Event()
        self.open.set()
        self.asked = []

    def models(self):
        return self.found

    def model(self, name, version=None):
        for info in self.found:
            if info.name == name and version in (None, info.version):
                return info
        raise NotFound(f"no model {name[:100]!a}")

    async def predict(self, name, texts, *, version=None, logits=False, timeout=None):
        info = self.model(name, version)
        self.asked.append({"texts": texts, "version": version, "timeout": timeout})
        if self.full:
            self.full -= 1
            raise TooMany("the queue is full", retry_after=1)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await self.open.wait()
            found = [answer(info, text, k, logits) for k, text in enumerate(checked(texts))]
        finally:
            self.under_way -= 1
        return Answer(name, info.version, info.task, found, 1.0)

    async def embed(self, name, texts, selection, *, version=None, timeout=None):
        info = self.model(name, version)
        # As for the selection `average`, pooled by `mean`; whatever it is.
        texts = [text if isinstance(text, str) else " ".join(text) for text in checked(texts)]
        vectors = [np.full((1, 1, info.dim), len(text), np.float32) for text in texts]
        return Embedding(name, info.version, ["vectors"], [tokenize(text) for text in texts], vectors, 1.0)


def checked(texts):
    if not texts:
        raise InputError("no texts; expected at least one")
    return texts


def answer(info, text, k, logits):
    if info.pairs:
        same = float(text[0] == text[1])
        return Classification("same" if same else "other", {"same": same, "other": 1 - same})
    text = text if isinstance(text, str) else " ".join(map(str, text))
    if not text.strip() or not is_text(text):
        raise InputError(f"texts[{k}] has no words; expected at least one")
    if text == "late":
        raise TooLate("the deadline has passed")
    if text == "bug":
        raise RuntimeError("a secret path")
    words = text.split()
    if info.task == "seq2seq":
        return Translation(text[::-1], [Hypothesis(text[::-1], -0.5)])
    if info.task == "tagging":
        tokens = tokenize(text)
        spans = [Span("NAME", *token) for token in tokens if token.text[0].isupper()]
        return Tagging(tokens, ["B-NAME" if token.text[0].isupper() else "O" for token in tokens], spans)
    one = 1 / len(words)
    ranked = sorted({"many": 1 - one, "one": one}.items(), key=lambda pair: -pair[1])
    return Classification(ranked[0][0], dict(ranked), {"many": 0.0, "one": float(len(words))} if logits else None)
