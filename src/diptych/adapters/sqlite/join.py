"""Commits inside a transaction that somebody else owns, on that one's own connection."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from traceback import clear_frames
from typing import Any, TypeAlias

from sqlalchemy import event
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from diptych.adapters.sqlite import schema
from diptych.adapters.sqlite.connection import DECIMAL, by_value, fault, is_locked
from diptych.adapters.sqlite.group import InlineView, write_group
from diptych.adapters.worker import running_loop
from diptych.errors import ForeignStore, JoinFailed, WouldBlock
from diptych.log.commit import Commit, Committed

Ready: TypeAlias = Callable[[], Awaitable[None]]

FULL = 2

LOCK = "UPDATE diptych_store SET fences = fences WHERE id = 1"
"""Takes the write lock, wherever the transaction was begun."""


class Borrowed:
    """A connection of SQLAlchemy's, for the engine's own statements."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Any:
        return self._connection.exec_driver_sql(sql, tuple(parameters))


class Joiner:
    """Joins sessions to the log in one file.

    Args:
        loop: In which the turn is waited for.
        turn: This process's turn to take the write lock; nobody else has it then.
        inline: The views that are kept with the events, as of now.
        told: Called after the session has committed, in whatever thread it does.
    """

    def __init__(
        self,
        path: Path,
        loop: asyncio.AbstractEventLoop,
        turn: Callable[[], AbstractAsyncContextManager[None]],
        inline: Callable[[], Sequence[InlineView]],
        told: Callable[[], None],
    ) -> None:
        self._path = path
        self._loop = loop
        self._turn = turn
        self._inline = inline
        self._told = told

    @asynccontextmanager
    async def joined(self, session: AsyncSession, ready: Ready) -> AsyncGenerator[None, None]:
        """See `diptych.log.port.Joins`."""
        try:
            if not await session.run_sync(self._has_lock):
                await ready()
                async with self._turn():
                    await session.run_sync(self._lock)
            yield
        except asyncio.CancelledError as error:
            # SQLAlchemy has closed the connection under a statement that ran, so SQLite keeps its
            # transaction until the statement is gone; and that hangs on the frames of this error.
            clear_frames(error.__traceback__)
            raise

    def begin_now(self, session: Session, ready: Ready) -> None:
        """See `diptych.log.port.Joins`."""
        if self._has_lock(session):
            return
        if running_loop() is self._loop:
            raise WouldBlock("join")  # it would wait for its own turn
        has_turn: Future[None] = Future()
        holding = asyncio.run_coroutine_threadsafe(self._hold_turn(has_turn, ready), self._loop)
        try:
            has_turn.result()
            self._lock(session)
        finally:
            holding.cancel()

    async def _hold_turn(self, has_turn: Future[None], ready: Ready) -> None:
        """For another thread, until it is cancelled."""
        try:
            await ready()
            async with self._turn():
                has_turn.set_result(None)
                await asyncio.Event().wait()
        except BaseException as error:
            if not has_turn.done():
                has_turn.set_exception(error)
            raise

    def _has_lock(self, session: Session) -> bool:
        """Whether its transaction has the write lock, or could have it at once.

        One that has it already must not be made to wait for a turn: others may be waiting for it.
        """
        connection = session.connection()
        if connection.dialect.name != "sqlite":
            raise ForeignStore(
                f"the session is on {connection.dialect.name}, the log in {self._path}."
            )
        borrowed = Borrowed(connection)
        names = {row[1]: row[2] for row in borrowed.execute("PRAGMA database_list").fetchall()}
        if not names.get("main") or not os.path.samefile(names["main"], self._path):
            raise ForeignStore(
                f"the session is on {names.get('main') or 'a database in memory'}, the log is in "
                f"{self._path}. Rows and events commit together in one file only."
            )
        if borrowed.execute("PRAGMA synchronous").fetchone()[0] < FULL:
            raise JoinFailed(
                "the session's connection has PRAGMA synchronous below FULL, so a power cut could "
                "take events that were answered for. Leave it at FULL (SQLite's default)."
            )
        if not _has_begun(connection):
            return False
        patience = borrowed.execute("PRAGMA busy_timeout").fetchone()[0]
        borrowed.execute("PRAGMA busy_timeout = 0")
        try:
            borrowed.execute(LOCK)
        except DBAPIError as error:
            if isinstance(error.orig, sqlite3.Error) and is_locked(error.orig):
                return False
            raise self._named(error) from error
        finally:
            borrowed.execute(f"PRAGMA busy_timeout = {patience}")
        return True

    def _lock(self, session: Session) -> None:
        """Takes the write lock in the session's transaction.

        Raises:
            JoinFailed: Its transaction cannot carry events.
        """
        connection = session.connection()
        try:
            Borrowed(connection).execute(LOCK)
        except DBAPIError as error:
            raise self._named(error) from error
        if not _has_begun(connection):
            raise JoinFailed(
                "the session's connection commits each statement by itself (autocommit). "
                "Join a session whose engine begins transactions."
            )

    def end(self, session: Session, commit: Commit) -> Committed:
        """Judges the commit and writes it, where the session runs; it happens if that commits.

        Raises:
            Exception: What poisons it; the session's own work is as it was.
        """
        session.flush()
        connection = session.connection()
        inline = self._inline()
        if any(view.table.has_decimals for view in inline):
            _teach_decimals(connection)
        borrowed = Borrowed(connection)
        borrowed.execute("SAVEPOINT diptych_join")
        try:
            group = write_group(
                borrowed,
                [commit],
                head=borrowed.execute(schema.SELECT_HEAD).fetchone()[0],
                versions={},
                inline=inline,
                positions={},
            )
            (answer,) = group.answers
            if isinstance(answer, BaseException):
                raise answer
        except BaseException:
            if not connection.invalidated:  # by a cancellation: nothing of it will happen
                borrowed.execute("ROLLBACK TO diptych_join")
                borrowed.execute("RELEASE diptych_join")
            raise
        borrowed.execute("RELEASE diptych_join")
        event.listen(session, "after_commit", self._committed, once=True)
        return answer

    def _committed(self, session: Session) -> None:
        self._told()

    def _named(self, error: DBAPIError) -> Exception:
        cause = error.orig
        if isinstance(cause, sqlite3.Error):
            if cause.sqlite_errorcode == sqlite3.SQLITE_BUSY_SNAPSHOT:
                return JoinFailed(
                    "the session has read before somebody else wrote, so it cannot write any more. "
                    "Join it before it reads: `async with app.join(session)` comes first."
                )
            if is_locked(cause):
                return JoinFailed(
                    "somebody else held the write lock for longer than the session's connection "
                    "waits. Raise connect_args={'timeout': …}, and keep transactions short."
                )
            return fault(cause, self._path)
        return error


def _teach_decimals(connection: Connection) -> None:
    """The order of decimals, by which a view's rows may be found."""
    if DECIMAL in connection.info:
        return
    connection.info[DECIMAL] = True  # for as long as the driver's connection lives
    driver: Any = connection.connection.driver_connection
    if isinstance(driver, sqlite3.Connection):
        driver.create_collation(DECIMAL, by_value)
        return
    adapted: Any = connection.connection.dbapi_connection

    def teach(aiosqlite: Any) -> Any:  # it has no such call, and a thread where it must be made
        return aiosqlite._execute(aiosqlite._conn.create_collation, DECIMAL, by_value)

    adapted.run_async(teach)


def _has_begun(connection: Connection) -> bool:
    """Whether a transaction has begun, which only the driver knows."""
    driver: Any = connection.connection.driver_connection
    return bool(driver.in_transaction)
