"""Views in tables of the store's own SQLite database: rows and checkpoint in one commit."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypeVar

from diptych.adapters.sql.catalogue import Catalogue
from diptych.adapters.sql.views import SqlViews, Writes
from diptych.adapters.sqlite import schema
from diptych.adapters.sqlite.connection import connect
from diptych.adapters.sqlite.lane import Head, Lane, head_in_file
from diptych.adapters.sqlite.preparing import begin_projections, begin_views
from diptych.adapters.sqlite.store import SqliteStore
from diptych.adapters.sqlite.tables import ViewTable
from diptych.adapters.worker import Worker
from diptych.errors import NotOpen
from diptych.log.inline import RowFold
from diptych.message import Position
from diptych.read.port import (
    Begun,
    Followed,
    Found,
    Loaded,
    Origin,
    Shape,
    Snapshot,
    SqlSession,
    TableSet,
)

T = TypeVar("T")

LaneOfWorker: TypeAlias = tuple[Worker, Lane]

LANES = 4
"""Answers that can read at once."""


class File(Writes, Protocol):
    """A file that keeps them, with one writer."""

    @property
    def path(self) -> Path: ...
    async def transact(self, work: Callable[[sqlite3.Connection], T]) -> T: ...


class TableViews(SqlViews[ViewTable]):
    """What views on SQLite share, in a file and in memory."""

    def __init__(self, store: Writes) -> None:
        super().__init__(store, Catalogue(ViewTable))

    def _add(self, shapes: Sequence[Shape]) -> list[str]:
        self._follow(shapes)
        return [table.create() for table in self.tables.add(shapes)]

    def _take(self, projections: Sequence[TableSet]) -> list[str]:
        from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

        from diptych.adapters.sql.ddl import ddl

        self._follow(projections)
        self.tables.take(projections)
        dialect = SQLiteDialect_pysqlite()
        return [statement for one in projections for statement in ddl(one.metadata, dialect)]


class SqliteViews(TableViews):
    """Views in a file. Reads go beside its writer, each lane in a thread of its own.

    Args:
        head: How a lane finds the head of the log.
    """

    def __init__(self, file: File, head: Head) -> None:
        super().__init__(file)
        self._file = file
        self._head = head
        self._reading: Worker | None = None
        self._connection: sqlite3.Connection | None = None
        self._lanes: list[LaneOfWorker] = []
        self._free: asyncio.Queue[LaneOfWorker] = asyncio.Queue()

    async def open(
        self,
        shapes: Sequence[Shape],
        *,
        origin: Origin,
        inline: Mapping[str, RowFold] | None = None,
    ) -> Mapping[str, Begun]:
        tables = self._add(shapes)

        def begin(connection: sqlite3.Connection) -> Mapping[str, Begun]:
            for statement in tables:
                connection.execute(statement)
            return begin_views(connection, shapes, origin.head)

        begun = await self._file.transact(begin)
        self._add([one.older for one in begun.values() if one.older is not None])
        self._free = asyncio.Queue()
        self._reading = Worker("diptych-views", str(self._file.path))
        path = self._file.path
        self._connection = await self._reading.run(lambda: connect(path, read_only=True))
        return begun

    async def take(self, projections: Sequence[TableSet], *, origin: Origin) -> Mapping[str, Begun]:
        tables = self._take(projections)
        return await self._file.transact(
            lambda connection: begin_projections(connection, projections, tables, origin.head)
        )

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

    async def checkpoint(self, kept: Followed) -> Position:
        position = await self._read(lambda connection: _checkpoint(connection, kept))
        self._news[kept.checkpoint].tell(position)
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
            lane = Lane(connection, path, self.tables, self._head)
            self._lanes.append((worker, lane))
            return worker, lane
        return await self._free.get()

    def _read(self, work: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        reading, connection = self._reading, self._connection
        if reading is None or connection is None:
            raise NotOpen(str(self._file.path))
        return reading.run(lambda: work(connection))


class ViewsBesideLog(SqliteViews):
    """Views in the file of the log itself."""

    def __init__(self, store: SqliteStore) -> None:
        super().__init__(store, head_in_file)
        self._store_of_log = store

    async def open(
        self,
        shapes: Sequence[Shape],
        *,
        origin: Origin,
        inline: Mapping[str, RowFold] | None = None,
    ) -> Mapping[str, Begun]:
        begun = await super().open(shapes, origin=origin)
        kept = self._inline_of(shapes, inline)
        names = [view.checkpoint for view in kept]
        self._store_of_log.keep(kept, partial(self._moved, names))
        return begun


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


def _checkpoint(connection: sqlite3.Connection, kept: Followed) -> Position:
    row = connection.execute(schema.SELECT_CHECKPOINT, (kept.checkpoint,)).fetchone()
    return 0 if row is None else row[0]
