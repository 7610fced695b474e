"""Where the query models of an app rest: by class of row, and by the table that a statement names."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct

from diptych.errors import WiringError
from diptych.log.port import Store
from diptych.message import Position
from diptych.read.filling import Filling
from diptych.read.port import (
    Begun,
    Followed,
    ReadReplica,
    Shape,
    SqlViewStore,
    TableSet,
    ViewStore,
)
from diptych.subscription.runner import news

if TYPE_CHECKING:
    from diptych.read.statements import Named

Source: TypeAlias = tuple[Shape, ViewStore]


class Need(Struct, frozen=True):
    """What an answer lacks.

    Attributes:
        name: Of the view that is not far enough, or of the log.
        wait: Returns when it is there.
        at: Where it is now.
        target: Where it will have been filled for the first time, if that is what it lacks.
    """

    name: str
    wait: Callable[[], Awaitable[None]]
    at: Callable[[], Awaitable[Position]]
    target: Position = 0


class Sources:
    """The views of an app, each with the store that keeps it.

    Args:
        log: That the views are folded from.
        own: The view store beside the log; it also answers what names no view.
        views: By class of row.
        projections: Each with the store that keeps its tables.
        tables: Names of the write model's own tables, which stand beside the log.
        position: How far a view has got, as far as this process knows.
        replica: Stands for `own`, where answers are read from a copy of it.
    """

    def __init__(
        self,
        log: Store,
        own: ViewStore | None,
        views: Mapping[type, Source],
        *,
        projections: Sequence[tuple[TableSet, SqlViewStore]],
        tables: Collection[str],
        position: Callable[[str], Position],
        replica: ReadReplica | None = None,
    ) -> None:
        self.log = log
        self.own = own if replica is None else replica
        self.replica = replica
        self.filling = Filling(position)
        self._views = views
        self._tables = frozenset(tables)
        self._projections = projections
        kept: list[tuple[Followed, ViewStore]] = [*views.values(), *projections]
        self._kept = {one.checkpoint: (one, store) for one, store in kept}
        self._newer: dict[str, str] = {}
        """Checkpoints of older versions that are shown for a while, and of their newer ones."""
        stores = [self.own, *(store for _, store in self._kept.values())]
        self._sql = [s for s in dict.fromkeys(stores) if isinstance(s, SqlViewStore)]

    def begin(self, store: ViewStore, begun: Mapping[str, Begun]) -> None:
        """Takes down how the views of a store stand."""
        self.filling.begin(begun)
        for checkpoint, one in begun.items():
            if one.older is not None:
                self._newer[one.older.checkpoint] = checkpoint
                self._kept[one.older.checkpoint] = one.older, store

    def of(self, row: type) -> Source:
        """The view with such rows, in the version that is shown, and its store.

        Raises:
            WiringError: There is none.
        """
        found = self._views.get(row)
        if found is None:
            known = ", ".join(sorted(known.__name__ for known in self._views)) or "none"
            raise WiringError(
                f"no view of {row.__name__} here (known: {known}). Wire it with read=[…]."
            )
        shape, store = found
        return self.filling.shown(shape), store

    def key_beside(self, row: type) -> str | None:
        """The key's column where a class is a view's row, but has no such field."""
        found = self._views.get(row)
        return found[0].key[0] if found is not None and found[0].is_beside else None

    def within(self, store: ViewStore) -> frozenset[str]:
        """The checkpoints of all views and projections in a store."""
        views = [self.filling.shown(shape) for shape, at in self._views.values() if at is store]
        kept: list[Followed] = [
            *views,
            *(tables for tables, at in self._projections if at is store),
        ]
        return frozenset(one.checkpoint for one in kept)

    def of_statement(self, named: Named) -> tuple[SqlViewStore, frozenset[str]]:
        """Where a statement is to run, and the checkpoints of the views that it depends on.

        Raises:
            WiringError: It names a table that is not known, or tables of two stores.
        """
        by_store: dict[SqlViewStore, dict[str, str | None]] = {}
        for table in named.tables:
            store, checkpoint = self._of_table(table)
            by_store.setdefault(store, {})[table] = checkpoint
        if len(by_store) > 1:
            listed = " and ".join(sorted(", ".join(sorted(names)) for names in by_store.values()))
            raise WiringError(
                f"a statement reads from two stores ({listed}). Read each with a statement of its "
                "own, or keep what is joined in one store."
            )
        for store, names in by_store.items():
            if named.has_text:
                return store, self.within(store)
            return store, frozenset(_without_none(names.values()))
        own = self.own_sql()
        return own, self.within(own) if named.has_text else frozenset()

    def own_sql(self) -> SqlViewStore:
        """The view store beside the log.

        Raises:
            WiringError: It knows no SQL.
        """
        own = self.own
        if isinstance(own, SqlViewStore):
            return own
        raise WiringError("the app's own store knows no SQL. Use App(store='sqlite:///file.db').")

    def is_older(self, checkpoint: str) -> bool:
        """Whether this is an older version of a view, shown in the place of the newer one."""
        return checkpoint in self._newer

    def need(self, checkpoint: str, position: Position, *, is_filling: bool = False) -> Need:
        """What must happen before a view is at a position, and filled.

        An older version may get there because processes of the old code still fill it; or the newer
        one is filled and takes its place.
        """
        kept, store = self._kept[checkpoint]
        at = partial(store.checkpoint, kept)
        newer = self._newer.get(checkpoint)
        if newer is not None:
            either = partial(store.wait, kept, position), partial(self._filled, newer, position)
            return Need(checkpoint, partial(_first, *either), at)
        target = self.filling.target(checkpoint) if is_filling else 0
        return Need(checkpoint, partial(self._filled, checkpoint, position), at, target)

    async def _filled(self, checkpoint: str, position: Position) -> None:
        kept, store = self._kept[checkpoint]
        target = max(position, self.filling.target(checkpoint))
        await store.wait(kept, target)
        self.filling.tell(checkpoint, target)

    def need_of_log(self, position: Position) -> Need:
        """What must happen before the log itself is at a position."""
        log = self.log if self.replica is None else self.replica
        return Need("the log", partial(_at_head, log, position), log.head)

    def _of_table(self, table: str) -> tuple[SqlViewStore, str | None]:
        for store in self._sql:
            checkpoint = store.filled_by(table)
            if checkpoint is not None:
                return store, checkpoint
        if table in self._tables:
            return self.own_sql(), None
        raise WiringError(
            f"table {table!r} belongs to no view here, and to no metadata of read=[Tables(…)]. "
            "Wire it: read=[Tables(Base.metadata)], or take a view's table from views.table(…)."
        )


def _without_none(values: Iterable[str | None]) -> Iterable[str]:
    return (value for value in values if value is not None)


async def _at_head(log: Store | ReadReplica, position: Position) -> None:
    while await log.head() < position:
        await news(log, position - 1)


async def _first(*waits: Callable[[], Awaitable[None]]) -> None:
    """Returns when one of them does."""
    tasks = [asyncio.ensure_future(wait()) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
