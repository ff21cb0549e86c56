"""Texts in the columns of a table."""

from typing import Any

import numpy as np
import pandas

from embeddings.errors import InputError


def texts_of_table(table: pandas.DataFrame, pairs: bool = False) -> list[Any]:
    """The texts of a table's first column, or the pairs of its first two.

    A single row whose cells are lists holds a list for each column: MLflow makes it of `{"text": ["a", "b"]}`.

    Raises:
        InputError: a cell holds no text; the message names its position. Or the lists differ in length.
    """
    rows = table.iloc[:, : 2 if pairs else 1].to_numpy().tolist()
    if len(rows) == 1 and all(isinstance(cell, list | np.ndarray) for cell in rows[0]):
        lengths = [len(column) for column in rows[0]]
        if len(set(lengths)) > 1:
            raise InputError(f"the columns hold {lengths[0]} and {lengths[1]} texts; expected as many in each")
        rows = [list(row) for row in zip(*rows[0], strict=True)]
    for k, row in enumerate(rows):
        for cell in row:
            if not isinstance(cell, str):
                raise InputError(f"texts[{k}] {_found(cell)}; expected a text")
    return rows if pairs else [row[0] for row in rows]


def _found(cell: Any) -> str:
    if isinstance(cell, list | np.ndarray):
        return "is a list, in a table of several rows or beside a text"
    return "is missing (None or NaN)" if pandas.isna(cell) else f"is of the type {type(cell).__name__}"
