import numpy as np
import pytest

from embeddings.arithmetic import matmul_peak, operations
from embeddings.options import BiLMOptions


def test_the_operations_of_elmo_are_counted_by_hand():
    options = BiLMOptions(projection=512, cells=4096, layers=2, filters=((1, 32), (3, 64)), highways=2)
    # Of each word and direction: gates of 4 x 4096 from input and state, and the projection of 4096 cells.
    recurrent = 1000 * 2 * 2 * (2 * 512 * 4 * 4096 + 4096 * 512)
    # Of each distinct word: two highways of two matrices, and the projection.
    characters = 100 * (2 * 2 * 96 * 96 + 96 * 512)
    assert operations(options, 1000, 2 * 1000, 100) == 2 * (recurrent + characters)
    # Where the first layer sees each of 300 distinct words once in each direction.
    saved = 2 * 700 * 512 * 4 * 4096
    assert operations(options, 1000, 2 * 300, 100) == 2 * (recurrent - saved + characters)


@pytest.mark.parametrize(("cell", "blocks"), [("rnn", 1), ("gru", 3), ("lstm_without_forget_gate", 3), ("lstm", 4)])
def test_other_cells_have_as_many_products_as_gates(cell, blocks):
    words = {"inputs": "words", "words": 3, "word_dim": 8, "filters": ()}
    options = BiLMOptions(projection=8, cells=8, layers=1, cell=cell, bidirectional=False, **words)
    assert operations(options, 10, 10, 5) == 2 * 10 * 2 * 8 * blocks * 8


def test_the_peak_is_a_rate():
    assert np.isfinite(peak := matmul_peak(size=64, tries=2)) and peak > 1e6
