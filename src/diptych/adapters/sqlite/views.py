"""Views in tables of the store's own SQLite database: rows and checkpoint in one commit."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from typing import Any, Protocol, TypeAlias, TypeVar

from diptych.adapters.news import News
from diptych.adapters.sqlite import schema
from diptych.adapters.sqlite.connection import connect
from diptych.adapters.sqlite.group import InlineView
from diptych.adapters.sqlite.lane import Lane, head_in_file
from diptych.adapters.sqlite.store import SqliteStore
from diptych.adapters.sqlite.tables import ViewTable
from diptych.adapters.worker import Worker
from diptych.errors import NotOpen
from diptych.log.commit import Advance, Appended, Commit, Committed
from diptych.log.inline import RowFold
from diptych.message import Position
from diptych.read.port import Found, Loaded, Shape, Snapshot, SqlSession

T = TypeVar("T")

LaneOfWorker: TypeAlias = tuple[Worker, Lane]

LANES = 4
"""Answers that can read at once."""


class Catalogue:
    """The tables of an app's views."""

    def __init__(self) -> None:
        self._by_checkpoint: dict[str, ViewTable] = {}
        self._by_name: dict[str, ViewTable] = {}
        self._sql: dict[str, Any] = {}
        self._metadata: Any = None

    def add(self, shapes: Sequence[Shape]) -> list[str]:
        """Takes views in; returns their DDL."""
        for shape in shapes:
            table = ViewTable(shape)
            self._by_checkpoint[shape.checkpoint] = table
            self._by_name[table.name] = table
        return [table.create() for table in self._by_checkpoint.values()]

    def of(self, shape: Shape) -> ViewTable:
        return self._by_checkpoint[shape.checkpoint]

    def filled_by(self, name: str) -> str | None:
        """The checkpoint of the view whose table this is."""
        table = self._by_name.get(name)
        return None if table is None else table.shape.checkpoint

    def sql(self, shape: Shape) -> Any:
        """SQLAlchemy's table of a view."""
        found = self._sql.get(shape.checkpoint)
        if found is None:
            from sqlalchemy import MetaData

            from diptych.adapters.sql.tables import table

            if self._metadata is None:
                self._metadata = MetaData()
            known = self.of(shape)
            found = self._sql[shape.checkpoint] = table(known.codec, known.name, self._metadata)
        return found


class Writes(Protocol):
    """A store that can keep the tables of views beside its log."""

    def commit(self, commit: Commit) -> Awaitable[Committed]: ...


class SqlViews:
    """What views on SQLite share, in a file and in memory: writing, waiting, tables."""

    def __init__(self, store: Writes) -> None:
        self._store = store
        self.tables = Catalogue()
        self._news: dict[str, News] = {}

    def _add(self, shapes: Sequence[Shape]) -> list[str]:
        for shape in shapes:
            self._news[shape.checkpoint] = News(partial(self.checkpoint, shape))
        return self.tables.add(shapes)

    async def save(
        self,
        shape: Shape,
        upserts: Sequence[Any],
        deletes: Sequence[tuple[Any, ...]],
        *,
        expected: Position,
        position: Position,
    ) -> bool:
        rows = (self.tables.of(shape).rows(upserts, deletes),) if upserts or deletes else ()
        commit = Commit(rows=rows, advance=(Advance(shape.checkpoint, expected, position),))
        if isinstance(await self._store.commit(commit), Appended):
            self._news[shape.checkpoint].tell(position)
            return True
        return False

    async def wait(self, shape: Shape, position: Position) -> None:
        await self._news[shape.checkpoint].wait(position - 1)

    def _inline_of(
        self, shapes: Sequence[Shape], inline: Mapping[str, RowFold] | None
    ) -> list[InlineView]:
        inline = inline or {}
        names = [shape for shape in shapes if shape.checkpoint in inline]
        return [InlineView(inline[shape.checkpoint], self.tables.of(shape)) for shape in names]

    def _moved(self, checkpoints: Sequence[str], positions: Mapping[str, Position]) -> None:
        """Inline views are there, with the commits that are there."""
        for checkpoint in checkpoints:
            self._news[checkpoint].tell(positions.get(checkpoint, 0))

    def table(self, shape: Shape) -> Any:
        return self.tables.sql(shape)

    def filled_by(self, table: str) -> str | None:
        return self.tables.filled_by(table)

    async def checkpoint(self, shape: Shape) -> Position:
        raise NotImplementedError

    def _close_news(self) -> None:
        for news in self._news.values():
            news.close()


class SqliteViews(SqlViews):
    """Views in the file of the log. Reads go beside the writer, each lane in a thread of its own."""

    def __init__(self, store: SqliteStore) -> None:
        super().__init__(store)
        self._file = store
        self._reading: Worker | None = None
        self._connection: sqlite3.Connection | None = None
        self._lanes: list[LaneOfWorker] = []
        self._free: asyncio.Queue[LaneOfWorker] = asyncio.Queue()

    async def open(
        self, shapes: Sequence[Shape], *, inline: Mapping[str, RowFold] | None = None
    ) -> None:
        await self._file.create(self._add(shapes))
        kept = self._inline_of(shapes, inline)
        self._file.keep(kept, partial(self._moved, [view.checkpoint for view in kept]))
        self._free = asyncio.Queue()
        self._reading = Worker("diptych-views", str(self._file.path))
        self._connection = await self._reading.run(lambda: connect(self._file.path, read_only=True))

    async def close(self) -> None:
        reading, self._reading = self._reading, None
        connection, self._connection = self._connection, None
        self._close_news()
        lanes, self._lanes = self._lanes, []
        for worker, lane in lanes:
            await worker.close(lane.close)
        if reading is not None and connection is not None:
            await reading.close(connection.close)

    async def load(self, shape: Shape, keys: Sequence[tuple[Any, ...]]) -> Loaded:
        table = self.tables.of(shape)

        def read(connection: sqlite3.Connection) -> Loaded:
            connection.execute("BEGIN")
            try:
                position = _checkpoint(connection, shape)
                return Loaded(position, table.read(connection, keys))
            finally:
                connection.execute("ROLLBACK")

        return await self._read(read)

    async def checkpoint(self, shape: Shape) -> Position:
        position = await self._read(lambda connection: _checkpoint(connection, shape))
        self._news[shape.checkpoint].tell(position)
        return position

    def session(self) -> AbstractAsyncContextManager[SqlSession]:
        return self._session()

    @asynccontextmanager
    async def _session(self) -> AsyncGenerator[SqlSession, None]:
        if self._reading is None:
            raise NotOpen(str(self._file.path))
        worker, lane = await self._lane()
        session = ThreadSession(worker, lane)
        try:
            yield session
        finally:
            if session.abandoned:
                with suppress(sqlite3.ProgrammingError):  # the lane is closed already
                    lane.connection.interrupt()
            worker.begin(lane.end, partial(self._ended, (worker, lane)))

    def _ended(self, lane: LaneOfWorker, _: None, error: BaseException | None) -> None:
        """A lane is free again; one that could not end its snapshot is given up."""
        if error is None:
            self._free.put_nowait(lane)
        elif lane in self._lanes:
            self._lanes.remove(lane)

    async def _lane(self) -> LaneOfWorker:
        if self._free.empty() and len(self._lanes) < LANES:
            worker = Worker(f"diptych-answers-{len(self._lanes) + 1}", str(self._file.path))
            path = self._file.path
            connection = connect(path, read_only=True)
            lane = Lane(connection, path, self.tables, head_in_file)
            self._lanes.append((worker, lane))
            return worker, lane
        return await self._free.get()

    def _read(self, work: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        reading, connection = self._reading, self._connection
        if reading is None or connection is None:
            raise NotOpen(str(self._file.path))
        return reading.run(lambda: work(connection))


class ThreadSession:
    """A session whose reads run in its lane's thread."""

    def __init__(self, worker: Worker, lane: Lane) -> None:
        self._worker = worker
        self._lane = lane
        self.abandoned = False
        """Whether nobody waits any more for the statement that runs."""

    @property
    def snapshot(self) -> Snapshot | None:
        return self._lane.snapshot

    async def begin(self) -> Snapshot:
        snapshot = self._lane.snapshot
        return await self._run(self._lane.begin) if snapshot is None else snapshot

    async def get(self, shape: Shape, key: tuple[Any, ...]) -> Any | None:
        return await self._run(lambda: self._lane.get(shape, key))

    async def select(self, statement: Any) -> Found:
        return await self._run(lambda: self._lane.select(statement))

    async def all(self, shape: Shape) -> Sequence[Any]:
        return await self._run(lambda: self._lane.all(shape))

    async def run(self, function: Callable[[Any], T]) -> T:
        return await self._run(lambda: self._lane.run(function))

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await self._worker.run(work)
        except asyncio.CancelledError:
            self.abandoned = True
            raise


def _checkpoint(connection: sqlite3.Connection, shape: Shape) -> Position:
    row = connection.execute(schema.SELECT_CHECKPOINT, (shape.checkpoint,)).fetchone()
    return 0 if row is None else row[0]
