import keras
import numpy as np
import pytest

from embeddings.errors import SourceError
from embeddings.training_checkpoint import VARIABLES, load_checkpoint, newest_checkpoint, save_checkpoint


def variables(scale=1.0, width=3):
    return [keras.Variable(scale * np.arange(width, dtype="f4")), keras.Variable(np.int32(7 * scale))]


def test_values_and_position_come_back(tmp_path):
    save_checkpoint(tmp_path, 5, {"batch": 5, "words": ["é", "\u2028"]}, variables(2.0))
    fresh = variables(0.0)
    assert load_checkpoint(newest_checkpoint(tmp_path), fresh) == {"batch": 5, "words": ["é", "\u2028"]}
    np.testing.assert_array_equal(fresh[0], [0, 2, 4])
    assert int(fresh[1]) == 14


def test_the_two_newest_stay(tmp_path):
    assert newest_checkpoint(tmp_path) is None
    for batch in (5, 100, 30):
        save_checkpoint(tmp_path, batch, {}, variables())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["batch-00000030", "batch-00000100"]
    assert newest_checkpoint(tmp_path).name == "batch-00000100"


def test_what_was_not_completed_does_not_count(tmp_path):
    save_checkpoint(tmp_path, 5, {}, variables())
    (tmp_path / "batch-00000009").mkdir()
    (tmp_path / ".batch-00000010.ab12").mkdir()
    assert newest_checkpoint(tmp_path).name == "batch-00000005"


def test_a_checkpoint_of_another_network_changes_nothing(tmp_path):
    save_checkpoint(tmp_path, 5, {}, variables(2.0, width=4))
    fresh = variables(0.0)
    with pytest.raises(SourceError, match="array 0000 does not fit; expected the checkpoint of a training"):
        load_checkpoint(newest_checkpoint(tmp_path), fresh)
    assert not np.any(fresh[0])


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04rubbish", None])
def test_a_broken_checkpoint_is_refused(tmp_path, damage):
    save_checkpoint(tmp_path, 5, {}, variables())
    path = newest_checkpoint(tmp_path) / VARIABLES
    path.write_bytes(path.read_bytes()[:200] if damage is None else damage)
    with pytest.raises(SourceError, match="not a checkpoint that can be read"):
        load_checkpoint(newest_checkpoint(tmp_path), variables())
