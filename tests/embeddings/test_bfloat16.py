import ml_dtypes
import numpy as np
import pytest

from embeddings import bfloat16
from embeddings.bfloat16 import Bfloat16Product, multiplies_bfloat16, rounded, widened
from embeddings.matrix import Matrix, matrix_of_many


def test_numbers_are_rounded_to_the_nearest_as_in_ml_dtypes(random):
    halfway = np.array([1 + 2**-8, 1 + 3 * 2**-8, -1 - 2**-8, 0, -0.0, 3e38, 1e-40, np.inf], np.float32)
    numbers = np.concatenate([halfway, random.normal(0, 100, 1000).astype(np.float32)])
    np.testing.assert_array_equal(rounded(numbers), numbers.astype(ml_dtypes.bfloat16).view(np.uint16))
    np.testing.assert_array_equal(widened(rounded(numbers)), numbers.astype(ml_dtypes.bfloat16).astype(np.float32))


@pytest.mark.parametrize("rows", [0, 1, 31, 32, 77])
def test_a_product_is_that_of_the_rounded_numbers(random, rows):
    left, right = (random.normal(size=shape).astype(np.float32) for shape in ((rows, 40), (40, 24)))
    room = np.full((2 + rows, 24), 7, np.float32)
    found = Bfloat16Product(rounded(right))(left, room[2:])
    narrow = (numbers.astype(ml_dtypes.bfloat16).astype(np.float64) for numbers in (left, right))
    # Some processors cut the result off, others round it.
    np.testing.assert_allclose(found, np.matmul(*narrow), rtol=2**-7, atol=1e-3)
    assert found.base is room or np.shares_memory(found, room)
    assert (room[:2] == 7).all()


def test_weights_of_many_rows_are_narrow_only_where_their_products_are(random, monkeypatch):
    weights = random.normal(size=(4, 3)).astype(np.float32)
    for has, narrow in ((True, True), (False, False)):
        monkeypatch.setattr("embeddings.matrix.multiplies_bfloat16", lambda has=has: has)
        assert (matrix_of_many(weights, "bfloat16").by_input() != weights).any() == narrow
        assert isinstance(Matrix(weights, "bfloat16").product(), Bfloat16Product) == has
        np.testing.assert_array_equal(matrix_of_many(weights, "int8").by_input(), weights)


@pytest.mark.parametrize(
    ("line", "has"),
    [
        ("flags\t\t: fpu avx512_bf16 amx_tile", True),
        ("flags\t\t: fpu amx_bf16", True),
        ("Features\t: fp asimd bf16 i8mm", True),
        ("flags\t\t: fpu avx2", False),
        ("", False),
    ],
)
def test_the_processor_is_asked_whether_it_has_them(monkeypatch, tmp_path, line, has):
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\n{line}\n")
    monkeypatch.setattr(bfloat16, "Path", lambda _: tmp_path / "cpuinfo")
    assert multiplies_bfloat16.__wrapped__() == has
    monkeypatch.setattr(bfloat16, "Path", lambda _: tmp_path / "none")
    assert not multiplies_bfloat16.__wrapped__()
