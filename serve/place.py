"""Where a served model comes from, and the versions of it in memory: an alias moves, and the answers follow."""

import asyncio
import gc
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from tempfile import TemporaryDirectory
from typing import Any

from embeddings.errors import TelmoError
from serve.answers import ServedInfo, State
from serve.batcher import Batcher
from serve.loaded_model import LoadedModel
from serve.observer import Observer
from serve.registry import FoundModel, fetch_model, has_alias, version_of

log = logging.getLogger("telmo.serve")

RETRY = 60.0
"""Seconds until a version that could not be loaded is tried again."""


class Place:
    """A folder or a place in MLflow.

    Args:
        place: as it was asked for, such as `models:/docs-code@champion`.
        found: what was found there.
        batcher: that computes.
        observer: of what happens.
        background: whether nobody waits for its answers.
    """

    def __init__(self, place: str, found: FoundModel, batcher: Batcher, observer: Observer, background: bool = False):
        self.name = found.name
        self.moves = has_alias(place)
        self.current: LoadedModel | None = None
        self._place, self._found = place, found
        self._batcher, self._observer, self._background = batcher, observer, background
        self._leaving: list[LoadedModel] = []
        self._farewells: set[asyncio.Task] = set()
        self._next: tuple[str, State] | None = None
        self._retry = 0.0
        self._trouble: str | None = None

    def load(self) -> None:
        """Load what was found, and warm it up; or what the alias stands on by now, where a worker replaces another.

        Raises:
            ModelError, SourceError: it cannot be loaded.
        """
        if self.moves:
            try:
                version = version_of(self._place)
                if version != self._found.version or not self._found.folder.is_dir():
                    self.current = self._fetch(version)
                    return
            except Exception as error:
                log.warning("%s: %s; version %s is loaded", self._place, _reason(error), self._found.version)
        self.current = LoadedModel.load(self._found, self._background)

    def join(self) -> None:
        """Begin to answer."""
        assert self.current
        self.current.join(self._batcher)
        self._tell(self.current.version, "ready")

    def in_memory(self) -> Iterator[LoadedModel]:
        """The version that answers, and those that still do."""
        if self.current:
            yield self.current
        yield from self._leaving

    def infos(self) -> Iterator[ServedInfo]:
        """What is in memory, and what shall be or could not be."""
        for model in self.in_memory():
            yield model.described()
        if self._next and self.current:
            version, state = self._next
            # Nothing is known of it yet but that.
            yield replace(
                self.current.info, version=version, state=state, labels=[], metrics={}, layer_weights=None, layers=None
            )

    async def answer(self, model: LoadedModel, texts: Sequence[Any], words: Sequence[int]) -> list:
        """The predictions of a model of this place."""
        return await self._batcher.answer(model.predictions, texts, words, False)

    def compared(self, model: LoadedModel, shadow: LoadedModel, agreed: bool) -> None:
        """Tell that a model of this place has shadowed another."""
        self._observer.compared(model.name, model.version, shadow.name, shadow.version, agreed)

    async def follow(self) -> None:
        """Look where the alias stands, and if it has moved load the version there, let it answer from then on, and the
        one before finish. Whatever goes wrong, the one before goes on."""
        assert self.current
        try:
            version = await asyncio.to_thread(version_of, self._place)
        except Exception as error:
            self._warn(f"{self._place}: {_reason(error)}; version {self.current.version} goes on answering")
            return
        self._trouble = None
        if version == self.current.version:
            self._becomes(None)
            return
        if self._next == (version, "failed") and time.monotonic() < self._retry:
            return
        log.info("%s: the alias stands on version %s now, which is being loaded", self._place, version)
        self._becomes((version, "loading"))
        try:
            loaded = await asyncio.to_thread(self._fetch, version)
        except Exception as error:
            self._retry = time.monotonic() + RETRY
            self._becomes((version, "failed"))
            log.error(
                "%s: version %s cannot be loaded; version %s goes on answering: %s",
                self._place,
                version,
                self.current.version,
                _reason(error),
                exc_info=None if isinstance(error, TelmoError) else error,
            )
            return
        self._switch(loaded)

    def _fetch(self, version: str) -> LoadedModel:
        # It is in memory as soon as it is loaded; what MLflow has fetched is not needed any more.
        with TemporaryDirectory(prefix="telmo-") as folder:
            return LoadedModel.load(fetch_model(self._place, version, folder), self._background)

    def _switch(self, loaded: LoadedModel) -> None:
        old, self.current, self._next = self.current, loaded, None
        assert old
        loaded.join(self._batcher)
        self._tell(loaded.version, "ready")
        log.info("%s: version %s answers, after version %s", self._place, loaded.version, old.version)
        self._leaving.append(old)
        farewell = asyncio.create_task(self._let_go(old))
        self._farewells.add(farewell)
        farewell.add_done_callback(self._farewells.discard)

    async def _let_go(self, old: LoadedModel) -> None:
        self._tell(old.version, "draining")
        await old.drain(self._batcher)
        self._leaving.remove(old)
        self._tell_if_gone(old.version)
        log.info("%s: version %s is unloaded", self._place, old.version)
        del old
        # The layers of a model refer to each other; until they are collected they keep their weights. Later, for the
        # caller's frame has this one.
        asyncio.get_running_loop().call_later(0.5, _collect)

    def _becomes(self, coming: tuple[str, State] | None) -> None:
        before, self._next = self._next, coming
        if before:
            self._tell_if_gone(before[0])
        if coming:
            self._tell(*coming)

    def _tell_if_gone(self, version: str | None) -> None:
        """After a rollback the same version may be in memory once more, or be loaded."""
        if version not in [info.version for info in self.infos()]:
            self._tell(version, "unloaded")

    def _tell(self, version: str | None, state: "State | str") -> None:
        if not self._background:
            self._observer.changed(self.name, version, state)  # type: ignore[arg-type]

    def _warn(self, message: str) -> None:
        """Once, and not at each look."""
        if message != self._trouble:
            self._trouble = message
            log.warning("%s", message)


def _collect() -> None:
    """Let go what a model that has left holds; what stands then is looked at no more, as when the worker began."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def _reason(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
