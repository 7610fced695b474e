"""Views of a memory store: tables in one in-memory SQLite connection, used in turns."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from diptych.adapters.inline import Kept
from diptych.adapters.memory.store import MemoryStore
from diptych.adapters.sqlite import schema
from diptych.adapters.sqlite.connection import connect
from diptych.adapters.sqlite.group import InlineView, KeptTable
from diptych.adapters.sqlite.lane import Head, Lane
from diptych.adapters.sqlite.tables import write_rows
from diptych.adapters.sqlite.views import TableViews
from diptych.errors import NotOpen
from diptych.log.commit import Advance, Rows
from diptych.log.inline import RowFold
from diptych.log.port import Batch
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

if TYPE_CHECKING:
    from diptych.adapters.sqlite.statements import Statements

T = TypeVar("T")

CHECKPOINTS = "CREATE TABLE diptych_checkpoints (name TEXT PRIMARY KEY, position INTEGER NOT NULL)"


class MemoryViews(TableViews):
    """One connection for everything: an answer has its turn, then the next commit."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__(store)
        self._log = store
        self._lane: Lane | None = None
        self._connection: sqlite3.Connection | None = None
        self._inline: Sequence[InlineView] = ()
        self._is_open = False
        self._statements: Statements | None = None

    async def open(
        self,
        shapes: Sequence[Shape],
        *,
        origin: Origin,
        inline: Mapping[str, RowFold] | None = None,
    ) -> Mapping[str, Begun]:
        self._is_open = True
        tables = self._add(shapes)
        if tables:
            connection = self._opened
            for statement in tables:
                connection.execute(statement)
        self._inline = self._inline_of(shapes, inline)
        self._log.tables = self
        return {shape.checkpoint: Begun(0, origin.head) for shape in shapes}

    async def take(self, projections: Sequence[TableSet], *, origin: Origin) -> Mapping[str, Begun]:
        for statement in self._take(projections):
            self._opened.execute(statement)
        return {one.checkpoint: Begun(0, origin.head) for one in projections}

    @property
    def _opened(self) -> sqlite3.Connection:
        """SQLite is opened when somebody needs it, and not before."""
        if not self._is_open:
            raise NotOpen("memory")
        if self._connection is None:
            self._connection = connect(None, read_only=False)
            self._connection.execute("PRAGMA foreign_keys = ON")
            self._connection.execute(CHECKPOINTS)
            head: Head = lambda _: self._log.head_now()  # noqa: E731
            self._lane = Lane(self._connection, None, self.tables, head)
            self._lane.guard.down()
        return self._connection

    async def close(self) -> None:
        self._close_news()
        async with self._log.turn:
            if self._statements is not None:
                self._statements.close()
                self._statements = None
            if self._lane is not None:
                self._lane.close()
            self._lane = self._connection = self._log.tables = None
            self._is_open = False

    def write(
        self, rows: Sequence[Rows], statements: Sequence[Any], advances: Sequence[Advance]
    ) -> None:
        connection = self._opened
        connection.execute("BEGIN")
        try:
            for one in rows:
                write_rows(connection, one)
            if statements:
                if self._statements is None:
                    from diptych.adapters.sqlite.statements import Statements

                    self._statements = Statements(connection)
                self._statements.execute(statements)
            for advance in advances:
                connection.execute(schema.UPSERT_CHECKPOINT, (advance.checkpoint, advance.position))
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise

    def kept(self) -> Sequence[Kept]:
        return [KeptInMemory(view, self._opened, self._log) for view in self._inline]

    def moved(self, head: Position) -> None:
        names = [view.checkpoint for view in self._inline]
        self._moved(names, dict.fromkeys(names, head))

    def checkpoint_now(self, name: str) -> Position:
        row = self._opened.execute(schema.SELECT_CHECKPOINT, (name,)).fetchone()
        return 0 if row is None else row[0]

    async def load(self, shape: Shape, keys: Sequence[tuple[Any, ...]]) -> Loaded:
        async with self._log.turn:
            rows = self.tables.of(shape).read(self._opened, keys)
            return Loaded(self.checkpoint_now(shape.checkpoint), rows)

    async def checkpoint(self, kept: Followed) -> Position:
        async with self._log.turn:
            return self.checkpoint_now(kept.checkpoint)

    def session(self) -> AbstractAsyncContextManager[SqlSession]:
        return self._session()

    @asynccontextmanager
    async def _session(self) -> AsyncGenerator[SqlSession, None]:
        connection, lane = self._opened, self._lane
        assert lane is not None
        assert lane.connection is connection
        async with self._log.turn:
            lane.guard.up()
            try:
                yield TurnSession(lane)
            finally:
                lane.end()
                lane.guard.down()


class KeptInMemory(KeptTable):
    """An inline view in a table; the log is beside the database."""

    def __init__(
        self, view: InlineView, connection: sqlite3.Connection, store: MemoryStore
    ) -> None:
        super().__init__(view, connection, None, store.head_now())
        self._store = store

    def missed(self, after: Position, limit: int) -> Batch:
        batch = self._store.batch_now(after, limit)
        return Batch([e for e in batch.events if e.name in self.fold.names], batch.through)


class TurnSession:
    """A session that reads at once, in the loop's own thread."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane

    @property
    def snapshot(self) -> Snapshot | None:
        return self._lane.snapshot

    async def begin(self) -> Snapshot:
        return self._lane.begin()

    async def get(self, shape: Shape, key: tuple[Any, ...]) -> Any | None:
        return self._lane.get(shape, key)

    async def select(self, statement: Any) -> Found:
        return self._lane.select(statement)

    async def all(self, shape: Shape) -> Sequence[Any]:
        return self._lane.all(shape)

    async def run(self, function: Callable[[Any], T]) -> T:
        return self._lane.run(function)
