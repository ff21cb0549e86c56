"""The models that a worker serves: who answers, in which version, and how these change while it serves."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from embeddings.errors import ConfigError
from embeddings.selection import Selection
from serve.answers import Answer, Embedding, ServedInfo
from serve.batcher import Batcher
from serve.errors import NotFound, NotReady, NotUsable, TooLarge
from serve.loaded_model import LoadedModel
from serve.observer import Observer
from serve.options import ServeOptions
from serve.place import Place
from serve.registry import FoundModel
from serve.request_facts import tell_model
from serve.shadow import Shadow
from serve.text_limits import check_size


class ServedModels:
    """A `Service` of models in this process, which share one batcher.

    Args:
        found: the models by the place that they were asked for by, such as `models:/docs-code@champion`.
        options: of the server; its shadows are found in `found`, too.
        observer: of what happens.
    """

    def __init__(self, found: Mapping[str, FoundModel], options: ServeOptions, observer: Observer | None = None):
        self.options = options
        self.observer: Observer = observer or Observer()
        self.batcher = Batcher(options.batch_words, options.queue_words, options.max_wait_ms / 1000, self.observer)
        behind = set(options.shadow.values())
        self._places = {
            model.name: Place(place, model, self.batcher, self.observer)
            for place, model in found.items()
            if place not in behind
        }
        self._shadows = {
            name: Shadow(Place(place, found[place], self.batcher, self.observer, background=True), options.shadow_share)
            for name, place in options.shadow.items()
        }
        self._stopping = False
        self._polling: asyncio.Task | None = None

    def load(self) -> None:
        """Load all models and warm them up.

        Raises:
            ModelError, SourceError: one cannot be loaded.
            ConfigError: one shadows a model of another task, so that their answers cannot be compared.
        """
        for place in self._all_places():
            place.load()
        for name, shadow in self._shadows.items():
            own, other = (place.current and place.current.info.task for place in (self._places[name], shadow.place))
            if own != other:
                raise ConfigError(f"the shadow of '{name}' is a model for {other}; expected one for {own}")

    async def start(self) -> None:
        """Begin to answer, and to look after the aliases; called on the event loop."""
        self.batcher.start()
        for place in self._all_places():
            place.join()
        if any(place.moves for place in self._all_places()):
            self._polling = asyncio.create_task(self._poll())

    @asynccontextmanager
    async def lifespan(self, app: Any) -> AsyncIterator[None]:
        """Answer as long as an application lives."""
        await self.start()
        yield
        self.close()

    def stop(self) -> None:
        """Say from now on that no model is ready, and go on answering."""
        self._stopping = True
        if self._polling:
            self._polling.cancel()

    def close(self) -> None:
        """Answer no more."""
        self.stop()
        self.batcher.close()

    @property
    def ready(self) -> bool:
        """Whether every model answers, and the server does not stop."""
        return not self._stopping

    def models(self) -> list[ServedInfo]:
        """As `Service` says; a shadow is none of them, for nobody may ask it."""
        infos = [info for place in self._places.values() for info in place.infos()]
        return [self._told(info) for info in infos]

    def model(self, name: str, version: str | None = None) -> ServedInfo:
        """As `Service` says."""
        return self._told(self._chosen(name, version).described())

    async def predict(
        self,
        name: str,
        texts: Sequence[Any],
        *,
        version: str | None = None,
        logits: bool = False,
        timeout: float | None = None,
    ) -> Answer:
        """As `Service` says."""
        began = time.perf_counter()
        model = self._chosen(name, version)
        tell_model(model.name, model.version, len(texts))
        self.batcher.check_room(model.predictions)
        words = check_size(texts, self.options, model.predictor.description.tokenizer)
        model.predictor.check(texts)
        if logits and model.info.task == "seq2seq":
            raise NotUsable("logits: a translation has no score of each label; expected false")
        predictions = await self.batcher.answer(model.predictions, texts, words, logits, timeout)
        if name in self._shadows and version is None:
            self._shadows[name].follow(model, texts, words, predictions)
        return Answer(name, model.version, model.info.task, predictions, 1000 * (time.perf_counter() - began))

    async def embed(
        self,
        name: str,
        texts: Sequence[Any],
        selection: Selection,
        *,
        version: str | None = None,
        timeout: float | None = None,
    ) -> Embedding:
        """As `Service` says."""
        began = time.perf_counter()
        model = self._chosen(name, version)
        tell_model(model.name, model.version, len(texts))
        self.batcher.check_room(model.embeddings)
        words = check_size(texts, self.options, model.predictor.description.tokenizer)
        model.predictor.check(texts, pairs=False)
        selection = _with_weights_of(model.info, selection)
        names = _kept(model.info, selection)
        self._check_numbers(model.info, selection, len(names), words)
        answers = await self.batcher.answer(model.embeddings, texts, words, selection.function(), timeout)
        tokens, vectors = [list(column) for column in zip(*answers, strict=True)]
        milliseconds = 1000 * (time.perf_counter() - began)
        return Embedding(name, model.version, names, tokens, vectors, milliseconds)

    def _check_numbers(self, info: ServedInfo, selection: Selection, kept: int, words: list[int]) -> None:
        rows = sum(words) if selection.pool == "none" else len(words)
        numbers = rows * kept * (info.dim or 0)
        if numbers > self.options.max_numbers:
            expected = f"expected at most {self.options.max_numbers}: fewer texts or layers, or a pool"
            raise TooLarge(f"the vectors are about {numbers} numbers; {expected}")

    def _chosen(self, name: str, version: str | None) -> LoadedModel:
        """The version that answers.

        Raises:
            NotFound: there is no such model, or no such version in memory.
        """
        place = self._places.get(name)
        if place is None:
            raise NotFound(f"no model '{name}'; expected one of {', '.join(self._places)}")
        current = place.current
        if version is None and current is not None:
            return current
        candidates = list(place.in_memory())
        for model in candidates:
            if model.version == version:
                return model
        if version is None:
            raise NotReady(f"the model '{name}' is being loaded", retry_after=1)
        found = ", ".join(filter(None, (model.version for model in candidates))) or "none, as it is a folder"
        raise NotFound(f"no version '{version}' of the model '{name}' in memory; expected one of {found}")

    def _told(self, info: ServedInfo) -> ServedInfo:
        """A model of a server that stops is not ready."""
        if self._stopping and info.state == "ready":
            return replace(info, state="draining")
        return info

    def _all_places(self) -> Iterator[Place]:
        yield from self._places.values()
        for shadow in self._shadows.values():
            yield shadow.place

    async def _poll(self) -> None:
        """Look where the aliases stand, again and again."""
        while True:
            await asyncio.sleep(self.options.poll_seconds)
            for place in self._all_places():
                if place.moves:
                    await place.follow()


def _with_weights_of(info: ServedInfo, selection: Selection) -> Selection:
    """A selection whose `mix` has the model's own weights."""
    if selection.layers != "mix":
        return selection
    if info.layer_weights is None:
        raise NotUsable(f"layers 'mix': the model '{info.name}' has no weights of its own; expected mix:0.2,0.5,0.3")
    return replace(selection, layers="mix:" + ",".join(map(repr, info.layer_weights)))


def _kept(info: ServedInfo, selection: Selection) -> list[str]:
    """Names of the layers that a selection keeps."""
    if info.layers is None:
        raise NotUsable(f"the model '{info.name}' has no biLM; expected one that has")
    try:
        return selection.names(info.layers)
    except ConfigError as error:
        raise NotUsable(str(error)) from None
