"""A lane for reading: one connection that takes one answer's reads at a time."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from diptych.adapters.sqlite import schema
from diptych.adapters.sqlite.connection import Guard, fault
from diptych.errors import Fault, ReadOnly
from diptych.message import Position
from diptych.read.port import Found, Shape, Snapshot

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection as SqlConnection

    from diptych.adapters.sqlite.views import Tables

SELECT_OLDEST = "SELECT time FROM diptych_events WHERE position > ? ORDER BY position LIMIT 1"
SELECT_CHECKPOINTS = "SELECT name, position FROM diptych_checkpoints"


_READS = re.compile(r"\s*(SELECT|WITH|VALUES)\b[^;]*;?\s*$", re.IGNORECASE | re.DOTALL)


class Log(Protocol):
    """Where a lane finds the log's head, and the time of an event."""

    def head(self, connection: sqlite3.Connection) -> Position: ...
    def oldest(self, connection: sqlite3.Connection, after: Position) -> int | None: ...


class LogInFile:
    """The log is in the same file, so it is of the same snapshot."""

    def head(self, connection: sqlite3.Connection) -> Position:
        return cast("Position", connection.execute(schema.SELECT_HEAD).fetchone()[0])

    def oldest(self, connection: sqlite3.Connection, after: Position) -> int | None:
        row = connection.execute(SELECT_OLDEST, (after,)).fetchone()
        return None if row is None else row[0]


class Lane:
    """Owns a connection, and SQLAlchemy's hold on it. Its methods block."""

    def __init__(
        self, connection: sqlite3.Connection, path: Path | None, tables: Tables, log: Log
    ) -> None:
        self.connection = connection
        self._path = path
        self._tables = tables
        self._log = log
        self._sql: SqlConnection | None = None
        self.guard = Guard(connection)
        self.snapshot: Snapshot | None = None

    def begin(self) -> Snapshot:
        """Begins the snapshot: the checkpoints are its first read."""
        if self.snapshot is None:
            try:
                self.guard.begin()
                checkpoints = dict(self.connection.execute(SELECT_CHECKPOINTS).fetchall())
                self.snapshot = Snapshot(self._log.head(self.connection), checkpoints)
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

    def oldest(self, after: Position) -> int | None:
        self.begin()
        try:
            return self._log.oldest(self.connection, after)
        except sqlite3.Error as error:
            raise fault(error, self._path) from error

    def select(self, statement: Any) -> Found:
        """Runs an SQLAlchemy statement; the database itself refuses whatever writes."""
        from sqlalchemy.exc import DBAPIError, ResourceClosedError
        from sqlalchemy.sql.elements import TextClause

        from diptych.adapters.sql.tables import tables_of

        names = tables_of(statement)
        views = None if names is None else self._tables.views(names)
        self.begin()
        try:
            result = self._sqlalchemy().execute(statement)
            if not result.returns_rows:
                raise ReadOnly(f"{type(statement).__name__} gives no rows")
            return Found(tuple(result.keys()), result.fetchall(), views)
        except ResourceClosedError as error:
            raise ReadOnly(str(error)) from error
        except DBAPIError as error:
            if isinstance(error.orig, sqlite3.Error):
                found = fault(error.orig, self._path)
                if _is_foreseen(found, error.orig):
                    raise found from error
            if isinstance(statement, TextClause) and not _READS.match(statement.text):
                raise ReadOnly(str(error.orig)) from error
            raise

    def _sqlalchemy(self) -> SqlConnection:
        """SQLAlchemy on this very connection, whether or not a snapshot has begun on it."""
        if self._sql is None:
            from sqlalchemy import NullPool, create_engine

            # An engine asks its first connection for a pragma, and rolls back. Not on this one.
            connections = [self.connection, sqlite3.connect(":memory:")]
            engine = create_engine("sqlite://", creator=connections.pop, poolclass=NullPool)
            engine.connect().close()
            self._sql = engine.connect()
        return self._sql


def _is_foreseen(found: Fault, error: sqlite3.Error) -> bool:
    """Whether an error is a matter of diptych's, not of the statement itself."""
    return isinstance(found, ReadOnly) or (getattr(error, "sqlite_errorcode", 1) & 0xFF) not in (
        sqlite3.SQLITE_ERROR,
        sqlite3.SQLITE_MISMATCH,
        sqlite3.SQLITE_RANGE,
    )
