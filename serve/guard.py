"""What a key may ask of the models, held where every protocol passes: at the service itself.

A check of paths would have to read them as each router does, with its `//`, `%2F`, `;` and letter case, and could not
see models that a body or a header names. Here the name is the one that is about to answer.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Literal

from embeddings.errors import InputError
from embeddings.selection import Selection
from serve.answers import Answer, Embedding, ServedInfo, Service
from serve.errors import NotAllowed, NotAuthenticated, NotFound, RequestError, TooLate
from serve.key_ring import KeyRing
from serve.keys import Action, ApiKey
from serve.limits import Limits
from serve.text_limits import words_of

if TYPE_CHECKING:
    from models.predictor import Text


class Caller:
    """Who asks with a key. It may be revoked, expire or change while a request of many lines is answered.

    Args:
        ring: where the key is looked up, each time anew.
        token: that opens it.
        limits: of the key.
    """

    def __init__(self, ring: KeyRing, token: str, limits: Limits):
        self._ring, self._token, self._limits = ring, token, limits

    def key(self) -> ApiKey:
        """The key as it is now.

        Raises:
            NotAuthenticated: it is valid no longer.
        """
        key = self._ring.find(self._token)
        if key is None:
            raise NotAuthenticated("the API key is no longer valid")
        return key

    def count_request(self) -> None:
        """Count a request more than the one that `Access` has counted.

        Raises:
            LimitReached: the key has used up its requests of a minute.
        """
        self._limits.take_request(self.key())


CALLER: ContextVar[Caller | Literal["open"] | None] = ContextVar("caller", default=None)
"""Whose request is being answered: of a key, of nobody on a route that is open to all, or not known. Tasks and threads
that a request starts see its own."""


class Guarded:
    """A service that answers each caller what its key allows, and nobody else. It is a `Service` itself.

    Args:
        service: that answers.
        limits: where the words of requests are counted.

    What else is asked (`Service.predict`, `Service.embed`) is passed on as it is.
    """

    def __init__(self, service: Service, limits: Limits):
        self._service = service
        self._limits = limits

    def models(self) -> list[ServedInfo]:
        """Every version that the caller may ask; on an open route, which tells whether all is well, every one."""
        caller = CALLER.get()
        if caller == "open":
            return self._service.models()
        key = _known(caller)
        return [model for model in self._service.models() if key.may_ask(model.name)]

    def model(self, name: str, version: str | None = None) -> ServedInfo:
        """As of the service.

        Raises:
            NotAllowed: the caller may not ask this model, which may not even exist.
        """
        key = _allowed(name)
        with self._telling_own_names(key, name):
            return self._service.model(name, version)

    async def predict(self, name: str, texts: Sequence["Text"], **asked: Any) -> Answer:
        """As of the service.

        Raises:
            NotAllowed: the caller may not ask this of this model.
            LimitReached, TooLarge: its words are used up.
        """
        with self._asking("predict", name, texts, asked.get("version")):
            return await self._service.predict(name, texts, **asked)

    async def embed(self, name: str, texts: Sequence["Text"], selection: Selection, **asked: Any) -> Embedding:
        """As of the service.

        Raises:
            NotAllowed: the caller may not ask this of this model.
            LimitReached, TooLarge: its words are used up.
        """
        with self._asking("embed", name, texts, asked.get("version")):
            return await self._service.embed(name, texts, selection, **asked)

    @contextmanager
    def _asking(self, action: Action, name: str, texts: Sequence["Text"], version: str | None) -> Iterator[None]:
        key = _allowed(name, action)
        with self._telling_own_names(key, name), self._counted(key, texts, name, version):
            yield

    @contextmanager
    def _telling_own_names(self, key: ApiKey, name: str) -> Iterator[None]:
        """Where there is no such model, name no others than the key may ask."""
        try:
            yield
        except NotFound:
            names = dict.fromkeys(model.name for model in self._service.models() if key.may_ask(model.name))
            if name in names:
                # There is no such version.
                raise
            raise NotFound(f"no model '{name}'; expected one of {', '.join(names) or 'none, as none is'}") from None

    @contextmanager
    def _counted(self, key: ApiKey, texts: Sequence["Text"], name: str, version: str | None) -> Iterator[None]:
        """Count the words of texts as the model parts them; those of a request that is refused before any work do not
        count."""
        words = 0
        # To count takes a while, too.
        if key.words_per_minute:
            tokenizer = self._service.model(name, version).tokenizer
            words = sum(words_of(text, tokenizer) for text in texts)
        self._limits.take_words(key, words)
        try:
            yield
        except TooLate:
            raise
        except (RequestError, InputError):
            self._limits.give_back_words(key, words)
            raise


def count_request() -> None:
    """Count a part of a request as one more of its caller; where there are no keys, nothing is counted.

    Raises:
        NotAuthenticated: the key is valid no longer.
        LimitReached: it has used up its requests of a minute.
    """
    if isinstance(caller := CALLER.get(), Caller):
        caller.count_request()


def _known(caller: Caller | Literal["open"] | None) -> ApiKey:
    if not isinstance(caller, Caller):
        raise NotAuthenticated("this needs an API key")
    return caller.key()


def _allowed(model: str, action: Action | None = None) -> ApiKey:
    """The caller's key, if it may ask this of the model."""
    key = _known(CALLER.get())
    if not key.may_ask(model):
        raise NotAllowed(f"the key '{key.name}' may not ask the model '{model}'")
    if action and action not in key.actions:
        raise NotAllowed(f"the key '{key.name}' may not {action}; it is for {', '.join(key.actions) or 'nothing'}")
    return key
