"""Where the query models of an app rest: by class of row, and by the table that a statement names."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from msgspec import Struct

from diptych.errors import WiringError
from diptych.log.port import Store
from diptych.message import Position
from diptych.read.port import Shape, SqlViewStore, ViewStore
from diptych.subscription.runner import news

if TYPE_CHECKING:
    from diptych.read.statements import Named


class Need(Struct, frozen=True):
    """What an answer lacks.

    Attributes:
        name: Of the view that is not far enough, or of the log.
        wait: Returns when it is there.
        at: Where it is now.
    """

    name: str
    wait: Callable[[], Awaitable[None]]
    at: Callable[[], Awaitable[Position]]


class Sources:
    """The views of an app, each with the store that keeps it.

    Args:
        log: That the views are folded from.
        own: The view store beside the log; it also answers what names no view.
        views: By class of row.
        tables: Names of the write model's own tables, which stand beside the log.
    """

    def __init__(
        self,
        log: Store,
        own: ViewStore | None,
        views: Mapping[type, tuple[Shape, ViewStore]],
        tables: Collection[str] = (),
    ) -> None:
        self.log = log
        self.own = own
        self._views = views
        self._tables = frozenset(tables)
        self.kept = {shape.checkpoint: (shape, store) for shape, store in views.values()}
        """By checkpoint."""
        stores = [own, *(store for _, store in views.values())]
        self._sql = [s for s in dict.fromkeys(stores) if isinstance(s, SqlViewStore)]

    def of(self, row: type) -> tuple[Shape, ViewStore]:
        """The view with such rows, and its store.

        Raises:
            WiringError: There is none.
        """
        found = self._views.get(row)
        if found is None:
            known = ", ".join(sorted(known.__name__ for known in self._views)) or "none"
            raise WiringError(
                f"no view of {row.__name__} here (known: {known}). Wire it with read=[…]."
            )
        return found

    def need(self, checkpoint: str, position: Position) -> Need:
        """What must happen before a view is at a position."""
        shape, store = self.kept[checkpoint]
        return Need(
            checkpoint, partial(store.wait, shape, position), partial(store.checkpoint, shape)
        )

    def need_of_log(self, position: Position) -> Need:
        """What must happen before the log itself is at a position."""
        return Need("the log", partial(_at_head, self.log, position), self.log.head)

    def within(self, store: ViewStore) -> frozenset[str]:
        """The checkpoints of all views in a store."""
        return frozenset(name for name, (_, where) in self.kept.items() if where is store)

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


async def _at_head(log: Store, position: Position) -> None:
    while await log.head() < position:
        await news(log, position - 1)
