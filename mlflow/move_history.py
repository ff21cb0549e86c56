"""Moves an MLflow history from SQLite to PostgreSQL: every table, and the artifacts if they are to lie elsewhere.

    python move_history.py mlflow.db postgresql://mlflow@db.example.org/mlflow
    python move_history.py mlflow.db postgresql:///mlflow --artifacts mlflow-artifacts:/ --copy-to s3://mlflow

The SQLite file is only read: what changes is a copy of it. PostgreSQL takes all or nothing, and only if it holds no
history yet; tables that a server makes when it starts may be there. After a failure the same command is given again.
Needs `mlflow` and `psycopg`, and for PostgreSQL and S3 their own variables (PGPASSWORD, AWS_ACCESS_KEY_ID, ...).
"""

import argparse
import logging
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import sqlalchemy as sa
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.store.db.base_sql_model import Base
from mlflow.store.db.utils import _get_latest_schema_revision, _get_schema_version, _initialize_tables, _upgrade_db
from mlflow.utils.file_utils import local_file_uri_to_path
from mlflow.utils.uri import is_local_uri

# MLflow's own tables, each after those that it points to.
TABLES = {table.name: table for table in Base.metadata.sorted_tables}
# What a server writes into tables that it has just made.
FRESH = {"experiments": 1, "workspaces": 1}
# Where a place of artifacts is written down.
PLACES = {
    "experiments": ("artifact_location",),
    "runs": ("artifact_uri",),
    "logged_models": ("artifact_location",),
    "model_versions": ("source", "storage_location"),
    "trace_tags": ("value",),
}
ROWS = 1000
"""That go over at once."""


class Refused(Exception):
    """What stands in the way, for a person to read."""


def open_copy(source: Path, folder: Path) -> sa.Engine:
    """A copy of an SQLite history, brought to the tables of this MLflow."""
    if not source.is_file():
        raise Refused(f"{source}: no such file; expected the SQLite file of an MLflow history, such as mlflow.db")
    copy = folder / "history.db"
    try:
        # Also right while someone writes.
        with closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True)) as old:
            if not old.execute("SELECT 1 FROM sqlite_master WHERE name = 'experiments'").fetchone():
                raise Refused(f"{source}: no table 'experiments' in it; expected the SQLite file of an MLflow history")
            with closing(sqlite3.connect(copy)) as new:
                old.backup(new)
    except sqlite3.DatabaseError as error:
        raise Refused(f"{source}: not an SQLite file that can be read ({error})") from None
    engine = sa.create_engine(f"sqlite:///{copy}")
    _upgrade_db(engine)
    return engine


def leave_orphans(history: sa.Engine) -> dict[str, int]:
    """Delete rows whose owner is gone, which SQLite let stand and no client shows; how many, by table."""
    left: dict[str, int] = {}
    with history.begin() as old:
        while orphans := {(row[0], row[1]) for row in old.exec_driver_sql("PRAGMA foreign_key_check")}:
            for table, row in orphans:
                old.exec_driver_sql(f'DELETE FROM "{table}" WHERE rowid = ?', (row,))
                left[table] = left.get(table, 0) + 1
    return left


def counts(connection: sa.Connection) -> dict[str, int]:
    """Rows of each table."""
    return {
        name: connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
        for name, table in TABLES.items()
    }


def open_empty(uri: str) -> sa.Engine:
    """A PostgreSQL database with MLflow's tables and no history."""
    try:
        target = sa.create_engine(uri)
    except sa.exc.ArgumentError:
        # What is none may hold a password anywhere.
        raise Refused("no address of a database; expected postgresql://USER@HOST/DATABASE") from None
    shown = _shown(target)
    if target.dialect.name != "postgresql":
        raise Refused(f"{shown}: {target.dialect.name}; expected postgresql://USER@HOST/DATABASE")
    try:
        tables = set(sa.inspect(target).get_table_names())
    except sa.exc.OperationalError as error:
        raise Refused(f"{shown}: PostgreSQL does not answer ({str(error.orig).splitlines()[0]})") from None
    if not tables:
        _initialize_tables(target)
    elif missing := set(TABLES) - tables:
        raise Refused(f"{shown}: holds other tables, but not {min(missing)}; expected an empty database or MLflow's")
    found, expected = _get_schema_version(target), _get_latest_schema_revision()
    if found != expected:
        raise Refused(
            f"{shown}: tables of another MLflow ({found}); expected {expected}: run 'mlflow db upgrade' first"
        )
    with target.connect() as connection:
        refuse_history(connection, shown)
    return target


def _shown(database: sa.Engine) -> str:
    """Its address without a password."""
    return database.url.difference_update_query(["password", "sslpassword"]).render_as_string()


def refuse_history(connection: sa.Connection, shown: str) -> None:
    for name, rows in counts(connection).items():
        if rows > FRESH.get(name, 0):
            raise Refused(f"{shown}: holds a history already ({rows} rows in '{name}'); expected none")


def new_places(history: sa.Engine, root: str) -> dict[str, str]:
    """The new place of each experiment's artifacts, by its old one."""
    experiments = TABLES["experiments"].c
    with history.connect() as old:
        found = old.execute(sa.select(experiments.experiment_id, experiments.artifact_location))
        return {place: f"{root.rstrip('/')}/{number}" for number, place in found if place}


def moved(value: Any, places: dict[str, str]) -> Any:
    """A place of artifacts as it is afterwards; what does not lie under an experiment's stays."""
    for old, new in places.items():
        if isinstance(value, str) and (value == old or value.startswith(old.rstrip("/") + "/")):
            return new + value[len(old.rstrip("/")) :]
    return value


def folder_of(place: str, served: Path | None) -> Path:
    """The folder in which artifacts lie; for those behind a server it is within the folder that it was given."""
    if is_local_uri(place):
        return Path(local_file_uri_to_path(place))
    address = urlparse(place)
    if address.scheme != "mlflow-artifacts":
        raise Refused(f"{place}: artifacts that are no files of this machine; move without --artifacts")
    if served is None:
        raise Refused(f"{place}: artifacts behind a server; name its --artifacts-destination with --served-from")
    return served / address.path.strip("/")


def copy_artifacts(places: dict[str, str], root: str, to: str, served: Path | None) -> Iterator[str]:
    """Copy the artifacts of each experiment; what was done, or why not, in words."""
    for folder, new in [(folder_of(old, served), new) for old, new in places.items()]:
        if not folder.is_dir():
            yield f"{folder}: no such folder, so that there is nothing to copy"
            continue
        target = to.rstrip("/") + new.removeprefix(root.rstrip("/"))
        get_artifact_repository(target).log_artifacts(str(folder))
        files = sum(path.is_file() for path in folder.rglob("*"))
        yield f"{folder} -> {target}: {files} files"


def copy_tables(history: sa.Engine, target: sa.Engine, places: dict[str, str]) -> dict[str, int]:
    """Copy all rows in one transaction, and check their number.

    Returns:
        The rows of each table that has any.
    """
    with history.connect() as old, target.begin() as new:
        quoted = ", ".join(target.dialect.identifier_preparer.quote(name) for name in TABLES)
        new.exec_driver_sql(f"LOCK TABLE {quoted} IN EXCLUSIVE MODE")
        refuse_history(new, _shown(target))
        for name in FRESH:
            new.execute(TABLES[name].delete())
        for name, table in TABLES.items():
            columns = [column for column in table.columns if column.computed is None]
            for rows in old.execute(sa.select(*columns)).mappings().partitions(ROWS):
                found = [dict(row) for row in rows]
                for row in found:
                    row |= {column: moved(row[column], places) for column in PLACES.get(name, ())}
                try:
                    new.execute(table.insert(), found)
                except (sa.exc.DBAPIError, ValueError) as error:
                    reason = str(getattr(error, "orig", error)).splitlines()[0]
                    raise Refused(f"{name}: PostgreSQL does not take a row, nothing was moved ({reason})") from None
            number = table.autoincrement_column
            if number is not None:
                # The next experiment gets the next number.
                last = sa.select(sa.func.max(number)).scalar_subquery()
                sequence = sa.func.pg_get_serial_sequence(name, number.name)
                new.execute(sa.select(sa.func.setval(sequence, sa.func.coalesce(last, 0) + 1, False)))
        before, after = counts(old), counts(new)
        if wrong := {name: (rows, after[name]) for name, rows in before.items() if rows != after[name]}:
            raise Refused(f"rows differ, nothing was moved: {wrong}")
    return {name: rows for name, rows in after.items() if rows}


def move(source: Path, uri: str, root: str | None = None, to: str | None = None, served: Path | None = None) -> None:
    """Move a history, telling what is done.

    Args:
        source: the SQLite file.
        uri: of the PostgreSQL database.
        root: where artifacts are from now on; None to leave them where they are.
        to: where to write them, if not to `root`.
        served: where a server kept those that it served.

    Raises:
        Refused: it cannot be done, and nothing was moved.
    """
    with tempfile.TemporaryDirectory() as folder:
        history = open_copy(source, Path(folder))
        target = open_empty(uri)
        for table, rows in leave_orphans(history).items():
            print(f"{table}: {rows} rows left behind, since what they belong to was deleted")
        places = new_places(history, root) if root else {}
        # Before the tables: whoever reads of an artifact finds it.
        for line in copy_artifacts(places, root or "", to or root or "", served):
            print(line)
        for table, rows in copy_tables(history, target, places).items():
            print(f"{table}: {rows} rows")
        history.dispose()
        target.dispose()
    print(f"{source} is in {_shown(target)}, and as it was.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="the SQLite file")
    parser.add_argument("target", help="postgresql://USER@HOST/DATABASE; what is left out is taken from PGHOST, ...")
    parser.add_argument(
        "--artifacts",
        metavar="ROOT",
        help="where artifacts are from now on, by default where they were; mlflow-artifacts:/ is a server's own place",
    )
    parser.add_argument(
        "--copy-to",
        metavar="ROOT",
        help="where to write them, if not through that: the server's --artifacts-destination",
    )
    parser.add_argument(
        "--served-from",
        metavar="FOLDER",
        type=Path,
        help="where they lie, if the history was behind a server: its --artifacts-destination",
    )
    arguments = parser.parse_args()
    # Of every step that makes the tables there are lines otherwise.
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    if arguments.copy_to and not arguments.artifacts:
        parser.error("--copy-to needs --artifacts")
    try:
        move(arguments.source, arguments.target, arguments.artifacts, arguments.copy_to, arguments.served_from)
    except Refused as refused:
        sys.exit(str(refused))


if __name__ == "__main__":
    main()
