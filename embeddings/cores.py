"""Work for every core: a thread each, whose matrix products stay on its core."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import cache
from threading import Lock
from typing import Any, TypeVar

from threadpoolctl import ThreadpoolController

Task = TypeVar("Task")
Result = TypeVar("Result")


def processors() -> int:
    """Cores of this machine that the process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cores() -> int:
    """Cores for NumPy: all that the process may use, at most `OMP_NUM_THREADS`, if it is set; or its part of them, if
    they are divided."""
    have = processors()
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdigit() and int(asked):
        have = min(have, int(asked))
    return max(1, have // _users_of_cores())


_users_of_cores: Callable[[], int] = lambda: 1  # noqa: E731


def divide_cores(users: Callable[[], int]) -> None:
    """Have this process use its part of the cores from now on.

    Args:
        users: tells how many processes use them at the moment, with this one.
    """
    global _users_of_cores  # noqa: PLW0603
    _users_of_cores = users


def on_cores(function: Callable[[Task], Result], tasks: Sequence[Task]) -> list[Result]:
    """What a function of NumPy gives for each task; several are called at once.

    Args:
        function: spends its time where Python's lock is not held.
        tasks: what it is called with.
    """
    threads = cores()
    with _products_on_one_core():
        if len(tasks) <= 1 or threads == 1:
            return [function(task) for task in tasks]
        # The thread that asks would else wait, and another be woken: half a millisecond.
        others = [_pool(threads - 1).submit(function, task) for task in tasks[1:]]
        try:
            first = function(tasks[0])
        finally:
            # What they write to is not theirs any more, once this has ended.
            wait(others)
        return [first, *(other.result() for other in others)]


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, "cores")


_lock = Lock()
_users = 0
_before: list[int] = []


@cache
def _libraries() -> list[Any]:
    # Numba multiplies with SciPy's, which has to be here to be found.
    import scipy.linalg.cython_blas  # noqa: F401

    return ThreadpoolController().select(user_api="blas").lib_controllers


def _set_threads(library: Any, count: int) -> None:
    # threadpoolctl lets only the thread that was first set the threads of OpenBLAS; a service has many.
    for name in ("scipy_openblas_set_num_threads64_", "scipy_openblas_set_num_threads", "openblas_set_num_threads"):
        if found := getattr(library.dynlib, name, None):
            found(count)
            return
    library.set_num_threads(count)


@contextmanager
def _products_on_one_core() -> Iterator[None]:
    """NumPy's number of threads is one for the whole process, so the last who leaves sets it back."""
    global _users  # noqa: PLW0603
    with _lock:
        if not _users:
            _before[:] = [library.num_threads for library in _libraries()]
            for library in _libraries():
                _set_threads(library, 1)
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if not _users:
                for library, count in zip(_libraries(), _before, strict=True):
                    _set_threads(library, count)


def _begin_anew() -> None:
    """A process that was forked has none of the threads, and perhaps the lock of one that embedded."""
    global _lock, _users
    _pool.cache_clear()
    if _users:
        for library, count in zip(_libraries(), _before, strict=True):
            _set_threads(library, count)
    _lock, _users = Lock(), 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
