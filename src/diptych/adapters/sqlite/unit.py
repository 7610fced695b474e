"""A turn of the writer for one command's own statements: begun, lent out, committed or undone."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from diptych.adapters.grouping import GroupCommitter
from diptych.adapters.sql.ending import was_ended
from diptych.adapters.sqlite.connection import fault, is_fault
from diptych.adapters.sqlite.reading import read_stream
from diptych.adapters.sqlite.session import Lent, engine_on
from diptych.adapters.sqlite.writer import Writer
from diptych.adapters.worker import Worker, seen, through
from diptych.log.commit import Commit, Committed, Settled
from diptych.log.port import StoredEvent
from diptych.message import Position

T = TypeVar("T")


class Lender:
    """Lends the writer's connection, one session at a time.

    Args:
        told: Called after a commit, in the loop's thread.
        at_rest: Whether the loop and the writer have nothing else to do, and the disk is prompt:
            then a trip to the writer's thread would take longer than the work itself.
    """

    def __init__(
        self,
        path: Path,
        writer: Writer,
        writing: Worker,
        committer: GroupCommitter,
        told: Callable[[], None],
        at_rest: Callable[[], bool],
    ) -> None:
        self._path = path
        self._writer = writer
        self._writing = writing
        self._committer = committer
        self._told = told
        self._at_rest = at_rest
        self._lent = Lent(writer.connection, writing)
        self._engine: AsyncEngine | None = None

    @asynccontextmanager
    async def unit(
        self, session_type: type, *, tenant: str, id: str | None
    ) -> AsyncGenerator[SqliteUnit, None]:
        """See `diptych.log.port.Units`."""
        await self._committer.turn()
        try:
            on_the_spot = self._at_rest() and self._writer.lock_on_the_spot()
            begun = self._call(lambda: self._begin(tenant, id), on_the_spot)
            try:
                settled, head = await asyncio.shield(begun)
            except asyncio.CancelledError:
                await self._end(begun)
                raise
            unit = SqliteUnit(self, self._session(session_type), settled, head)
            try:
                yield unit
            except DBAPIError as error:
                if isinstance(error.orig, sqlite3.Error) and is_fault(error.orig):
                    raise fault(error.orig, self._path) from error
                raise
            finally:
                self._lent.closed = True
                unit.session.sync_session.close()  # of a lent connection nothing is awaited
                await self._end(None if unit.over else begun)
        finally:
            self._committer.end_turn()

    def _call(self, work: Callable[[], T], on_the_spot: bool) -> asyncio.Future[T]:
        """Work of the writer's: in its thread, or on the spot."""
        if not on_the_spot:
            return self._writing.call(work)
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        try:
            future.set_result(work())
        except Exception as error:
            future.set_exception(error)
        return future

    def _begin(self, tenant: str, id: str | None) -> tuple[Settled | None, Position]:
        if self._engine is None:
            self._engine = engine_on(self._lent, self._writer.connection)
        return self._writer.begin_unit(tenant, id), self._writer.head

    def _session(self, session_type: type) -> AsyncSession:
        self._lent.ended_by = None
        self._lent.closed = False
        opened: Callable[..., AsyncSession] = session_type
        return opened(self._engine, expire_on_commit=False)

    async def _end(self, begun: asyncio.Future[Any] | None) -> None:
        """Ends the transaction, also while a statement runs, also if the caller is cancelled again."""
        self._lent.closed = True
        if begun is None:
            return
        self._writer.gate.given_up = not begun.done()
        if not self._writing.idle:
            self._lent.interrupt()
        await through(self._writing.call(self._writer.end_unit))
        seen(begun)

    async def commit(self, unit: SqliteUnit, commit: Commit) -> Committed:
        """See `diptych.log.port.Unit`."""
        ended_by = self._lent.ended_by
        if ended_by is not None:
            raise was_ended(ended_by)
        self._lent.closed = True
        unit.over = True  # whatever comes of it, nothing is left to be undone
        on_the_spot = self._at_rest() and self._writer.is_untidy
        try:
            return await through(self._call(lambda: self._writer.commit_unit(commit), on_the_spot))
        finally:
            self._told()

    async def read(
        self, tenant: str, stream: str, after: int, limit: int, beyond: Position
    ) -> Sequence[StoredEvent]:
        """Events of a stream, in the transaction."""
        return await self._writing.call(
            lambda: read_stream(self._writer.connection, tenant, stream, after, limit, beyond)
        )

    async def undo(self) -> None:
        """See `diptych.log.port.Unit`."""
        self._lent.ended_by = None  # it is all taken back anyway
        await through(self._writing.call(self._writer.undo_unit))


class SqliteUnit:
    """One turn."""

    def __init__(
        self, lender: Lender, session: AsyncSession, settled: Settled | None, head: Position
    ) -> None:
        self._lender = lender
        self.session = session
        self.settled = settled
        self.head = head
        self.version: int | None = None
        self.over = False

    async def read_stream(
        self, tenant: str, stream: str, *, after: int, limit: int, beyond: Position = 0
    ) -> Sequence[StoredEvent]:
        return await self._lender.read(tenant, stream, after, limit, beyond)

    async def undo(self) -> None:
        self.session.expunge_all()
        await self._lender.undo()

    async def commit(self, commit: Commit) -> Committed:
        await self.session.flush()
        return await self._lender.commit(self, commit)
