"""A second model that gets a share of a model's requests; nobody sees its answers, only whether they are the same."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from models.predictions import Classification, Prediction, Tagging
from serve.errors import RequestError
from serve.loaded_model import LoadedModel
from serve.place import Place

log = logging.getLogger("telmo.serve")


class Shadow:
    """Compares answers with those of another model, when the processor has nothing else to do.

    Args:
        place: of the other model, in the background.
        share: of the requests that it gets. Those that would wait too long are left out.
    """

    def __init__(self, place: Place, share: float):
        self.place = place
        self._share = share
        self._owed = 0.0
        self._tasks: set[asyncio.Task] = set()

    def follow(
        self, model: LoadedModel, texts: Sequence[Any], words: Sequence[int], predictions: Sequence[Prediction]
    ) -> None:
        """Let it answer what a model has answered, if it is its turn."""
        other = self.place.current
        if other is None or (other.name, other.version) == (model.name, model.version):
            return
        self._owed += self._share
        if self._owed < 1:
            return
        self._owed -= 1
        task = asyncio.create_task(self._compare(model, other, texts, words, predictions))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _compare(
        self,
        model: LoadedModel,
        other: LoadedModel,
        texts: Sequence[Any],
        words: Sequence[int],
        predictions: Sequence[Prediction],
    ) -> None:
        try:
            answers = await self.place.answer(other, texts, words)
        except RequestError:
            # There is no time for it, or its error is in the log already.
            return
        except Exception as error:
            log.warning("the shadow '%s' (version %s) gives no answer: %s", other.name, other.version, error)
            return
        for ours, theirs in zip(predictions, answers, strict=True):
            agreed = _said(ours) == _said(theirs)
            self.place.compared(model, other, agreed)
            if not agreed:
                log.info(
                    "the shadow disagrees: '%s' version %s says %s, '%s' version %s says %s",
                    model.name,
                    model.version,
                    _shown(ours),
                    other.name,
                    other.version,
                    _shown(theirs),
                )


def _said(prediction: Prediction) -> Any:
    """What must be the same in two answers that agree."""
    if isinstance(prediction, Classification):
        return prediction.label if prediction.labels is None else sorted(prediction.labels)
    return prediction.tags if isinstance(prediction, Tagging) else prediction.text


def _shown(prediction: Prediction) -> Any:
    """The same, without the words of the text."""
    return _said(prediction) if isinstance(prediction, Classification | Tagging) else "something"
