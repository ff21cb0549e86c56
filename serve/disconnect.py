"""A client that goes away takes its request with it."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request

T = TypeVar("T")


async def unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Do work for a request whose body has been read; cancel it as soon as its client goes away.

    Raises:
        ClientDisconnect: it has.
    """
    task = asyncio.current_task()
    assert task

    def cancel(gone: asyncio.Future) -> None:
        if not gone.cancelled():
            task.cancel()

    gone = asyncio.ensure_future(_gone(request))
    gone.add_done_callback(cancel)
    try:
        return await work
    except asyncio.CancelledError:
        if gone.done() and not gone.cancelled():
            task.uncancel()
            raise ClientDisconnect from None
        raise
    finally:
        gone.remove_done_callback(cancel)
        gone.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
