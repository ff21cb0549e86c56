import keras
import numpy as np
import pytest

from embeddings.errors import SourceError
from embeddings.training_checkpoint import VARIABLES, checkpoints_in, load_variables, read_position, save_checkpoint


def variables(scale=1.0, width=3):
    return [keras.Variable(scale * np.arange(width, dtype="f4")), keras.Variable(np.int32(7 * scale))]


def save(folder, batch, position=None, values=None):
    return save_checkpoint(folder, batch, position or {}, values or variables(), lambda path: (path / "x").touch())


def test_values_and_position_come_back(tmp_path):
    checkpoint = save(tmp_path, 5, {"batch": 5, "words": ["é", "\u2028"]}, variables(2.0))
    assert checkpoints_in(tmp_path) == [checkpoint]
    assert read_position(checkpoint) == {"batch": 5, "words": ["é", "\u2028"]}
    assert (checkpoint / "x").exists()
    fresh = variables(0.0)
    load_variables(checkpoint, fresh)
    np.testing.assert_array_equal(fresh[0], [0, 2, 4])
    assert int(fresh[1]) == 14


def test_the_two_newest_stay(tmp_path):
    assert checkpoints_in(tmp_path) == []
    for batch in (5, 100, 30):
        save(tmp_path, batch)
    assert [path.name for path in checkpoints_in(tmp_path)] == ["batch-00000030", "batch-00000100"]
    assert len(list(tmp_path.iterdir())) == 2


def test_what_was_not_completed_does_not_count(tmp_path):
    kept = save(tmp_path, 5)
    (tmp_path / "batch-00000009").mkdir()
    (tmp_path / ".batch-00000010.ab12").mkdir()
    assert checkpoints_in(tmp_path) == [kept]


def test_a_checkpoint_of_another_network_changes_nothing(tmp_path):
    checkpoint = save(tmp_path, 5, values=variables(2.0, width=4))
    fresh = variables(0.0)
    with pytest.raises(SourceError, match="array 0000 does not fit; expected the checkpoint of a training"):
        load_variables(checkpoint, fresh)
    assert not np.any(fresh[0])


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04rubbish", None])
def test_a_broken_checkpoint_is_refused(tmp_path, damage):
    path = save(tmp_path, 5) / VARIABLES
    path.write_bytes(path.read_bytes()[:200] if damage is None else damage)
    with pytest.raises(SourceError, match="not a checkpoint that can be read"):
        load_variables(path.parent, variables())
