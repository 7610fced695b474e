"""Values as the driver of a database takes them, and what it cannot keep."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from math import isnan
from typing import Any, Protocol, cast

from sqlalchemy import ARRAY, DateTime, Float, Numeric
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeEngine

from diptych.errors import WiringError

INT64 = 1 << 63

_NUMERIC, _DOUBLE = 1700, 701
"""PostgreSQL's numbers of two types, of which SQLAlchemy asks when it converts."""


class DriverValues(Protocol):
    """What a column must know of its database's driver."""

    def result_type(self, type_: TypeEngine[Any]) -> Any:
        """What the driver says of the values of this type when it gives them."""
        ...

    def is_plain(self, value: Any) -> bool:
        """Whether it is, at first sight, what is kept as it is."""
        ...

    def plain(self, raw: Any, type_: TypeEngine[Any]) -> Any:
        """The value as the driver takes it.

        Raises:
            ValueError: It cannot be kept.
        """
        ...


class SqliteValues:
    """SQLite keeps numbers, text and bytes."""

    def result_type(self, type_: TypeEngine[Any]) -> Any:
        return None

    def is_plain(self, value: Any) -> bool:
        kind = value.__class__
        if kind is str:
            return cast("bool", value.isascii())
        return value is None or (kind is int and -INT64 <= value < INT64)

    def plain(self, raw: Any, type_: TypeEngine[Any]) -> Any:
        kind = raw.__class__
        if raw is None or kind is bool:
            return raw
        if isinstance(raw, float):
            return _number(raw)
        if isinstance(raw, bytes | bytearray | memoryview):
            return bytes(cast("bytes", raw))
        if isinstance(raw, str):
            return _text(raw)
        if isinstance(raw, int):
            if -INT64 <= raw < INT64:
                return raw if kind is int else int(raw)
            raise ValueError("is over 64 bits")
        raise ValueError("SQLite cannot keep. Give its column a type that converts it")


class PostgresValues:
    """PostgreSQL has a type for most of them; what it would round or bend is refused."""

    def result_type(self, type_: TypeEngine[Any]) -> Any:
        if isinstance(type_, ARRAY):
            raise WiringError(
                "an array is kept in no row yet. Use JSON, or Handlers, which give you a session."
            )
        if isinstance(type_, Float):
            return _DOUBLE
        return _NUMERIC if isinstance(type_, Numeric) else None

    def is_plain(self, value: Any) -> bool:
        kind = value.__class__
        if kind is str:
            return value.isascii() and "\0" not in value
        return value is None or kind is int or kind is bool

    def plain(self, raw: Any, type_: TypeEngine[Any]) -> Any:
        if isinstance(raw, float):
            return _number(raw)
        if isinstance(raw, Decimal):
            return _decimal(raw, type_)
        if isinstance(raw, str):
            if "\0" in raw:
                raise ValueError("has a NUL, which PostgreSQL cannot keep in text")
            return _text(raw)
        if isinstance(raw, datetime) and isinstance(type_, DateTime):
            _refuse_other_time(raw, type_.timezone)
        return raw


def _number(raw: float) -> float:
    if isnan(raw):
        raise ValueError("is not a number")
    return raw if raw.__class__ is float else float(raw)


def _decimal(raw: Decimal, type_: TypeEngine[Any]) -> Decimal:
    if not raw.is_finite():
        raise ValueError("is not a number")
    scale = type_.scale if isinstance(type_, Numeric) and not isinstance(type_, Float) else None
    if scale is not None and raw != round(raw, scale):
        raise ValueError(
            f"would come back as {round(raw, scale)!r}. Give what its column can keep "
            "(digits that fit), or the column another type"
        )
    return raw


def _refuse_other_time(raw: datetime, with_zone: bool) -> None:
    if with_zone is (raw.tzinfo is None):
        needs = "a time zone" if with_zone else "no time zone"
        raise ValueError(f"does not fit its column, which needs times with {needs}")


def _text(raw: str) -> str:
    try:
        raw.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"is text that cannot be encoded ({error})") from error
    return raw if raw.__class__ is str else str.__str__(raw)


_VALUES: dict[str, DriverValues] = {"sqlite": SqliteValues(), "postgresql": PostgresValues()}


def values_of(dialect: Dialect) -> DriverValues:
    """Of the driver that a dialect is for."""
    return _VALUES[dialect.name]
