"""The store on one SQLite file, shared by any number of processes of one machine."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from diptych.adapters.gathering import Done, Gather
from diptych.adapters.grouping import Answers, GroupCommitter, Pending
from diptych.adapters.news import News
from diptych.adapters.sql.lending import is_async_session
from diptych.adapters.sqlite import schema
from diptych.adapters.sqlite.connection import Synchronous, connect, fault
from diptych.adapters.sqlite.group import InlineView
from diptych.adapters.sqlite.ledger import settled_of
from diptych.adapters.sqlite.pausing import pauses
from diptych.adapters.sqlite.place import Place
from diptych.adapters.sqlite.preparing import prepare_log
from diptych.adapters.sqlite.presence import Attendance
from diptych.adapters.sqlite.reading import (
    LONGEST,
    read_events,
    read_pages,
    read_stream,
    read_tagged,
)
from diptych.adapters.sqlite.rows import read_rows
from diptych.adapters.sqlite.writer import Writer
from diptych.adapters.worker import Worker, seen, through
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

    from diptych.adapters.sql.mapped import MappedRow
    from diptych.adapters.sqlite.join import Joiner
    from diptych.adapters.sqlite.unit import Lender

T = TypeVar("T")
R = TypeVar("R")
Q = TypeVar("Q")
A = TypeVar("A")

WINDOW = 50_000
"""Positions that one read looks through at most when it wants some names only."""


class SqliteStore:
    """One writer's thread with group commit, one reader's thread beside it.

    Args:
        path: Of the file; its directory must exist. None keeps it in memory (see `Place`).
        waiting: Commits that may wait.
        retention: For how long outcomes are kept at least.
        own: Tables that the app has named: a file that has one is its own.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        waiting: int,
        retention: timedelta = timedelta(hours=24),
        own: Collection[str] = (),
    ) -> None:
        self._place = Place(path)
        self._limit = waiting
        self._retention = retention
        self._own = own
        self._epoch = ""
        self._mapped: dict[type, MappedRow] = {}
        self._open: _Open | None = None

    @property
    def epoch(self) -> str:
        return self._epoch

    @property
    def path(self) -> Path:
        """Of the file."""
        return self._place.path

    def map_row(self, row: type) -> MappedRow:
        from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

        from diptych.adapters.sql.mapped import MappedRow

        if row not in self._mapped:
            self._mapped[row] = MappedRow(row, SQLiteDialect_pysqlite(dbapi=sqlite3))
        return self._mapped[row]

    async def open(self, context: str, stamps: Sequence[Stamp]) -> None:
        self._place.enter()
        path = self.path
        synchronous: Synchronous = "OFF" if self._place.in_memory else "FULL"
        writing = Worker("diptych-writer", str(path))
        reading = Worker("diptych-reader", str(path))
        try:
            mapped = tuple(self._mapped.values())
            own = {*self._own, *(one.table.name for one in mapped)}
            writer = await writing.run(
                lambda: Writer(path, retention=self._retention, synchronous=synchronous, own=own)
            )
            try:
                self._epoch = await writing.run(
                    lambda: writer.transact(lambda c: prepare_log(c, path, context, stamps, mapped))
                )
                connection = await reading.run(lambda: _reader(path))
            except BaseException:
                await writing.run(writer.close)
                raise
        except BaseException:
            await writing.close()
            await reading.close()
            self._place.leave()
            raise
        self._open = _Open(self, writer, writing, connection, reading, self._limit)

    async def close(self) -> None:
        if self._open is not None:
            opened, self._open = self._open, None
            await opened.close()
            self._place.leave()

    def commit(self, commit: Commit) -> Awaitable[Committed]:
        return self._opened.committer.commit(commit)

    async def outcome(self, tenant: str, id: str) -> Settled | None:
        def read(connection: sqlite3.Connection) -> Settled | None:
            row = connection.execute(schema.SELECT_OUTCOME, (tenant, id)).fetchone()
            return None if row is None else settled_of(row)

        return await self._opened.read(read)

    async def read_all(
        self, *, after: Position, limit: int, names: Sequence[str] | None = None
    ) -> Batch:
        def read(connection: sqlite3.Connection) -> Batch:
            connection.execute("BEGIN")
            try:
                head: Position = connection.execute(schema.SELECT_HEAD).fetchone()[0]
                if names is None:
                    through = head
                    events, whole = read_events(connection, schema.SELECT_ALL, (after,), limit)
                else:
                    through = min(head, after + WINDOW)
                    sql = schema.select_named(len(names))
                    events, whole = read_events(connection, sql, (after, through, *names), limit)
            finally:
                connection.execute("ROLLBACK")
            return Batch(events, max(through, after) if whole else events[-1].position)

        return await self._opened.read(read)

    async def read_stream(
        self, tenant: str, stream: str, *, after: int, limit: int, beyond: Position = 0
    ) -> Sequence[StoredEvent]:
        return await self._opened.read(
            lambda connection: read_stream(connection, tenant, stream, after, limit, beyond)
        )

    def read_page(
        self, tenant: str, stream: str, *, after: int, limit: int
    ) -> asyncio.Future[Page]:
        return self._opened.pages.ask((tenant, stream, after, limit))

    def read_row(
        self, tenant: str, stream: str, table: StateTable, key: Any
    ) -> asyncio.Future[tuple[int, Values | None]]:
        return self._opened.rows.ask((tenant, stream, table, key))

    def read_tagged(self, tenant: str, query: Tagged, *, after: Position) -> asyncio.Future[Batch]:
        return self._opened.tagged.ask((tenant, query, after))

    async def head(self) -> Position:
        return await self._opened.head()

    async def wait_for_news(self, after: Position) -> None:
        await self._opened.news.wait(after)

    def lends(self, session: type) -> bool:
        return is_async_session(session)

    def unit(
        self, session: type, *, tenant: str, stream: str, id: str | None
    ) -> AbstractAsyncContextManager[Unit]:
        return self._opened.lender.unit(session, tenant=tenant, id=id)

    def joined(
        self, session: Any, ready: Callable[[], Awaitable[None]]
    ) -> AbstractAsyncContextManager[None]:
        return self._opened.joiner.joined(session, ready)

    def begin_join_now(self, session: Any, ready: Callable[[], Awaitable[None]]) -> None:
        self._opened.joiner.begin_now(session, ready)

    def end_join(self, session: Any, commit: Commit) -> Committed:
        return self._opened.joiner.end(session, commit)

    async def create_tables(self, metadata: Sequence[MetaData]) -> None:
        from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

        from diptych.adapters.sql.ddl import ddl

        dialect = SQLiteDialect_pysqlite()
        await self.create([statement for one in metadata for statement in ddl(one, dialect)])

    async def create(self, statements: Sequence[str]) -> None:
        """Runs DDL in one transaction."""

        def work(connection: sqlite3.Connection) -> None:
            for statement in statements:
                connection.execute(statement)

        await self.transact(work)

    async def transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Runs `work` in a transaction of its own (the tables of views)."""
        opened = self._opened
        return await opened.writing.run(lambda: opened.writer.transact(work))

    async def pauses(self) -> Mapping[str, Pause]:
        return await self._opened.read(pauses)

    async def attend(self, views: Sequence[ViewProgress]) -> None:
        attendance = self._opened.attendance
        await self._opened.write_alone(lambda connection: attendance.attend(connection, views))

    async def leave(self) -> None:
        await self._opened.write_alone(self._opened.attendance.leave)

    def keep(
        self, views: Sequence[InlineView], told: Callable[[Mapping[str, Position]], None]
    ) -> None:
        """From now on, these views are kept in the commit of the events themselves.

        Args:
            told: Called in the loop's thread after each group, with where views are for certain.
        """
        opened = self._opened
        opened.writer.inline = tuple(views)
        opened.told = told

    @property
    def _opened(self) -> _Open:
        if self._open is None:
            raise NotOpen(str(self.path))
        return self._open


def _reader(path: Path) -> sqlite3.Connection:
    connection = connect(path, read_only=True)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST)
    return connection


class _Open:
    """What an open store holds."""

    def __init__(
        self,
        store: SqliteStore,
        writer: Writer,
        writing: Worker,
        connection: sqlite3.Connection,
        reading: Worker,
        waiting: int,
    ) -> None:
        self._path = store.path
        self._loop = asyncio.get_running_loop()
        self._connection = connection
        self._reading = reading
        self.writer = writer
        self.told: Callable[[Mapping[str, Position]], None] | None = None
        self.writing = writing
        self.pages = Gather(self._free(read_pages))
        self.tagged = Gather(self._free(read_tagged))
        self.rows = Gather(self._free(read_rows))
        self.committer = GroupCommitter(self._write, waiting=waiting)
        self.news = News(self.head)
        self.attendance = Attendance()
        self._lender: Lender | None = None
        self._joiner: Joiner | None = None

    def _write(self, group: list[Pending]) -> None:
        commits = [commit for commit, _ in group]
        if len(group) == 1 and not commits[0].statements and self._is_at_rest():
            answer = self.writer.write_on_the_spot(commits[0])
            if answer is not None:
                self.committer.done(group, [answer])
                self._tell()
                return

        def done(answers: Answers, error: BaseException | None) -> None:
            if error is not None:
                answers = [error] * len(group)
            self.committer.done(group, answers)
            self._tell()

        self.writing.begin(lambda: self.writer.write(commits), done)

    async def write_alone(self, work: Callable[[sqlite3.Connection], None]) -> None:
        """Runs `work` in a transaction of its own, in its turn with the commits."""
        async with self.committer.own_turn():
            await self.writing.run(lambda: self.writer.transact(work))

    @property
    def lender(self) -> Lender:
        """Who lends sessions; SQLAlchemy is loaded here and not before."""
        if self._lender is None:
            from diptych.adapters.sqlite.unit import Lender

            self._lender = Lender(
                self._path,
                self.writer,
                self.writing,
                self.committer,
                self._tell,
                self._is_at_rest,
            )
        return self._lender

    @property
    def joiner(self) -> Joiner:
        """Who joins users' sessions; in whatever thread they run."""
        if self._joiner is None:
            from diptych.adapters.sqlite.join import Joiner

            inline = lambda: self.writer.inline  # noqa: E731
            self._joiner = Joiner(self._path, self._loop, self._turn, inline, self._nudge)
        return self._joiner

    @asynccontextmanager
    async def _turn(self) -> AsyncGenerator[None, None]:
        """For somebody who takes the write lock on a connection of his own.

        Raises:
            Overloaded: Too many wait.
            StoreUnavailable: Somebody had the lock for too long.
        """
        await self.committer.turn()
        try:
            standing = self.writing.call(self.writer.stand_in_gate)
            try:
                await asyncio.shield(standing)
                yield
            finally:
                self.writer.gate.given_up = not standing.done()
                await through(self.writing.call(self.writer.leave_gate))
                seen(standing)
        finally:
            self.committer.end_turn()

    def _nudge(self) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self.news.nudge)

    def _tell(self) -> None:
        self.news.tell(self.writer.head)
        if self.writer.inline and self.told is not None:
            self.told(self.writer.positions)

    def _is_at_rest(self) -> bool:
        """Whether the disk is prompt, and nothing else is to be done in this turn of the loop or the
        next, as far as is known.

        Loops that do not say (uvloop) never are: their trips to a thread are cheaper, too.
        """
        if not (self.writing.idle and self.writer.is_prompt):
            return False
        ready: Sequence[object] | None = getattr(self._loop, "_ready", None)
        return ready is not None and not ready

    async def head(self) -> Position:
        return await self.read(lambda c: c.execute(schema.SELECT_HEAD).fetchone()[0])

    def read(self, work: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        return self._reading.run(partial(self._on(lambda c, _: work(c), self._connection), None))

    def _free(
        self, work: Callable[[sqlite3.Connection, list[Q]], list[A]]
    ) -> Callable[[list[Q], Done[A]], None]:
        """Reads for decisions, by whoever is free: the writer while it has nothing to write.

        Its cache knows what it has just written; the reader's is empty after every commit.
        """

        def begin(requests: list[Q], done: Done[A]) -> None:
            if self.committer.idle:
                worker, many = self.writing, self._on(work, self.writer.connection)
            else:
                worker, many = self._reading, self._on(work, self._connection)
            worker.begin(lambda: many(requests), done)

        return begin

    def _on(
        self, work: Callable[[sqlite3.Connection, R], T], connection: sqlite3.Connection
    ) -> Callable[[R], T]:
        """Work on a connection, with SQLite's errors named."""

        def run(request: R) -> T:
            try:
                return work(connection, request)
            except sqlite3.Error as error:
                raise fault(error, self._path) from error

        return run

    async def close(self) -> None:
        await self.committer.close()
        self.news.close()
        await self._reading.close(self._connection.close)
        await self.writing.close(self.writer.close)
