"""A transaction for one command's own statements: begun, lent out, committed or undone.

The users' statements come first, with whatever rows they lock; the store's lock is taken when they
are done. Commands of one stream take turns, so that what one of them has read is still so when it
writes; for rows that several streams share, a handler takes locks of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

from asyncpg import exceptions as pg
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm.exc import StaleDataError

from diptych.adapters.judge import Judge
from diptych.adapters.postgres.address import Address
from diptych.adapters.postgres.connection import (
    BEGIN,
    ERRORS,
    Connection,
    begin,
    fault,
    is_fault,
    is_lost,
    search_path,
    take,
)
from diptych.adapters.postgres.engine import open_engine
from diptych.adapters.postgres.finding_out import found_out
from diptych.adapters.postgres.group import InlineView, write_group
from diptych.adapters.postgres.ledger import settled_of
from diptych.adapters.postgres.preparing import connect_to_log
from diptych.adapters.postgres.reading import read_stream
from diptych.adapters.postgres.rows import RowTables
from diptych.adapters.postgres.schema import LOCK_MS, Statements
from diptych.adapters.postgres.statements import cause_of
from diptych.adapters.postgres.turn import Turn
from diptych.adapters.sql.ending import ending, refused_end, was_ended
from diptych.adapters.worker import through
from diptych.errors import (
    BadResult,
    Overloaded,
    StoreUnavailable,
)
from diptych.log.commit import Appended, Commit, Committed, Settled
from diptych.log.port import Collision, StoredEvent
from diptych.message import Position

UNITS = 8
"""Transactions of one process that run side by side."""

UNIT_IDLE_MS = 60_000
"""Milliseconds that one may wait for its client: one that has died silently gives its rows back."""

_LENT = "diptych"


class Lender:
    """Lends sessions, each on a connection of its own.

    Args:
        turn: Of this process, to have the store's lock.
        epoch: Of the log that was opened.
        waiting: Units that may be under way, or wait for their turn.
        inline: The views that are kept with the events, as of now.
        told: Called after a commit.
    """

    def __init__(
        self,
        address: Address,
        sql: Statements,
        rows: RowTables,
        turn: Turn,
        *,
        epoch: str,
        waiting: int,
        inline: Callable[[], Sequence[InlineView]],
        told: Callable[[Judge], None],
    ) -> None:
        self._turn = turn
        self._address = address
        self._sql = sql
        self._rows = rows
        self._limit = waiting
        self._inline = inline
        self._told = told
        self._connect = partial(connect_to_log, address, sql, epoch)
        self._engine = open_engine(address, self._connect, size=UNITS)
        for name, hear in (("commit", _refuse_commit), ("rollback", _note_rollback)):
            event.listen(self._engine.sync_engine, name, hear)
        event.listen(self._engine.sync_engine, "before_cursor_execute", _refuse_end)
        self._streams = Turns()
        self._places = asyncio.Semaphore(UNITS)
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False

    async def close(self) -> None:
        """Takes nothing more; returns when all that was taken is over."""
        self._closed = True
        await self._idle.wait()
        await self._engine.dispose()

    @asynccontextmanager
    async def unit(
        self, session_type: type, *, tenant: str, stream: str, id: str | None
    ) -> AsyncGenerator[PostgresUnit, None]:
        """See `diptych.log.port.Units`."""
        if self._closed:
            raise StoreUnavailable("the store is closed. Open the app again.")
        if self._under_way >= self._limit:
            raise Overloaded(self._under_way)
        self._under_way += 1
        self._idle.clear()
        try:
            async with self._streams.of((tenant, stream)), self._places:
                unit = await self._borrow(session_type, tenant, stream, id)
                try:
                    yield unit
                except DBAPIError as error:
                    raise self._named(error) from error
                except StaleDataError as error:
                    raise Collision(error) from error
                finally:
                    await through(asyncio.ensure_future(unit.end()))
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()

    async def _borrow(
        self, session_type: type, tenant: str, stream: str, id: str | None
    ) -> PostgresUnit:
        """A unit that has begun; on another connection where some were lost meanwhile."""
        for attempt in range(UNITS + 1):
            connection = await self._engine.connect()
            try:
                raw = await connection.get_raw_connection()
                driver: Any = raw.driver_connection
                unit = PostgresUnit(self, connection, driver, tenant, stream, id)
                await unit.begin()
                unit.lend(session_type)
            except BaseException as error:
                await through(asyncio.ensure_future(_drop(connection)))
                if not isinstance(error, ERRORS):
                    raise
                if attempt == UNITS or not is_lost(error):
                    raise fault(error, self._address.where) from error
            else:
                return unit
        raise AssertionError

    async def begin(
        self, driver: Connection, tenant: str, stream: str, id: str | None
    ) -> tuple[Settled | None, Position, int]:
        """Begins a transaction; returns the command's outcome, the head, and the stream's version.

        The wait for the stream comes first, with nothing else in hand: so nobody waits in a circle.
        """
        one, other = self._address.stream_lock(tenant, stream)
        await driver.execute(
            f"{BEGIN}; {search_path(self._address)}SET LOCAL lock_timeout = {LOCK_MS}; "
            f"SET LOCAL idle_in_transaction_session_timeout = {UNIT_IDLE_MS}; "
            f"SELECT pg_advisory_xact_lock({one}, {other})"
        )
        ((head, _, (version,)),) = await driver.fetch(self._sql.select_state, [tenant], [stream])
        settled = None
        if id is not None:
            found = await driver.fetch(self._sql.select_outcomes, [tenant], [id])
            settled = settled_of(found[0]) if found else None
        return settled, head, version or 0

    async def read(
        self,
        driver: Connection,
        tenant: str,
        stream: str,
        after: int,
        limit: int,
        beyond: Position,
    ) -> Sequence[StoredEvent]:
        """Events of a stream, in the transaction."""
        try:
            return await read_stream(driver, self._sql, tenant, stream, after, limit, beyond)
        except ERRORS as error:
            raise self.meaning(error) from error

    async def commit(self, driver: Connection, commit: Commit) -> Committed:
        """Judges and writes one commit, and commits it with the statements before it."""
        async with self._turn:
            return await self._commit(driver, commit)

    async def _commit(self, driver: Connection, commit: Commit) -> Committed:
        try:
            await driver.execute(take(self._address.lock))
            _, judge, (answer,) = await write_group(
                driver,
                self._sql,
                [commit],
                rows=self._rows,
                inline=self._inline(),
            )
        except ERRORS as error:
            raise self.meaning(error) from error
        if isinstance(answer, BaseException):
            raise answer
        if not isinstance(answer, Appended):
            return answer
        try:
            done = await driver.execute("COMMIT")
        except pg.IntegrityConstraintViolationError as error:
            raise BadResult("what was to be committed", f"failed: {error}.") from error
        except ERRORS as error:
            driver.terminate()
            found = await self._look_up(commit, error)
            if found is None:
                raise fault(error, self._address.where) from error
            if found.position != answer.position:
                return found  # somebody else's, of the same id
        else:
            if done != "COMMIT":
                raise BadResult("a handler", "left its transaction in no state to be committed.")
        self._told(judge)
        return answer

    async def _look_up(self, commit: Commit, cause: BaseException) -> Settled | None:
        """What is there of a command whose connection was lost at its commit.

        Raises:
            CommitUnknown: The server cannot be asked.
        """
        assert commit.cause is not None
        id = commit.cause.id

        async def ask() -> Settled | None:
            connection = await self._connect()
            try:
                await connection.execute(begin(self._address.lock))
                rows = await connection.fetch(self._sql.select_outcomes, [commit.tenant], [id])
                return settled_of(rows[0]) if rows else None
            finally:
                await connection.close()

        return await found_out(ask, where=self._address.where, cause=cause)

    def _named(self, error: DBAPIError) -> Exception:
        """What an error of a user's statement means beyond itself."""
        cause = cause_of(error)
        if isinstance(cause, pg.DeadlockDetectedError | pg.SerializationError):
            return Collision(error)
        if is_lost(cause) or isinstance(cause, pg.InsufficientResourcesError):
            return fault(cause, self._address.where)
        if isinstance(cause, pg.InFailedSQLTransactionError):
            return _went_on()
        return error

    def meaning(self, error: Exception) -> Exception:
        """What an error of the engine's own statements means, in the user's transaction."""
        if isinstance(error, pg.DeadlockDetectedError | pg.SerializationError):
            return Collision(error)
        if isinstance(error, pg.InFailedSQLTransactionError):
            return _went_on()
        if is_fault(error):
            return fault(error, self._address.where)
        return BadResult("what was to be committed", f"cannot be stored: {error}. Nothing was.")


class PostgresUnit:
    """One transaction of the lender's.

    Attributes:
        ended_by: The call by which its user tried to end the transaction.
        closed: Its session may do nothing more.
    """

    session: AsyncSession

    def __init__(
        self,
        lender: Lender,
        connection: AsyncConnection,
        driver: Connection,
        tenant: str,
        stream: str,
        id: str | None,
    ) -> None:
        self._lender = lender
        self._connection = connection
        self._driver = driver
        self._of = (tenant, stream, id)
        self.settled: Settled | None = None
        self.head: Position = 0
        self.version: int | None = None
        self.ended_by: str | None = None
        self.closed = True
        self._over = False

    async def begin(self) -> None:
        """Begins its transaction."""
        self.settled, self.head, self.version = await self._lender.begin(self._driver, *self._of)

    def lend(self, session_type: type) -> None:
        """Its session may be used."""
        opened: Callable[..., AsyncSession] = session_type
        sync = self._connection.sync_connection
        assert sync is not None
        sync.info[_LENT] = self
        self.session = opened(self._connection, expire_on_commit=False)
        self.closed = False

    def refuse_end(self, sql: str) -> None:
        """Refuses a statement that would end the transaction, or comes after its end."""
        if self.closed:
            raise BadResult("a handler", "used its session after its end. Use it inside only.")
        found = ending(sql)
        if found is not None:
            self.ended_by = found
            raise refused_end(f"ran {found}")
        if not self._driver.is_in_transaction():
            self.ended_by = self.ended_by or "the end of its transaction"
            raise was_ended(self.ended_by)

    async def read_stream(
        self, tenant: str, stream: str, *, after: int, limit: int, beyond: Position = 0
    ) -> Sequence[StoredEvent]:
        """See `diptych.log.port.Unit`."""
        return await self._lender.read(self._driver, tenant, stream, after, limit, beyond)

    async def undo(self) -> None:
        """See `diptych.log.port.Unit`."""
        self.session.expunge_all()
        self.ended_by = None  # it is all taken back anyway
        await through(asyncio.ensure_future(self._begin_anew()))

    async def _begin_anew(self) -> None:
        try:
            await self._driver.execute("ROLLBACK")
            await self.begin()
        except ERRORS as error:
            raise self._lender.meaning(error) from error

    async def commit(self, commit: Commit) -> Committed:
        """See `diptych.log.port.Unit`."""
        if self.ended_by is None:
            await self.session.flush()
        if self.ended_by is not None:
            raise was_ended(self.ended_by)
        self.closed = True
        return await through(asyncio.ensure_future(self._commit(commit)))

    async def _commit(self, commit: Commit) -> Committed:
        committed = await self._lender.commit(self._driver, commit)
        self._over = isinstance(committed, Appended)
        return committed

    async def end(self) -> None:
        """Whatever was not committed has not happened; the connection goes back."""
        self.closed = True
        connection = self._connection
        try:
            await self.session.close()
            if not self._over and not connection.invalidated and not self._driver.is_closed():
                await self._driver.execute("ROLLBACK")
            await connection.close()
        except Exception:
            await _drop(connection)


class Turns:
    """One at a time for each key, first come, first served."""

    def __init__(self) -> None:
        self._locks: dict[object, tuple[asyncio.Lock, list[None]]] = {}

    @asynccontextmanager
    async def of(self, key: object) -> AsyncGenerator[None, None]:
        """Whoever is inside has its turn."""
        lock, users = self._locks.setdefault(key, (asyncio.Lock(), []))
        users.append(None)
        try:
            async with lock:
                yield
        finally:
            users.pop()
            if not users:
                del self._locks[key]


async def _drop(connection: AsyncConnection) -> None:
    """A connection in an unknown state is used by nobody any more."""
    with suppress(Exception):
        await connection.invalidate()
    with suppress(Exception):
        await connection.close()


def _went_on() -> BadResult:
    return BadResult(
        "a handler",
        "went on after a statement of its session had failed, which undoes all of its work. "
        "Use session.begin_nested() for a part that may fail.",
    )


def _lent(connection: Any) -> PostgresUnit | None:
    unit: PostgresUnit | None = connection.info.get(_LENT)
    return unit


def _refuse_commit(connection: Any) -> None:
    unit = _lent(connection)
    if unit is not None and not unit.closed:
        unit.ended_by = "session.commit()"
        raise refused_end("called session.commit()")


def _note_rollback(connection: Any) -> None:
    unit = _lent(connection)
    if unit is not None and not unit.closed:
        unit.ended_by = unit.ended_by or "session.rollback()"


def _refuse_end(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
    unit = _lent(connection)
    if unit is not None:
        unit.refuse_end(statement)
