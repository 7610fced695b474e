"""SQLAlchemy on a connection that the engine owns: it executes, and never ends a transaction."""

from __future__ import annotations

import sqlite3
from typing import Any

from sqlalchemy import Connection, NullPool, create_engine


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
