"""The texts of a request of MLflow's scoring protocol."""

import csv
import io
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from serve.errors import NotSupported, NotUsable, RequestError

FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")

# A body may have a million items that are wrong; the first is enough.
Values = Annotated[list[Any], Field(fail_fast=True)]
# Of a dict pydantic would tell every value that is no list: `_rows` looks at them.
Columns = Annotated[
    dict[str, Any], WithJsonSchema({"type": "object", "additionalProperties": {"type": "array", "items": {}}})
]


class SplitFrame(BaseModel):
    """A table, its rows apart from the names of its columns."""

    columns: Annotated[list[str | int], Field(fail_fast=True)] | None = None
    index: Values | None = Field(None, description="Not looked at.")
    data: Annotated[list[Values], Field(fail_fast=True)]


class ScoringParams(BaseModel):
    """Parameters; those that are not known are ignored."""

    model_config = ConfigDict(extra="ignore")

    logits: bool = Field(False, description="Whether the answers hold the score of every label before the softmax.")


class ScoringRequest(BaseModel):
    """Texts, in exactly one of four forms. A text has one column, of any name; a pair of texts has two."""

    model_config = ConfigDict(
        extra="ignore",
        json_schema_extra={
            "examples": [
                {"inputs": ["Returns a DataFrame with one row for each group."]},
                {"dataframe_split": {"columns": ["text"], "data": [["Applies the sigmoid."]]}},
            ]
        },
    )

    dataframe_split: SplitFrame | None = None
    dataframe_records: Annotated[list[dict[str, Any]], Field(fail_fast=True)] | None = None
    instances: Values | None = Field(None, description="Texts, or a dict of columns for each.")
    inputs: Values | Columns | None = Field(None, description="Texts, or columns of them.")
    params: ScoringParams | None = None


def media_type(content_type: str) -> str:
    """The media type of a body that the scoring protocol has.

    Raises:
        NotSupported: it is another, or not in UTF-8.
    """
    kind, *parameters = (part.strip().lower() for part in content_type.split(";"))
    if kind not in ("application/json", "text/csv"):
        raise NotSupported(f"the content type is {content_type[:80]!a}; expected application/json or text/csv")
    for parameter in parameters:
        if parameter.replace('"', "") not in ("charset=utf-8", ""):
            raise NotSupported(f"the content type has {parameter[:80]!a}; expected no other than charset=utf-8")
    return kind


def read_csv(body: bytes) -> dict[str, Any]:
    """A table whose first line names its columns (RFC 4180).

    Raises:
        RequestError: it is none.
    """
    try:
        columns, *rows = [row for row in csv.reader(io.StringIO(body.decode("utf-8-sig"), newline="")) if row]
    except UnicodeDecodeError as error:
        raise RequestError(f"the body is no UTF-8 at byte {error.start}") from None
    except ValueError:
        raise RequestError("the body is empty; expected CSV whose first line names the columns") from None
    except csv.Error as error:
        raise RequestError(f"the body is no CSV: {error}") from None
    for k, row in enumerate(rows):
        if len(row) != len(columns):
            raise RequestError(f"row {k} of the CSV has {len(row)} fields; its first line names {len(columns)}")
    return {"columns": columns, "data": rows}


def texts_of(asked: ScoringRequest, pairs: bool) -> list[Any]:
    """The texts of a request, or its pairs of texts.

    Raises:
        RequestError: it has none of the forms, or more than one, or a column is no list.
        NotUsable: they are not what the model takes.
    """
    given = [form for form in FORMS if getattr(asked, form) is not None]
    if len(given) != 1:
        found = " and ".join(given) or "none of them"
        raise RequestError(f"expected exactly one of {', '.join(FORMS)}; found {found}")
    rows = _rows(getattr(asked, given[0]))
    return [_text(row, pairs, f"{given[0]}[{k}]") for k, row in enumerate(rows)]


def _rows(value: Any) -> list[Any]:
    """Each text, or the values of its columns."""
    if isinstance(value, SplitFrame):
        return value.data
    if isinstance(value, dict):
        for name, column in value.items():
            if not isinstance(column, list):
                where = name.encode("ascii", "backslashreplace").decode()[:200]
                raise RequestError(f"inputs.{where}: input should be a valid list")
        lengths = {len(column) for column in value.values()}
        if len(lengths) != 1:
            raise NotUsable("the columns of inputs differ in length, or there are none")
        return [list(row) for row in zip(*value.values(), strict=True)]
    return [list(row.values()) if isinstance(row, dict) else row for row in value]


def _text(row: Any, pairs: bool, where: str) -> Any:
    """A text, or a pair of them; MLflow's own server takes a text for a column of one, too."""
    values = row if isinstance(row, list) else [row]
    wrong = [type(value).__name__ for value in values if not isinstance(value, str)]
    if wrong or len(values) != (2 if pairs else 1):
        expected = "two texts, as this model reads pairs" if pairs else "a text, or one column with a text"
        found = f"a value of the type {wrong[0]}" if wrong else f"{len(values)} columns"
        raise NotUsable(f"{where} has {found}; expected {expected}")
    return values if pairs else values[0]
