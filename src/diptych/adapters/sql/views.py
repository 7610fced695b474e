"""What views in an SQL database share: writing, waiting, tables."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from diptych.adapters.inline import InlineView
from diptych.adapters.news import News
from diptych.adapters.sql.catalogue import Catalogue, Kept
from diptych.log.commit import Advance, Appended, Commit, Committed, Rows
from diptych.log.inline import Key, RowFold
from diptych.message import Position
from diptych.read.port import Followed, Shape, TableSet


class Writes(Protocol):
    """What can keep the tables of views."""

    def commit(self, commit: Commit) -> Awaitable[Committed]: ...


class KeptRows(Kept, Protocol):
    """A table that says what a commit should write."""

    def rows(self, upserts: Sequence[Any], deletes: Sequence[Key]) -> Rows: ...


K = TypeVar("K", bound=KeptRows)


class SqlViews(Generic[K]):
    """Views whose rows and checkpoints are written by the commits of a store."""

    def __init__(self, store: Writes, tables: Catalogue[K]) -> None:
        self._store = store
        self.tables = tables
        self._news: dict[str, News] = {}

    def _follow(self, kept: Sequence[Followed]) -> None:
        """From now on, somebody may wait for them."""
        for one in kept:
            ask = partial(self.checkpoint, one)
            self._news[one.checkpoint] = self._news_of(one.checkpoint, ask)

    def _inline_of(
        self, shapes: Sequence[Shape], inline: Mapping[str, RowFold] | None
    ) -> list[InlineView[K]]:
        """The views that are to be kept in the commits."""
        folds = inline or {}
        kept = [shape for shape in shapes if shape.checkpoint in folds]
        return [InlineView(folds[shape.checkpoint], self.tables.of(shape)) for shape in kept]

    def _news_of(self, checkpoint: str, ask: Callable[[], Awaitable[Position]]) -> News:
        """Wakes those who wait for a checkpoint."""
        return News(ask)

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
        advance = Advance(shape.checkpoint, expected, position)
        return await self._move(Commit(rows=rows, advance=(advance,)), advance)

    async def execute(
        self,
        projection: TableSet,
        statements: Sequence[Any],
        *,
        expected: Position,
        position: Position,
    ) -> bool:
        advance = Advance(projection.checkpoint, expected, position)
        return await self._move(Commit(statements=tuple(statements), advance=(advance,)), advance)

    async def _move(self, commit: Commit, advance: Advance) -> bool:
        if isinstance(await self._store.commit(commit), Appended):
            self._news[advance.checkpoint].move(advance.position)
            return True
        return False

    async def wait(self, kept: Followed, position: Position) -> None:
        await self._news[kept.checkpoint].wait(position - 1)

    def _moved(self, checkpoints: Sequence[str], positions: Mapping[str, Position]) -> None:
        """Inline views are there, with the commits that are there."""
        for checkpoint in checkpoints:
            self._news[checkpoint].move(positions.get(checkpoint, 0))

    def table(self, shape: Shape) -> Any:
        return self.tables.sql(shape)

    def filled_by(self, table: str) -> str | None:
        return self.tables.filled_by(table)

    async def checkpoint(self, kept: Followed) -> Position:
        raise NotImplementedError

    def _close_news(self) -> None:
        for news in self._news.values():
            news.close()
