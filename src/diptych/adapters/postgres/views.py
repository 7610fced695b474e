"""Views in tables of the store's own database: rows and checkpoint in one commit."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

from diptych.adapters.news import News
from diptych.adapters.postgres.beginning import Database, begin_projections, begin_views
from diptych.adapters.postgres.lane import Lanes
from diptych.adapters.postgres.session import LaneSession
from diptych.adapters.postgres.store import PostgresStore
from diptych.adapters.postgres.tables import ViewTable
from diptych.adapters.sql.catalogue import Catalogue
from diptych.adapters.sql.views import SqlViews
from diptych.errors import NotOpen
from diptych.log.inline import Key, RowFold
from diptych.message import Position
from diptych.read.port import Begun, Followed, Loaded, Origin, Shape, SqlSession, TableSet


class PostgresViews(SqlViews[ViewTable]):
    """Views in a database. Answers read beside its writer, each on a connection of its own.

    Args:
        has_log: Whether the log that they follow is in the same database.
    """

    def __init__(self, store: Database, *, has_log: bool) -> None:
        schema = store.address.schema
        super().__init__(store, Catalogue(partial(ViewTable, schema=schema), schema=schema))
        self._database = store
        self._has_log = has_log
        self._lanes: Lanes | None = None

    def _news_of(self, checkpoint: str, ask: Callable[[], Awaitable[Position]]) -> News:
        return self._database.news_of(checkpoint, ask)

    async def open(
        self,
        shapes: Sequence[Shape],
        *,
        origin: Origin,
        inline: Mapping[str, RowFold] | None = None,
    ) -> Mapping[str, Begun]:
        self._follow(shapes)
        begun = await begin_views(self._database, self.tables.add(shapes), origin.head)
        older = [one.older for one in begun.values() if one.older is not None]
        self._follow(older)
        self.tables.add(older)
        self._begin_lanes()
        return begun

    def _begin_lanes(self) -> None:
        store = self._database
        self._lanes = Lanes(store.address, store.sql, store.verify, has_log=self._has_log)

    async def take(self, projections: Sequence[TableSet], *, origin: Origin) -> Mapping[str, Begun]:
        self._follow(projections)
        self.tables.take(projections)
        return await begin_projections(self._database, projections, origin.head)

    async def close(self) -> None:
        lanes, self._lanes = self._lanes, None
        self._close_news()
        if lanes is not None:
            await lanes.close()

    async def load(self, shape: Shape, keys: Sequence[Key]) -> Loaded:
        table = self.tables.of(shape)
        return await self._database.look(lambda connection: table.load(connection, keys))

    async def checkpoint(self, kept: Followed) -> Position:
        name, select = kept.checkpoint, self._database.sql.select_checkpoints
        rows = await self._database.look(lambda connection: connection.fetch(select, [name]))
        position: Position = rows[0][1] if rows else 0
        self._news[name].tell(position)
        return position

    def session(self) -> AbstractAsyncContextManager[SqlSession]:
        return self._session()

    @asynccontextmanager
    async def _session(self) -> AsyncGenerator[SqlSession, None]:
        lanes = self._lanes
        if lanes is None:
            raise NotOpen(self._database.address.where)
        session = LaneSession(await lanes.lend(), self.tables)
        try:
            yield session
        finally:
            lanes.take_back(session.end())


class ViewsBesideLog(PostgresViews):
    """Views in the database of the log itself."""

    def __init__(self, store: PostgresStore) -> None:
        super().__init__(store, has_log=True)
        self._log_store = store

    async def open(
        self,
        shapes: Sequence[Shape],
        *,
        origin: Origin,
        inline: Mapping[str, RowFold] | None = None,
    ) -> Mapping[str, Begun]:
        begun = await super().open(shapes, origin=origin)
        kept = self._inline_of(shapes, inline)
        self._log_store.keep(kept, partial(self._moved, [view.checkpoint for view in kept]))
        return begun
