import threading
import time

import pytest

from embeddings.ahead import ahead


def test_items_come_in_order_and_are_made_before_they_are_asked_for():
    made = []

    def items():
        for k in range(10):
            made.append(k)
            yield k

    taken = ahead(items())
    assert next(taken) == 0
    deadline = time.monotonic() + 5
    while len(made) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert 3 <= len(made) <= 5
    assert list(taken) == list(range(1, 10))


def test_an_error_comes_where_its_item_would_have_come():
    def items():
        yield 1
        raise ValueError("broken")

    taken = ahead(items())
    assert next(taken) == 1
    with pytest.raises(ValueError, match="broken"):
        next(taken)


def test_whoever_stops_early_leaves_no_thread():
    taken = ahead(iter(range(1000)))
    next(taken)
    taken.close()
    assert "ahead" not in [thread.name for thread in threading.enumerate()]
