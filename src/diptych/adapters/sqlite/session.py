"""SQLAlchemy's AsyncSession on the writer's own connection: each statement is one trip to its thread.

A driver of its own (aiosqlite) would be a second connection, which has to be waited for, and three
trips for each statement.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar, cast

from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import StaticPool
from sqlalchemy.util import await_only

from diptych.adapters.sql.ending import ending, refused_end
from diptych.adapters.sqlite.writer import refuse_ended
from diptych.adapters.worker import Worker

T = TypeVar("T")


class WriterDialect(SQLiteDialect_pysqlite):
    """SQLite, awaited."""

    driver = "diptych"
    is_async = True
    supports_statement_cache = True


class Lent:
    """The writer's connection as SQLAlchemy sees it, while somebody has a turn.

    Attributes:
        ended_by: The call by which its user tried to end the transaction.
    """

    def __init__(self, connection: sqlite3.Connection, worker: Worker) -> None:
        self._connection = connection
        self._worker = worker
        self.ended_by: str | None = None
        self.closed = True

    def cursor(self) -> LentCursor:
        return LentCursor(self)

    def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Called by SQLAlchemy from within a greenlet."""
        if self.closed:
            raise sqlite3.ProgrammingError("this session's transaction has ended")
        future: asyncio.Future[T] = self._worker.call(lambda: self._work(work))
        return await_only(cast("Awaitable[T]", future))

    def _work(self, work: Callable[[sqlite3.Connection], T]) -> T:
        refuse_ended(self._connection)
        return work(self._connection)

    def refuse_end(self, sql: str) -> None:
        """Refuses a statement that would end the transaction."""
        found = ending(sql)
        if found is not None:
            self.ended_by = found
            raise refused_end(f"ran {found}")

    def commit(self) -> None:
        if not self.closed:
            self.ended_by = "session.commit()"
            raise refused_end("called session.commit()")

    def rollback(self) -> None:
        if not self.closed:
            self.ended_by = self.ended_by or "session.rollback()"

    def close(self) -> None:
        """The connection is the writer's."""

    def interrupt(self) -> None:
        """Stops the statement that runs."""
        self._connection.interrupt()


class LentCursor:
    """One statement: executed and fetched in one trip."""

    arraysize = 1

    def __init__(self, lent: Lent) -> None:
        self._lent = lent
        self._rows: Iterator[Any] = iter(())
        self.description: Any = None
        self.rowcount = -1
        self.lastrowid: int | None = None

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> LentCursor:
        self._lent.refuse_end(sql)
        return self._run(lambda connection: connection.execute(sql, parameters))

    def executemany(self, sql: str, parameters: Sequence[Sequence[Any]]) -> LentCursor:
        return self._run(lambda connection: connection.executemany(sql, parameters))

    def _run(self, work: Callable[[sqlite3.Connection], sqlite3.Cursor]) -> LentCursor:
        def run(connection: sqlite3.Connection) -> tuple[sqlite3.Cursor, list[Any]]:
            cursor = work(connection)
            return cursor, cursor.fetchall() if cursor.description else []

        cursor, rows = self._lent.run(run)
        self._rows = iter(rows)
        self.description = cursor.description
        self.rowcount = cursor.rowcount
        self.lastrowid = cursor.lastrowid
        return self

    def __iter__(self) -> Iterator[Any]:
        return self._rows

    def fetchone(self) -> Any:
        return next(self._rows, None)

    def fetchmany(self, size: int | None = None) -> list[Any]:
        wanted = self.arraysize if size is None else size
        return list(islice(self._rows, wanted))

    def fetchall(self) -> list[Any]:
        return list(self._rows)

    def close(self) -> None:
        self._rows = iter(())


def engine_on(lent: Lent, connection: sqlite3.Connection) -> AsyncEngine:
    """An engine whose only connection is the writer's."""
    dialect = WriterDialect(dbapi=cast("Any", sqlite3))
    prepare = dialect.on_connect()
    if prepare is not None:
        prepare(cast("Any", connection))  # SQLAlchemy's functions, such as regexp
    pool = StaticPool(lambda: cast("Any", lent), reset_on_return=None)
    return AsyncEngine(Engine(pool, dialect, make_url("sqlite+diptych://")))
