"""The session of one answer: read-only, all of one moment."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from asyncpg import exceptions as pg

from diptych.adapters.postgres.connection import ERRORS, is_fault
from diptych.adapters.postgres.lane import Lane
from diptych.adapters.postgres.tables import ViewTable
from diptych.adapters.sql.catalogue import Catalogue
from diptych.errors import Fault, NotOpen, ReadOnly
from diptych.read.port import Found, Shape, Snapshot

if TYPE_CHECKING:
    from sqlalchemy import Connection as SqlConnection
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.ext.asyncio import AsyncConnection

T = TypeVar("T")

_REFUSED = (pg.ReadOnlySQLTransactionError, pg.ActiveSQLTransactionError)


class LaneSession:
    """Reads of one answer, one after the other."""

    def __init__(self, lane: Lane, tables: Catalogue[ViewTable]) -> None:
        self._lane: Lane | None = lane
        self._tables = tables
        self._turn = asyncio.Lock()

    @property
    def snapshot(self) -> Snapshot | None:
        return None if self._lane is None else self._lane.snapshot

    def end(self) -> Lane:
        """The lane, which is the session's no more."""
        lane, self._lane = self._lane, None
        assert lane is not None
        return lane

    async def begin(self) -> Snapshot:
        async with self._turn:
            return await self._opened.begin()

    async def get(self, shape: Shape, key: tuple[Any, ...]) -> Any | None:
        return await self._read(lambda lane: self._tables.of(shape).get(lane.connection, key))

    async def all(self, shape: Shape) -> Sequence[Any]:
        return await self._read(lambda lane: self._tables.of(shape).all(lane.connection))

    async def select(self, statement: Any) -> Found:
        """Runs an SQLAlchemy statement; the server itself refuses whatever writes."""

        async def select(connection: AsyncConnection) -> Found:
            result = await connection.execute(statement)
            return Found(tuple(result.keys()), result.fetchall())

        return await self._run(select, statement)

    async def run(self, function: Callable[[Any], T]) -> T:
        """Calls a function with an ORM session on this snapshot; the server refuses its flush."""
        from sqlalchemy.orm import Session

        def call(connection: SqlConnection) -> T:
            with Session(connection) as session:
                return function(session)

        return await self._run(lambda connection: connection.run_sync(call))

    @property
    def _opened(self) -> Lane:
        if self._lane is None:
            raise NotOpen("the session of an answer that is over")
        return self._lane

    async def _read(self, work: Callable[[Lane], Awaitable[T]]) -> T:
        async with self._turn:
            lane = self._opened
            await lane.begin()
            try:
                return await work(lane)
            except ERRORS as error:
                raise lane.fault(error) from error

    async def _run(
        self, work: Callable[[AsyncConnection], Awaitable[T]], statement: Any = None
    ) -> T:
        from sqlalchemy.exc import DBAPIError, ResourceClosedError

        from diptych.adapters.postgres.statements import cause_of

        async with self._turn:
            lane = self._opened
            await lane.begin()
            try:
                try:
                    return await work(await lane.sqlalchemy())
                except DBAPIError as error:
                    if not isinstance(cause_of(error), pg.InvalidCachedStatementError):
                        raise
                # Somebody has changed the table since the statement was prepared.
                return await work(await lane.sqlalchemy())
            except ResourceClosedError as error:
                raise ReadOnly(str(error)) from error
            except DBAPIError as error:
                found = _foreseen(lane, error, statement)
                if found is None:
                    raise
                raise found from error
            except ERRORS as error:
                raise lane.fault(error) from error


def _foreseen(lane: Lane, error: DBAPIError, statement: Any) -> Fault | None:
    """What diptych has words for; None where it is a matter of the statement itself."""
    from diptych.adapters.postgres.statements import cause_of
    from diptych.adapters.sql.intent import is_meant_to_write

    cause = cause_of(error)
    if isinstance(cause, (*_REFUSED, pg.SerializationError)) or is_fault(cause):
        return lane.fault(cause)
    if statement is not None and is_meant_to_write(statement):
        return ReadOnly(str(cause))
    return None
