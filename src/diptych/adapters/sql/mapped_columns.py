"""Columns of the users' own tables: converted by SQLAlchemy's types, filled in as SQLAlchemy does."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, time
from decimal import Decimal
from typing import Any, TypeAlias, cast
from warnings import catch_warnings, simplefilter

from sqlalchemy import Column as SqlColumn
from sqlalchemy import TypeDecorator, bindparam
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import SAWarning
from sqlalchemy.orm import Mapper

from diptych.adapters.sql.driver_values import values_of
from diptych.errors import WiringError

Convert: TypeAlias = Callable[[Any], Any]

HANDLERS = "For object graphs use Handlers, which give you a session."


class MappedColumn:
    """A column as an attribute.

    Attributes:
        decode: From the database; None where the value comes back as it is.
        default: What an INSERT puts where nothing is set; None where the database decides.
        onupdate: What an UPDATE puts where nothing is set, given the old value.
        counts: It is the version that SQLAlchemy counts up; nobody else sets it.
        filled_in: The database may put something where an INSERT does not.
        computed: The database computes it from other columns.
    """

    def __init__(
        self,
        row: type,
        attribute: str,
        column: SqlColumn[Any],
        mapper: Mapper[Any],
        dialect: Dialect,
    ) -> None:
        self.attribute = attribute
        self.name = column.name
        where = f"{row.__name__}.{attribute}"
        type_ = column.type
        if (
            type_.bind_expression(bindparam("x")) is not None
            or type_.column_expression(column) is not None
        ):
            raise WiringError(
                f"{where}: its type {type_!r} is converted by SQL. Rows keep values that are "
                f"converted in Python. {HANDLERS}"
            )
        kept = type_
        while isinstance(kept, TypeDecorator):
            kept = kept.impl_instance
        self._type = kept
        self._values = values_of(dialect)
        try:
            came_as = self._values.result_type(kept)
        except WiringError as error:
            raise WiringError(f"{where}: {error}") from None
        with catch_warnings():  # of Decimals that lose digits: here they are refused
            simplefilter("ignore", SAWarning)
            converting = type_.dialect_impl(dialect)
            self._bind: Convert | None = converting.bind_processor(dialect)
            self.decode: Convert | None = converting.result_processor(dialect, came_as)
        self._none_is_a_value = type_.should_evaluate_none
        self.default: Convert | None = _filling(where, column.default)
        self.onupdate: Convert | None = _filling(where, column.onupdate)
        self.computed = column.computed is not None
        self.counts = mapper.version_id_col is column and callable(mapper.version_id_generator)
        if self.counts:
            self.default = self.onupdate = cast("Convert", mapper.version_id_generator)
        self.filled_in = (
            column.server_default is not None or self.computed or column.identity is not None
        )

    def is_set(self, given: dict[str, Any], *, new: bool) -> bool:
        """Whether an instance says what is to be kept; as for SQLAlchemy, a new one's None does not."""
        if self.counts or self.computed or self.attribute not in given:
            return False
        return not new or self._none_is_a_value or given[self.attribute] is not None

    def encode(self, value: Any) -> Any:
        """The value for the database.

        Raises:
            ValueError: It cannot be kept, or would come back as another one.
        """
        if self._bind is None and self._values.is_plain(value):
            return value
        try:
            raw = value if self._bind is None else self._bind(value)
        except Exception as error:
            raise ValueError(f"its column cannot keep: {error}") from error
        raw = self._values.plain(raw, self._type)
        if self.decode is not None and isinstance(value, datetime | time | Decimal):
            back = self.decode(raw)
            if back != value:
                raise ValueError(
                    f"would come back as {back!r}. Give what its column can keep "
                    "(naive times of one zone, digits that fit), or the column another type"
                )
        return raw


def _filling(where: str, default: Any) -> Convert | None:
    """What a column's `default=` or `onupdate=` gives.

    Raises:
        WiringError: It is SQL.
    """
    if default is None or default.is_sequence:
        return None
    if default.is_scalar:
        return lambda _: default.arg
    if default.is_callable:
        return lambda _: default.arg(None)
    raise WiringError(
        f"{where}: its default= or onupdate= is an SQL expression, whose value nobody knows before "
        "it is written. Use server_default=, a function of Python, or set it in to_row=."
    )
