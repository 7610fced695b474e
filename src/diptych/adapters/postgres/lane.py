"""A lane for reading: one connection that takes one answer's reads at a time, all of one moment.

The server itself refuses to write: a READ ONLY transaction cannot be made another once it has a
savepoint, and nothing that would end it is ever executed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, TypeAlias

from asyncpg import exceptions as pg

from diptych.adapters.postgres.address import Address
from diptych.adapters.postgres.connection import (
    ERRORS,
    Connection,
    connect,
    fault,
    is_lost,
    search_path,
)
from diptych.adapters.postgres.schema import Statements
from diptych.errors import Fault, NotOpen, ReadOnly, StoreUnavailable
from diptych.read.port import Snapshot

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

Verify: TypeAlias = Callable[[Connection], Awaitable[None]]

LANES = 10
"""Answers that can read at once."""

STATEMENT_MS = 20_000
"""Milliseconds that a statement of an answer may take."""

IDLE_MS = 60_000
"""Milliseconds that an answer may keep its snapshot without reading: it holds up the vacuum."""

_BEGIN = (
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; "
    f"SET LOCAL statement_timeout = {STATEMENT_MS}; "
    f"SET LOCAL idle_in_transaction_session_timeout = {IDLE_MS}; "
)
_SAVEPOINT = "SAVEPOINT diptych"

BACK = "ROLLBACK TO SAVEPOINT diptych"
"""After a statement that failed; the snapshot stays the same."""

_END = "ROLLBACK"
_LEAVE_NOTHING = "ROLLBACK; SELECT pg_advisory_unlock_all()"
"""Of what a user's statements may have left behind, only such locks outlive the transaction."""


class Lane:
    """Owns a connection, and SQLAlchemy's hold on it.

    Args:
        verify: Looks at each new connection before it is used.
        has_log: Whether the log is in the same database, so that its head is of the same snapshot.
    """

    def __init__(self, address: Address, sql: Statements, verify: Verify, *, has_log: bool) -> None:
        self._address = address
        self._statements = sql
        self._verify = verify
        self._has_log = has_log
        self._begin = f"{_BEGIN}{search_path(address)}{_SAVEPOINT}"
        self._connection: Connection | None = None
        self._sql: AsyncConnection | None = None
        self._used_sql = False
        self.snapshot: Snapshot | None = None

    @property
    def connection(self) -> Connection:
        """In the snapshot that has begun."""
        if self._connection is None:
            raise NotOpen(self._address.where)
        return self._connection

    async def begin(self) -> Snapshot:
        """Begins the snapshot: the checkpoints are its first read."""
        if self.snapshot is not None:
            return self.snapshot
        for attempt in (1, 2):
            connection = await self._connected()
            try:
                await connection.execute(self._begin)
                rows = await connection.fetch(self._statements.select_snapshot)
            except ERRORS as error:
                connection.terminate()
                if attempt == 2 or not is_lost(error):
                    raise self.fault(error) from error
                continue
            checkpoints = {row[0]: row[1] for row in rows}
            head = checkpoints.pop("")
            self.snapshot = Snapshot(head if self._has_log else None, checkpoints)
            return self.snapshot
        raise AssertionError

    async def end(self) -> None:
        """Ends the snapshot, and leaves nothing behind."""
        begun, self.snapshot = self.snapshot is not None, None
        connection = self._connection
        if connection is None:
            return
        if not begun and not connection.is_in_transaction():
            return
        used_sql, self._used_sql = self._used_sql, False
        try:
            if self._sql is not None and used_sql:
                await self._sql.rollback()
            await connection.execute(_LEAVE_NOTHING if used_sql else _END, timeout=5)
        except (*ERRORS, asyncio.CancelledError):
            connection.terminate()

    async def close(self) -> None:
        """Closes the connection."""
        await self._let_go()
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(*ERRORS):
                await connection.close(timeout=2)

    async def sqlalchemy(self) -> AsyncConnection:
        """SQLAlchemy on this very connection, guarded, in the snapshot that has begun."""
        self._used_sql = True
        if self._sql is None:
            from diptych.adapters.postgres.guard import Guarded
            from diptych.adapters.postgres.statements import sqlalchemy_on

            self._sql = await sqlalchemy_on(Guarded(self.connection), self._address)
        return self._sql

    async def _connected(self) -> Connection:
        if self._connection is None or self._connection.is_closed():
            await self._let_go()
            connection = await connect(self._address)
            try:
                await self._verify(connection)
            except BaseException as error:
                connection.terminate()
                if isinstance(error, ERRORS):
                    raise self.fault(error) from error
                raise
            self._connection = connection
        return self._connection

    async def _let_go(self) -> None:
        sql, self._sql = self._sql, None
        if sql is not None:
            from diptych.adapters.postgres.statements import let_go

            await let_go(sql)

    def fault(self, error: BaseException) -> Fault:
        """What an error means for whoever asks."""
        where = self._address.where
        match error:
            case pg.ReadOnlySQLTransactionError() | pg.ActiveSQLTransactionError():
                return ReadOnly(str(error))
            case pg.QueryCanceledError():
                return StoreUnavailable(
                    f"{where}: a statement took more than {STATEMENT_MS // 1000} s and was ended. "
                    "Give it an index, or let a view keep what it computes."
                )
            case pg.SerializationError():
                return StoreUnavailable(
                    f"{where}: {error}. It is a replica, which could not wait for a long read: ask "
                    "again, or set hot_standby_feedback there."
                )
            case _:
                return fault(error, where)


class Lanes:
    """A few lanes, each lent to one answer at a time."""

    def __init__(self, address: Address, sql: Statements, verify: Verify, *, has_log: bool) -> None:
        self._address = address
        self._statements = sql
        self._verify = verify
        self._has_log = has_log
        self._all: list[Lane] = []
        self._free: asyncio.Queue[Lane] = asyncio.Queue()
        self._ending: set[asyncio.Task[None]] = set()

    async def lend(self) -> Lane:
        """A lane; waits for one where all are lent."""
        if self._free.empty() and len(self._all) < LANES:
            lane = Lane(self._address, self._statements, self._verify, has_log=self._has_log)
            self._all.append(lane)
            return lane
        return await self._free.get()

    def take_back(self, lane: Lane) -> None:
        """Ends the lane's snapshot beside the loop's other work, then lends it to others."""
        task = asyncio.get_running_loop().create_task(self._end(lane))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _end(self, lane: Lane) -> None:
        try:
            await lane.end()
        finally:
            self._free.put_nowait(lane)

    async def close(self) -> None:
        """Closes all of them."""
        if self._ending:
            await asyncio.wait(self._ending)
        lanes, self._all = self._all, []
        for lane in lanes:
            await lane.close()
