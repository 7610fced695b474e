"""SQLAlchemy's picture of views: tables to write statements with, typed as the rows are.

Only imported when a statement is made: SQLAlchemy alone takes a quarter of a second.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BLOB, REAL, BigInteger, MetaData, Table, Text
from sqlalchemy import Column as SqlColumn
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

from diptych.adapters.sql.columns import Column, RowCodec

_IMPL: dict[str, type[TypeEngine[Any]]] = {
    "TEXT": Text,
    "DECIMAL": Text,
    "INTEGER": BigInteger,
    "REAL": REAL,
    "BLOB": BLOB,
}


class PythonValue(TypeDecorator[Any]):
    """A column whose values are converted as the engine converts them."""

    impl: type[TypeEngine[Any]] | TypeEngine[Any] = Text
    cache_ok = True

    def __init__(self, column: Column) -> None:
        super().__init__()
        # Named as the parameter: SQLAlchemy's statement cache tells types apart by that.
        self.column = column
        self.impl = self.impl_instance = _IMPL[column.sql]()

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        try:
            return None if value is None else self.column.encode(value)
        except ValueError as error:
            raise ValueError(f"a value for {self.column.name!r} {error}") from None

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        decode = self.column.decode
        return value if value is None or decode is None else decode(value)


def table(codec: RowCodec, name: str, metadata: MetaData) -> Table:
    """The table of a view."""
    key = set(codec.shape.key)
    return Table(
        name,
        metadata,
        *(
            SqlColumn(
                column.name,
                PythonValue(column),
                primary_key=column.name in key,
                nullable=column.nullable,
            )
            for column in codec.columns
        ),
    )
