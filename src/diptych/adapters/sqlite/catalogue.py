"""The tables of an app's views in one database: by checkpoint, and by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from diptych.adapters.sqlite.tables import ViewTable
from diptych.read.port import Shape, TableSet


class Catalogue:
    """The tables of an app's views."""

    def __init__(self) -> None:
        self._by_checkpoint: dict[str, ViewTable] = {}
        self._by_name: dict[str, ViewTable] = {}
        self._projected: dict[str, str] = {}
        self._sql: dict[str, Any] = {}
        self._metadata: Any = None

    def add(self, shapes: Sequence[Shape]) -> list[str]:
        """Takes views in; returns their DDL."""
        tables = [ViewTable(shape) for shape in shapes]
        for table in tables:
            self._by_checkpoint[table.shape.checkpoint] = table
            self._by_name[table.name] = table
        return [table.create() for table in tables]

    def take(self, projections: Sequence[TableSet]) -> None:
        """Takes the tables of projections in."""
        for one in projections:
            self._projected.update(dict.fromkeys(one.names, one.checkpoint))

    def of(self, shape: Shape) -> ViewTable:
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
            found = self._sql[shape.checkpoint] = table(known.codec, known.name, self._metadata)
        return found
