"""SQLAlchemy on a connection that the engine owns: it executes, and never ends a transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, NullPool, create_engine
from sqlalchemy.exc import DBAPIError

from diptych.adapters.sqlite.connection import is_fault
from diptych.errors import BadResult


class _Lent:
    """A connection as SQLAlchemy sees it: beginning and ending are not its business."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.cursor = connection.cursor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def commit(self) -> None: ...
    def rollback(self) -> None: ...
    def close(self) -> None: ...


def sqlalchemy_on(connection: sqlite3.Connection) -> Connection:
    """SQLAlchemy's Core on this very connection, whether or not a transaction has begun on it."""
    # An engine asks its first connection for a pragma, and rolls back. Not on this one.
    connections: list[Any] = [_Lent(connection), sqlite3.connect(":memory:")]
    engine = create_engine("sqlite://", creator=connections.pop, poolclass=NullPool)
    engine.connect().close()
    return engine.connect()


class Statements:
    """Executes what projections want written, within the transaction that the writer has begun."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._sql = sqlalchemy_on(connection)

    def execute(self, statements: Iterable[Any]) -> None:
        """Executes them in order.

        Raises:
            BadResult: The database does not take one of them.
            sqlite3.Error: The database itself has a problem.
        """
        for statement in statements:
            try:
                self._sql.execute(statement)
            except DBAPIError as error:
                if isinstance(error.orig, sqlite3.Error) and is_fault(error.orig):
                    raise error.orig from error
                what = f"{type(statement).__name__.lower()} of {statement.table.name}"
                raise BadResult(what, f"failed: {error.orig}.") from error

    def close(self) -> None:
        """Lets go of the connection, which stays open."""
        self._sql.close()
        self._sql.engine.dispose()
