"""Databases that a run may keep its trials in: opened with clear messages, and never with a password on disk."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from autometa.errors import InputError, RunError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from optuna.storages import BaseStorage


def check_database(url: str) -> None:
    """See to it that trials can be kept in a database; Optuna's tables are made where there are none.

    Raises:
        InputError: it is no URL of a database, holds a password, or cannot be used.
    """
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        parts = make_url(url)
    except ArgumentError as error:
        raise InputError(f"a storage is the URL of a database, such as postgresql://host/name; got {url!r}") from error
    if parts.password is not None:
        raise InputError(
            f"the storage stands in run.json, so its URL must not hold a password; "
            f"{parts.render_as_string(hide_password=True)} does. Give it as the database's own client takes it: "
            f"PGPASSWORD or ~/.pgpass, ?read_default_file=~/.my.cnf"
        )
    if parts.get_backend_name() == "sqlite" and parts.database in (None, "", ":memory:"):
        raise InputError(f"a run must be found again after a kill; {url!r} is in memory. Name a file: sqlite:///x.db")
    try:
        open_database(url, new_tables=True)
    except RunError as error:
        raise InputError(str(error)) from error


def open_database(url: str, *, new_tables: bool) -> BaseStorage:
    """Optuna's storage in a database.

    Args:
        url: of the database.
        new_tables: whether one that has none gets Optuna's tables.

    Raises:
        RunError: it cannot be used.
    """
    import optuna
    from optuna.storages import RDBStorage
    from sqlalchemy.exc import SQLAlchemyError

    try:
        return RDBStorage(url, skip_table_creation=not new_tables)
    except (SQLAlchemyError, optuna.exceptions.OptunaError, ImportError, OSError, RuntimeError) as error:
        raise RunError(f"the trials' database must be one that Optuna can use; {url}: {_line(error)}") from error


@contextlib.contextmanager
def telling() -> Iterator[None]:
    """What a database fails with in the middle of a run, as a message that says how to go on.

    Raises:
        RunError: in place of such errors.
    """
    import optuna
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        raise RunError(
            f"the database of the trials no longer answers: {_line(error)}. "
            f"What was finished is kept; once it answers, go on with autometa resume"
        ) from error


def _line(error: BaseException) -> str:
    return " ".join(str(error).split("\n")[0].split())
