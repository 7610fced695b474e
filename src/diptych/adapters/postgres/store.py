"""The store on PostgreSQL, shared by any number of processes of any number of machines."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from diptych.adapters.gathering import Awaited, Gather
from diptych.adapters.grouping import Answers, GroupCommitter, Pending
from diptych.adapters.judge import Judge
from diptych.adapters.news import News
from diptych.adapters.postgres import reading
from diptych.adapters.postgres.address import Address
from diptych.adapters.postgres.connection import (
    ERRORS,
    Connection,
    fault,
    meet,
    under_lock,
)
from diptych.adapters.postgres.group import InlineView
from diptych.adapters.postgres.ledger import settled_of
from diptych.adapters.postgres.news import StoreNews
from diptych.adapters.postgres.pausing import pauses
from diptych.adapters.postgres.pool import Pool
from diptych.adapters.postgres.preparing import prepare_log, verify
from diptych.adapters.postgres.presence import Attendance
from diptych.adapters.postgres.reading import PageRequest, TaggedRequest
from diptych.adapters.postgres.rows import RowRequest, RowTables
from diptych.adapters.postgres.schema import statements
from diptych.adapters.postgres.turn import Turn
from diptych.adapters.postgres.writer import Writer
from diptych.adapters.sql.lending import is_async_session
from diptych.errors import NotOpen
from diptych.log.commit import Commit, Committed, Settled, StateTable, Tagged
from diptych.log.names import Stamp
from diptych.log.pauses import Pause
from diptych.log.port import Batch, Page, StoredEvent, Unit
from diptych.log.presence import ViewProgress
from diptych.log.rows import Values
from diptych.message import Position

if TYPE_CHECKING:
    from sqlalchemy import MetaData

    from diptych.adapters.postgres.join import Joiner
    from diptych.adapters.postgres.unit import Lender
    from diptych.adapters.sql.mapped import MappedRow

T = TypeVar("T")


class PostgresStore:
    """One connection that commits groups, and a few that read.

    Args:
        waiting: Commits that may wait.
        retention: For how long outcomes are kept at least.
        wake: Of the same server, where a pooler stands in front of `address`.
    """

    def __init__(
        self,
        address: Address,
        *,
        waiting: int,
        retention: timedelta = timedelta(hours=24),
        wake: Address | None = None,
    ) -> None:
        self.address = address
        self.sql = statements(address.schema)
        self._waiting = waiting
        self._retention = retention
        self._wake = wake
        self._epoch = ""
        self._mapped: dict[type, MappedRow] = {}
        self._rows = RowTables(address.schema)
        self._open: _Open | None = None

    @property
    def epoch(self) -> str:
        return self._epoch

    def map_row(self, row: type) -> MappedRow:
        from diptych.adapters.postgres.mapping import row_dialect
        from diptych.adapters.sql.mapped import MappedRow

        if row not in self._mapped:
            self._mapped[row] = MappedRow(row, row_dialect())
        return self._mapped[row]

    async def open(self, context: str, stamps: Sequence[Stamp]) -> None:
        async def prepare(connection: Connection) -> str:
            epoch = await prepare_log(connection, self.address, self.sql, context, stamps)
            if self._mapped:
                from diptych.adapters.postgres.mapping import prepare_rows

                await prepare_rows(connection, self.address, self._rows, self._mapped.values())
            return epoch

        await self._begin(prepare)

    async def _begin(self, prepare: Callable[[Connection], Awaitable[str]]) -> None:
        self._rows = RowTables(self.address.schema)
        connection, self.address = await meet(self.address)
        try:
            self._epoch = await prepare(connection)
        except ERRORS as error:
            raise fault(error, self.address.where) from error
        finally:
            with suppress(*ERRORS):
                await connection.close(timeout=2)
        listens = self._wake or (self.address if self.address.statement_cache else None)
        opened = _Open(self, self._rows, self._waiting, self._retention, listens)
        await opened.open()
        self._open = opened

    async def close(self) -> None:
        if self._open is not None:
            opened, self._open = self._open, None
            await opened.close()

    def commit(self, commit: Commit) -> Awaitable[Committed]:
        return self._opened.committer.commit(commit)

    async def outcome(self, tenant: str, id: str) -> Settled | None:
        async def read(connection: Connection) -> Settled | None:
            rows = await connection.fetch(self.sql.select_outcomes, [tenant], [id])
            return settled_of(rows[0]) if rows else None

        return await self._opened.pool.read(read)

    async def read_all(
        self, *, after: Position, limit: int, names: Sequence[str] | None = None
    ) -> Batch:
        return await self._opened.pool.read(
            lambda connection: reading.read_all(connection, self.sql, after, limit, names)
        )

    async def read_stream(
        self, tenant: str, stream: str, *, after: int, limit: int, beyond: Position = 0
    ) -> Sequence[StoredEvent]:
        return await self._opened.pool.read(
            lambda connection: reading.read_stream(
                connection, self.sql, tenant, stream, after, limit, beyond
            )
        )

    def read_page(self, tenant: str, stream: str, *, after: int, limit: int) -> Awaitable[Page]:
        return self._opened.pages.ask((tenant, stream, after, limit))

    def read_row(
        self, tenant: str, stream: str, table: StateTable, key: Any
    ) -> Awaitable[tuple[int, Values | None]]:
        return self._opened.rows.ask((tenant, stream, table, key))

    def read_tagged(self, tenant: str, query: Tagged, *, after: Position) -> Awaitable[Batch]:
        return self._opened.tagged.ask((tenant, query, after))

    async def head(self) -> Position:
        return await self._opened.head()

    async def wait_for_news(self, after: Position) -> None:
        await self._opened.news.wait(after)

    @property
    def news(self) -> StoreNews:
        """What moves here, by this process and by others."""
        return self._opened.news

    def news_of(self, checkpoint: str, ask: Callable[[], Awaitable[Position]]) -> News:
        """Wakes those who wait for a checkpoint to move, whoever moves it."""
        return self._opened.news.of(checkpoint, ask)

    async def verify(self, connection: Connection) -> None:
        """Whether a new connection leads to what was opened."""
        await verify(connection, self.address, self.sql, self._epoch)

    def lends(self, session: type) -> bool:
        return is_async_session(session)

    def unit(
        self, session: type, *, tenant: str, stream: str, id: str | None
    ) -> AbstractAsyncContextManager[Unit]:
        return self._opened.lender.unit(session, tenant=tenant, stream=stream, id=id)

    def joined(
        self, session: Any, ready: Callable[[], Awaitable[None]]
    ) -> AbstractAsyncContextManager[None]:
        return self._opened.joiner.joined(session, ready)

    def begin_join_now(self, session: Any, ready: Callable[[], Awaitable[None]]) -> None:
        self._opened.joiner.begin_now(session, ready)

    def end_join(self, session: Any, commit: Commit) -> Committed:
        return self._opened.joiner.end(session, commit)

    async def create_tables(self, metadata: Sequence[MetaData]) -> None:
        from diptych.adapters.postgres.mapping import create_missing

        tables = [table for one in metadata for table in one.sorted_tables]
        async with self._opened.pool.lend() as connection:
            await create_missing(connection, self.address, tables)

    async def pauses(self) -> Mapping[str, Pause]:
        return await self._opened.pool.read(lambda connection: pauses(connection, self.sql.schema))

    async def attend(self, views: Sequence[ViewProgress]) -> None:
        attendance = self._opened.attendance
        await self._opened.pool.read(lambda connection: attendance.attend(connection, views))

    async def leave(self) -> None:
        await self._opened.pool.read(self._opened.attendance.leave)

    async def transact(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Runs `work` in a transaction that has the store's lock (the tables of views)."""
        return await self._opened.transact(work)

    async def look(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """What a piece of work that only reads returns; it may be done twice."""
        return await self._opened.pool.read(work)

    def keep(
        self, views: Sequence[InlineView], told: Callable[[Mapping[str, Position]], None]
    ) -> None:
        """From now on, these views are kept in the commit of the events themselves.

        Args:
            told: Called after each group, with where views are for certain.
        """
        opened = self._opened
        opened.writer.inline = tuple(views)
        opened.told = told

    @property
    def _opened(self) -> _Open:
        if self._open is None:
            raise NotOpen(self.address.where)
        return self._open


class _Open:
    """What an open store holds."""

    def __init__(
        self,
        store: PostgresStore,
        rows: RowTables,
        waiting: int,
        retention: timedelta,
        listens: Address | None,
    ) -> None:
        self._store = store
        self._address = store.address
        self._sql = store.sql
        self._waiting = waiting
        self._loop = asyncio.get_running_loop()
        self._rows = rows
        self._turn = Turn(self._loop)
        self.writer = Writer(
            store.address,
            store.sql,
            rows,
            self._turn,
            epoch=store.epoch,
            retention=retention,
        )
        self.told: Callable[[Mapping[str, Position]], None] | None = None
        self.attendance = Attendance(store.sql.schema)
        self.pool = Pool(
            store.address, lambda new: verify(new, store.address, store.sql, store.epoch)
        )
        self.pages: Gather[PageRequest, Page] = Gather(Awaited(self._read_pages))
        self.rows: Gather[RowRequest, tuple[int, Values | None]] = Gather(Awaited(self._read_rows))
        self.tagged: Gather[TaggedRequest, Batch] = Gather(Awaited(self._read_tagged))
        self.committer = GroupCommitter(self._write, waiting=waiting)
        self.news = StoreNews(self.pool, self.head, epoch=store.epoch, listens=listens)
        self._writing: asyncio.Task[None] | None = None
        self._lender: Lender | None = None
        self._joiner: Joiner | None = None

    @property
    def lender(self) -> Lender:
        """Who lends sessions; SQLAlchemy is loaded here and not before."""
        if self._lender is None:
            from diptych.adapters.postgres.unit import Lender

            self._lender = Lender(
                self._address,
                self._sql,
                self._rows,
                self._turn,
                epoch=self._store.epoch,
                waiting=self._waiting,
                inline=lambda: self.writer.inline,
                told=self._took,
            )
        return self._lender

    @property
    def joiner(self) -> Joiner:
        """Who joins users' sessions; in whatever thread they run."""
        if self._joiner is None:
            from diptych.adapters.postgres.join import Joiner

            self._joiner = Joiner(
                self._address,
                self._sql,
                self._store.epoch,
                self._loop,
                rows=self._rows,
                turn=self._turn,
                inline=lambda: self.writer.inline,
                told=self._nudge,
            )
        return self._joiner

    def _took(self, judge: Judge) -> None:
        self.writer.took(judge)
        self.tell()

    def _nudge(self) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self.news.nudge)

    async def open(self) -> None:
        await self.pool.open()
        try:
            await self.writer.connection()
        except BaseException:
            await self.pool.close()
            raise
        self.news.start()

    def _write(self, group: list[Pending]) -> None:
        self._writing = self._loop.create_task(self._carry_out(group))

    async def _carry_out(self, group: list[Pending]) -> None:
        try:
            answers: Answers = await self.writer.write([commit for commit, _ in group])
        except BaseException as error:
            answers = [error] * len(group)
        self.committer.done(group, answers)
        self.tell()

    def tell(self) -> None:
        """Says how far the log is."""
        self.news.tell(self.writer.head)
        if self.writer.inline and self.told is not None:
            self.told(self.writer.positions)

    async def _read_pages(self, requests: Sequence[PageRequest]) -> Sequence[Page]:
        """Pages; what they say of the streams' versions is remembered for the next commits."""
        remembered = self.writer.remembered
        pages = await self.pool.read(partial(reading.read_pages, sql=self._sql, requests=requests))
        if remembered is not None:
            for (tenant, stream, after, limit), page in zip(requests, pages, strict=True):
                if len(page.names) < limit:
                    remembered.learn(tenant, stream, after + len(page.names))
        return pages

    async def _read_rows(
        self, requests: Sequence[RowRequest]
    ) -> Sequence[tuple[int, Values | None]]:
        return await self.pool.read(lambda connection: self._rows.read(connection, requests))

    async def _read_tagged(self, requests: Sequence[TaggedRequest]) -> Sequence[Batch]:
        return await self.pool.read(
            lambda connection: reading.read_tagged(connection, self._sql, requests)
        )

    async def head(self) -> Position:
        async def read(connection: Connection) -> Position:
            ((position,),) = await connection.fetch(self._sql.select_head)
            head: Position = position
            return head

        return await self.pool.read(read)

    async def transact(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        async with self.pool.lend() as connection:
            try:
                async with under_lock(connection, self._address):
                    return await work(connection)
            except ERRORS as error:
                raise fault(error, self._address.where) from error

    async def close(self) -> None:
        if self._lender is not None:
            await self._lender.close()
        await self.committer.close()
        await self.news.close()
        await self.writer.close()
        await self.pool.close()
