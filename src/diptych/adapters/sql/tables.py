"""SQLAlchemy's picture of views: tables to write statements with, typed as the rows are.

Only imported when a statement is made: SQLAlchemy alone takes a quarter of a second.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    BLOB,
    REAL,
    BigInteger,
    Boolean,
    Date,
    DateTime,
    Double,
    Interval,
    LargeBinary,
    MetaData,
    Numeric,
    Table,
    Text,
    Uuid,
)
from sqlalchemy import Column as SqlColumn
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

from diptych.adapters.sql.columns import Column, RowCodec

_IMPL: Mapping[str, type[TypeEngine[Any]] | TypeEngine[Any]] = {
    "TEXT": Text,
    "DECIMAL": Text,
    "INTEGER": BigInteger,
    "REAL": REAL,
    "BLOB": BLOB,
    'text COLLATE "C"': Text,
    "text": Text,
    "bigint": BigInteger,
    "double precision": Double,
    "boolean": Boolean,
    "bytea": LargeBinary,
    "numeric": Numeric,
    "timestamptz": DateTime(timezone=True),
    "date": Date,
    "interval": Interval,
    "uuid": Uuid,
}
"""By the types of SQLite and of PostgreSQL."""


class PythonValue(TypeDecorator[Any]):
    """A column whose values are converted as the engine converts them."""

    impl: type[TypeEngine[Any]] | TypeEngine[Any] = Text
    cache_ok = True

    def __init__(self, column: Column) -> None:
        super().__init__()
        # Named as the parameter: SQLAlchemy's statement cache tells types apart by that.
        self.column = column
        impl = _IMPL[column.sql]
        self.impl = self.impl_instance = impl() if isinstance(impl, type) else impl

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        try:
            return None if value is None else self.column.encode(value)
        except ValueError as error:
            raise ValueError(f"a value for {self.column.name!r} {error}") from None

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        decode = self.column.decode
        if value.__class__ is Decimal and self.column.kind == "integer":
            return int(value)  # PostgreSQL's sum of integers
        return value if value is None or decode is None else decode(value)


def table(codec: RowCodec, name: str, metadata: MetaData, schema: str | None = None) -> Table:
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
        schema=schema,
    )
