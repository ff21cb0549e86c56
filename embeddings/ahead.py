"""Work done ahead of its use."""

from collections.abc import Iterator
from queue import Queue
from threading import Event, Thread
from typing import TypeVar

Item = TypeVar("Item")

_END = object()


def ahead(items: Iterator[Item], most: int = 2) -> Iterator[Item]:
    """The items of an iterator, of which the next ones are made by a thread while the last one is used.

    Args:
        items: what to make; an error in it is raised where its item would have come.
        most: items that wait.
    """
    queue: Queue = Queue(most)
    stopped = Event()

    def make() -> None:
        try:
            for item in items:
                queue.put((item, None))
                if stopped.is_set():
                    return
            queue.put((_END, None))
        except BaseException as error:
            queue.put((_END, error))

    thread = Thread(target=make, name="ahead", daemon=True)
    thread.start()
    try:
        while True:
            item, error = queue.get()
            if error:
                raise error
            if item is _END:
                return
            yield item
    finally:
        # Whoever stops early leaves a thread that may be waiting for room.
        stopped.set()
        while not queue.empty():
            queue.get_nowait()
        thread.join(timeout=2)
