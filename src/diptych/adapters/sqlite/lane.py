"""A lane for reading: one connection that takes one answer's reads at a time."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

from diptych.adapters.sqlite import schema
from diptych.adapters.sqlite.connection import Guard, fault
from diptych.errors import Fault, ReadOnly
from diptych.message import Position
from diptych.read.port import Found, Shape, Snapshot

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection as SqlConnection
    from sqlalchemy.exc import DBAPIError

    from diptych.adapters.sql.catalogue import Catalogue
    from diptych.adapters.sqlite.tables import ViewTable

T = TypeVar("T")

SELECT_CHECKPOINTS = "SELECT name, position FROM diptych_checkpoints"

Head: TypeAlias = Callable[[sqlite3.Connection], "Position | None"]
"""Where a lane finds the log's head; None where the log is elsewhere."""


def head_in_file(connection: sqlite3.Connection) -> Position | None:
    """The log is in the same file, so its head is of the same snapshot."""
    return cast("Position", connection.execute(schema.SELECT_HEAD).fetchone()[0])


class Lane:
    """Owns a connection, and SQLAlchemy's hold on it. Its methods block."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path | None,
        tables: Catalogue[ViewTable],
        head: Head,
    ) -> None:
        self.connection = connection
        self._path = path
        self._tables = tables
        self._head = head
        self._sql: SqlConnection | None = None
        self.guard = Guard(connection)
        self.snapshot: Snapshot | None = None

    def begin(self) -> Snapshot:
        """Begins the snapshot: the checkpoints are its first read."""
        if self.snapshot is None:
            try:
                self.guard.begin()
                checkpoints = dict(self.connection.execute(SELECT_CHECKPOINTS).fetchall())
                self.snapshot = Snapshot(self._head(self.connection), checkpoints)
            except sqlite3.Error as error:
                raise fault(error, self._path) from error
        return self.snapshot

    def end(self) -> None:
        """Ends the snapshot."""
        self.snapshot = None
        try:
            self.guard.end()
            if self._sql is not None:
                self._sql.rollback()
        except sqlite3.Error as error:
            raise fault(error, self._path) from error

    def close(self) -> None:
        """Closes the connection, SQLAlchemy's hold on it first."""
        if self._sql is not None:
            self._sql.close()
            self._sql.engine.dispose()
            self._sql = None
        self.connection.close()

    def get(self, shape: Shape, key: tuple[Any, ...]) -> Any | None:
        self.begin()
        try:
            return self._tables.of(shape).get(self.connection, key)
        except sqlite3.Error as error:
            raise fault(error, self._path) from error

    def all(self, shape: Shape) -> list[Any]:
        self.begin()
        try:
            return self._tables.of(shape).all(self.connection)
        except sqlite3.Error as error:
            raise fault(error, self._path) from error

    def select(self, statement: Any) -> Found:
        """Runs an SQLAlchemy statement; the database itself refuses whatever writes."""
        from sqlalchemy.exc import DBAPIError, ResourceClosedError

        from diptych.adapters.sql.intent import is_meant_to_write

        self.begin()
        try:
            result = self._sqlalchemy().execute(statement)
            if not result.returns_rows:
                raise ReadOnly(f"{type(statement).__name__} gives no rows")
            return Found(tuple(result.keys()), result.fetchall())
        except ResourceClosedError as error:
            raise ReadOnly(str(error)) from error
        except DBAPIError as error:
            found = self._foreseen(error)
            if found is not None:
                raise found from error
            if is_meant_to_write(statement):
                raise ReadOnly(str(error.orig)) from error
            raise

    def run(self, function: Callable[[Any], T]) -> T:
        """Calls a function with an ORM session on this snapshot; the database refuses its flush."""
        from sqlalchemy.exc import DBAPIError
        from sqlalchemy.orm import Session

        self.begin()
        try:
            with Session(self._sqlalchemy()) as session:
                return function(session)
        except DBAPIError as error:
            found = self._foreseen(error)
            if found is not None:
                raise found from error
            raise

    def _foreseen(self, error: DBAPIError) -> Fault | None:
        """What diptych has words for; None where it is a matter of the statement itself."""
        if isinstance(error.orig, sqlite3.Error):
            found = fault(error.orig, self._path)
            if _is_foreseen(found, error.orig):
                return found
        return None

    def _sqlalchemy(self) -> SqlConnection:
        """SQLAlchemy on this very connection, whether or not a snapshot has begun on it."""
        if self._sql is None:
            from diptych.adapters.sqlite.statements import sqlalchemy_on

            self._sql = sqlalchemy_on(self.connection)
        return self._sql


def _is_foreseen(found: Fault, error: sqlite3.Error) -> bool:
    """Whether an error is a matter of diptych's, not of the statement itself."""
    return isinstance(found, ReadOnly) or (getattr(error, "sqlite_errorcode", 1) & 0xFF) not in (
        sqlite3.SQLITE_ERROR,
        sqlite3.SQLITE_MISMATCH,
        sqlite3.SQLITE_RANGE,
    )
