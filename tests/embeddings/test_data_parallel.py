import keras
import pytest

from embeddings.data_parallel import data_parallel, devices_in_use, shared_out
from embeddings.errors import ConfigError


def test_a_batch_must_be_shared_out_evenly(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    monkeypatch.setattr(keras.distribution, "get_device_count", lambda: 4)
    with (
        pytest.raises(ConfigError, match=r"training.batch_size: 6 rows for 4 devices; expected a multiple of 4, or"),
        data_parallel(6),
    ):
        pass


def test_nothing_is_shared_out_on_one_device():
    arrays = {"words": [1]}
    with data_parallel(3):
        assert devices_in_use() == 1
        assert shared_out(arrays) is arrays
