"""The tables of an app's views in one database: by checkpoint, and by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from diptych.adapters.sql.columns import RowCodec
from diptych.read.port import Shape, TableSet


class Kept(Protocol):
    """A version of a view as a table."""

    @property
    def shape(self) -> Shape: ...
    @property
    def codec(self) -> RowCodec: ...
    @property
    def name(self) -> str: ...


K = TypeVar("K", bound=Kept)


class Catalogue(Generic[K]):
    """The tables of an app's views.

    Args:
        make: Makes a table of a view.
        schema: Where they are; None where a database has no such thing.
    """

    def __init__(self, make: Callable[[Shape], K], *, schema: str | None = None) -> None:
        self._make = make
        self._schema = schema
        self._by_checkpoint: dict[str, K] = {}
        self._by_name: dict[str, K] = {}
        self._projected: dict[str, str] = {}
        self._sql: dict[str, Any] = {}
        self._metadata: Any = None

    def add(self, shapes: Sequence[Shape]) -> list[K]:
        """Takes views in; returns their tables."""
        tables = [self._make(shape) for shape in shapes]
        for table in tables:
            self._by_checkpoint[table.shape.checkpoint] = table
            self._by_name[table.name] = table
        return tables

    def take(self, projections: Sequence[TableSet]) -> None:
        """Takes the tables of projections in."""
        for one in projections:
            self._projected.update(dict.fromkeys(one.names, one.checkpoint))

    def of(self, shape: Shape) -> K:
        return self._by_checkpoint[shape.checkpoint]

    def filled_by(self, name: str) -> str | None:
        """The checkpoint of the view, or projection, whose table this is."""
        table = self._by_name.get(name)
        return self._projected.get(name) if table is None else table.shape.checkpoint

    def sql(self, shape: Shape) -> Any:
        """SQLAlchemy's table of a view."""
        found = self._sql.get(shape.checkpoint)
        if found is None:
            from sqlalchemy import MetaData

            from diptych.adapters.sql.tables import table

            if self._metadata is None:
                self._metadata = MetaData()
            known = self.of(shape)
            found = table(known.codec, known.name, self._metadata, self._schema)
            self._sql[shape.checkpoint] = found
        return found
