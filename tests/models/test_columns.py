import numpy as np
import pandas
import pytest

from embeddings.errors import InputError
from models.columns import texts_of_table

ONE, TWO = ["good film", "bad film"], ["a film", "a dog"]


@pytest.mark.parametrize(
    "table",
    [
        pandas.DataFrame(ONE),
        pandas.DataFrame({"text": ONE, "more": TWO}),
        # What MLflow makes of a dict of lists, and of one of arrays.
        pandas.DataFrame([{"text": ONE}]),
        pandas.DataFrame([{"text": np.array(ONE)}]),
    ],
)
def test_the_first_column_is_the_texts(table):
    assert texts_of_table(table) == ONE


@pytest.mark.parametrize(
    "table", [pandas.DataFrame({"a": ONE, "b": TWO}), pandas.DataFrame([{"a": ONE, "b": np.array(TWO)}])]
)
def test_the_first_two_columns_are_the_pairs(table):
    assert texts_of_table(table, pairs=True) == [["good film", "a film"], ["bad film", "a dog"]]


@pytest.mark.parametrize(
    ("table", "pairs", "message"),
    [
        (pandas.DataFrame(["a", None]), False, r"^texts\[1\] is missing \(None or NaN\); expected a text$"),
        (pandas.DataFrame({"a": ["a"], "b": [float("nan")]}), True, r"^texts\[0\] is missing"),
        (pandas.DataFrame({"a": ["a", pandas.NA]}), False, r"^texts\[1\] is missing"),
        (pandas.DataFrame([{"a": ["x", None]}]), False, r"^texts\[1\] is missing"),
        (pandas.DataFrame({"a": [7]}), False, r"^texts\[0\] is of the type int; expected a text$"),
        (pandas.DataFrame({"a": [ONE, TWO]}), False, r"^texts\[0\] is a list"),
        (pandas.DataFrame([{"a": "x", "b": ONE}]), True, r"^texts\[0\] is a list"),
        (
            pandas.DataFrame([{"a": ["x"], "b": ONE}]),
            True,
            r"^the columns hold 1 and 2 texts; expected as many in each$",
        ),
    ],
)
def test_what_is_no_text_is_told(table, pairs, message):
    with pytest.raises(InputError, match=message):
        texts_of_table(table, pairs)
