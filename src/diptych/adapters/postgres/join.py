"""Commits inside a transaction that somebody else owns, on that one's own connection.

Nothing is locked when a session joins: its own statements come first, with whatever rows they lock,
and the store's lock at the end of the block. It is kept until the session commits.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any, TypeAlias

from asyncpg import exceptions as pg
from sqlalchemy import event
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from diptych.adapters.postgres.address import Address
from diptych.adapters.postgres.connection import IDLE_MS, fault, run_now
from diptych.adapters.postgres.group import InlineView, write_group
from diptych.adapters.postgres.rows import RowTables
from diptych.adapters.postgres.schema import LOCK_MS, Statements
from diptych.adapters.postgres.statements import cause_of
from diptych.adapters.postgres.turn import Turn
from diptych.adapters.worker import running_loop
from diptych.errors import ForeignStore, JoinFailed, StoreUnavailable, WouldBlock
from diptych.log.commit import Appended, Commit, Committed

Ready: TypeAlias = Callable[[], Awaitable[None]]

DRIVERS = ("asyncpg", "psycopg")

_LOCK_NOT_AVAILABLE = "55P03"


class Borrowed:
    """A connection of SQLAlchemy's, for the engine's own statements.

    Whatever its driver waits for, it waits within a call: nothing here is awaited in the loop.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._by_name = connection.dialect.driver == "psycopg"

    async def fetch(self, sql: str, /, *values: Any) -> Sequence[Sequence[Any]]:
        parameters: Any = values or None
        if self._by_name and values:
            sql = by_name(sql)
            parameters = {f"p{place}": value for place, value in enumerate(values, 1)}
        result = self._connection.exec_driver_sql(sql, parameters)
        return result.all() if result.returns_rows else []


@lru_cache(maxsize=500)
def by_name(sql: str) -> str:
    """Parameters as psycopg has them: $1 as %(p1)s."""
    return re.sub(r"\$(\d+)", r"%(p\1)s", sql.replace("%", "%%"))


class Joiner:
    """Joins sessions to the log in one schema of a database.

    Args:
        epoch: Of the store.
        loop: Of the app.
        rows: Tables that keep states.
        turn: Of this process, to have the store's lock.
        inline: The views that are kept with the events, as of now.
        told: Called after the session has committed, in whatever thread it does.
    """

    def __init__(
        self,
        address: Address,
        sql: Statements,
        epoch: str,
        loop: asyncio.AbstractEventLoop,
        *,
        rows: RowTables,
        turn: Turn,
        inline: Callable[[], Sequence[InlineView]],
        told: Callable[[], None],
    ) -> None:
        self._address = address
        self._sql = sql
        self._epoch = epoch
        self._loop = loop
        self._rows = rows
        self._turn = turn
        self._inline = inline
        self._told = told

    @asynccontextmanager
    async def joined(self, session: AsyncSession, ready: Ready) -> AsyncGenerator[None, None]:
        """See `diptych.log.port.Joins`."""
        await ready()
        await session.run_sync(self._check)
        yield

    def begin_now(self, session: Session, ready: Ready) -> None:
        """See `diptych.log.port.Joins`."""
        if running_loop() is self._loop:
            raise WouldBlock("join")  # it would wait for its own turn
        asyncio.run_coroutine_threadsafe(_await(ready), self._loop).result()
        self._check(session)

    def _check(self, session: Session) -> None:
        """Looks whether a session's transaction can carry events of this log.

        Raises:
            JoinFailed: It cannot.
            ForeignStore: It is on another database.
        """
        connection = session.connection()
        dialect = connection.dialect
        if dialect.name != "postgresql":
            raise ForeignStore(f"the session is on {dialect.name}, the log in {self._where}.")
        if dialect.driver not in DRIVERS:
            raise JoinFailed(
                f"the session is on the driver {dialect.driver}. Give its engine a URL that begins "
                "with postgresql+asyncpg:// or postgresql+psycopg://."
            )
        borrowed = Borrowed(connection)
        try:
            self._check_transaction(connection, borrowed)
            self._check_place(borrowed)
        except DBAPIError as error:
            raise self._named(error) from error

    def _check_transaction(self, connection: Connection, borrowed: Borrowed) -> None:
        ((isolation, read_only),) = run_now(
            borrowed.fetch(
                "SELECT current_setting('transaction_isolation'), "
                "current_setting('transaction_read_only')"
            )
        )
        if not _has_begun(connection):
            raise JoinFailed(
                "the session's connection commits each statement by itself (autocommit). "
                "Join a session whose engine begins transactions."
            )
        if isolation != "read committed":
            raise JoinFailed(
                f"the session's transaction is at {isolation.upper()}, which does not see where the "
                "log ends by now. Use isolation_level='READ COMMITTED' (PostgreSQL's default), and "
                "lock the rows that you read to write: with_for_update()."
            )
        if read_only != "off":
            raise JoinFailed(
                "the session's transaction is READ ONLY. Join one that may write, on the primary."
            )

    def _check_place(self, borrowed: Borrowed) -> None:
        name = f"{self._sql.schema}.diptych_store"
        ((there,),) = run_now(borrowed.fetch("SELECT to_regclass($1::text) IS NOT NULL", name))
        if there:
            rows = run_now(borrowed.fetch(self._sql.select_incarnation))
            there = bool(rows) and rows[0][1] == self._epoch and rows[0][2]
        if not there:
            ((database,),) = run_now(borrowed.fetch("SELECT current_database()"))
            raise ForeignStore(
                f"the session is on another database ({database}), the log in {self._where}. "
                "Rows and events commit together in one database only."
            )

    def end(self, session: Session, commit: Commit) -> Committed:
        """Judges the commit and writes it, where the session runs; it happens if that commits.

        Raises:
            Exception: What poisons it; the session's own work is as it was.
        """
        session.flush()
        connection = session.connection()
        with self._turn.lent(session) as loan:
            try:
                answer = self._write(connection, commit)
            except DBAPIError as error:
                raise self._named(error) from error
            if isinstance(answer, Appended):
                loan.keep()
                event.listen(session, "after_commit", self._committed, once=True)
        return answer

    def _write(self, connection: Connection, commit: Commit) -> Committed:
        """The answer; unless it is written, the lock is given back, and the limits as they were."""
        connection.exec_driver_sql("SAVEPOINT diptych_join")
        written = False
        try:
            answer = run_now(self._judge(Borrowed(connection), commit))
            written = isinstance(answer, Appended)
        finally:
            if not connection.invalidated:  # by a cancellation: nothing of it will happen
                if not written:
                    connection.exec_driver_sql("ROLLBACK TO diptych_join")
                connection.exec_driver_sql("RELEASE diptych_join")
        return answer

    async def _judge(self, borrowed: Borrowed, commit: Commit) -> Committed:
        await borrowed.fetch(
            f"SELECT set_config('lock_timeout', '{LOCK_MS}', true), "
            f"set_config('idle_in_transaction_session_timeout', '{IDLE_MS}', true), "
            # What is answered for must be on the disk.
            "set_config('synchronous_commit', coalesce(nullif("
            "current_setting('synchronous_commit'), 'off'), 'on'), true)"
        )
        one, other = self._address.lock
        await borrowed.fetch(f"SELECT pg_advisory_xact_lock({one}, {other})")
        _, _, (answer,) = await write_group(
            borrowed,
            self._sql,
            [commit],
            rows=self._rows,
            inline=self._inline(),
        )
        if isinstance(answer, BaseException):
            raise answer
        return answer

    @property
    def _where(self) -> str:
        return self._address.where

    def _committed(self, session: Session) -> None:
        self._told()

    def _named(self, error: DBAPIError) -> Exception:
        cause = cause_of(error)
        state = getattr(cause, "sqlstate", None)
        if state == _LOCK_NOT_AVAILABLE:
            return fault(pg.LockNotAvailableError(str(cause)), self._where)
        if error.connection_invalidated:
            return StoreUnavailable(
                f"{self._where}: {cause}. Look whether the server runs there and can be reached; "
                "then try again."
            )
        return error


async def _await(ready: Ready) -> None:
    await ready()


def _has_begun(connection: Connection) -> bool:
    """Whether a transaction has begun, which only the driver knows."""
    driver: Any = connection.connection.driver_connection
    if connection.dialect.driver == "psycopg":
        status: int = driver.info.transaction_status
        return status != 0  # IDLE
    return bool(driver.is_in_transaction())
