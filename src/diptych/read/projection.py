"""A projection fills tables by SQL statements: for what no fold says well."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from diptych.errors import BadResult, WiringError
from diptych.log.names import BY, OPTIONAL, Stamp
from diptych.message import Recorded
from diptych.read.port import TableSet
from diptych.routing import Functions, Route, name_of, routes, table

if TYPE_CHECKING:
    from sqlalchemy import Column, MetaData

_OWN = re.compile(r"(diptych|sqlite)_.*|view_.+_\d+")
"""Tables of the engine; those of views end with the view's version."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")


class Projection:
    """Keeps tables of its own, which answerers select from as from the table of a view.

    Args:
        name: Stored name.
        functions: `function(event[, Recorded])` gives SQLAlchemy's insert(), update() and delete()
            on these tables, as a list or one by one. They are executed in order, in one
            transaction with the checkpoint, for each event exactly once.
        tables: Metadata of the tables; created where missing. Nobody else writes them.
        store: Where they rest: None beside the log; ``sqlite:///views.db``; ``postgresql://…``;
            ``sqlite://``.
        version: Raised whenever the tables or the meaning of the functions change. Each version
            has tables of other names, and fills anew.

    Raises:
        WiringError: A malformed name, wrong routes, or no table.
    """

    def __init__(
        self,
        name: str,
        functions: Functions,
        *,
        tables: MetaData,
        store: str | None = None,
        version: int = 1,
    ) -> None:
        if not _NAME.fullmatch(name):
            raise WiringError(
                f"{name!r} cannot name a projection. Use lower-case letters, digits, '-', '_' and "
                "'.', at most 100."
            )
        if version < 1:
            raise WiringError(f"projection {name}: version {version}; versions begin at 1.")
        if not tables.tables:
            raise WiringError(f"projection {name}: its metadata has no table. Define one.")
        for one in tables.tables.values():
            if _OWN.fullmatch(one.name):
                raise WiringError(
                    f"projection {name}: table {one.name!r} has a name of diptych's own tables "
                    "(diptych_…, view_…_1). Name it otherwise."
                )
        self.name = name
        self.version = version
        self.store = store
        self.functions: Mapping[type, Route] = table(
            routes(functions, message=0, arity=1, facts=Recorded, what=f"projection {name}")
        )
        self.wants_facts = any(route.wants_facts for route in self.functions.values())
        self.tables = TableSet(
            projection=name,
            version=version,
            metadata=tables,
            names=frozenset(one.name for one in tables.tables.values()),
            stamps=tuple(
                Stamp("table", one.name, version, {BY: name, **_columns(one.columns)})
                for one in tables.tables.values()
            ),
        )

    @property
    def events(self) -> tuple[type, ...]:
        """What it takes from the log."""
        return tuple(self.functions)

    def statements(self, event: Any, recorded: Recorded[Any] | None) -> Sequence[Any]:
        """What an event has written.

        Raises:
            BadResult: That is no list of insert(), update() or delete() on its tables.
        """
        from sqlalchemy.sql.dml import UpdateBase

        route = self.functions[event.__class__]
        given: Any = route.function(event, recorded) if route.wants_facts else route.function(event)
        if isinstance(given, UpdateBase) or not hasattr(given, "__iter__"):
            raise BadResult(
                name_of(route.function),
                f"returned {type(given).__name__}. Return a list of insert(), update() and "
                "delete(), or yield them.",
            )
        statements: list[Any] = list(given)
        for statement in statements:
            if not isinstance(statement, UpdateBase):
                raise BadResult(
                    name_of(route.function),
                    f"gave {type(statement).__name__}. Give insert(), update() or delete().",
                )
            name: str = getattr(statement.table, "name", "")
            if name not in self.tables.names:
                raise BadResult(
                    name_of(route.function),
                    f"writes to table {name!r}, which is not in the metadata of projection "
                    f"{self.name!r}. A projection writes its own tables only.",
                )
        return statements

    def __repr__(self) -> str:
        return f"Projection({self.name!r})"


class PlacedTables(NamedTuple):
    """A projection in an app.

    Attributes:
        place: The store that keeps its tables; None for beside the log.
    """

    projection: Projection
    place: str | None


def _columns(columns: Iterable[Column[Any]]) -> dict[str, str]:
    return {
        column.name: _type(column) + (OPTIONAL if column.nullable else "") for column in columns
    }


def _type(column: Column[Any]) -> str:
    try:
        return str(column.type)
    except Exception:  # a type that only one dialect knows
        return repr(column.type)
