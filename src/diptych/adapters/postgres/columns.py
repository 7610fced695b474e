"""How PostgreSQL keeps values: in its own types, and so that what comes back is what went in."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, cast
from uuid import UUID

from diptych.adapters.sql.columns import (
    Dialect,
    Stored,
    day,
    decimal,
    exactly,
    integer,
    moment,
    real,
    span,
    uuid,
)

PLACES = 5000
"""Places after the point that a Decimal may have."""

MINUS = 10_000
"""`numeric` has no negative zero: one rests as a zero of this many more places, which is equal to
it, and as small."""

_UNKEPT = re.compile("[\0\1]")
_KEPT = {"\0": "\1\1", "\1": "\1\2"}
_ESCAPED = re.compile("\1([\1\2])")
_BACK = {"\1": "\0", "\2": "\1"}


def _text(value: Any) -> str:
    """`text` takes no NUL: it is written as two others, in a way that keeps the order of texts."""
    if value.__class__ is not str:
        raise ValueError(f"is {type(value).__name__}, not str")
    text: str = value
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"is text that cannot be encoded ({error})") from None
    if "\0" in text or "\1" in text:
        return _UNKEPT.sub(lambda found: _KEPT[found[0]], text)
    return text


def _text_back(value: str) -> str:
    if "\1" in value:
        return _ESCAPED.sub(lambda found: _BACK[found[1]], value)
    return value


def _decimal(value: Any) -> Decimal:
    number = decimal(value)
    exponent = _exponent(number)
    if exponent < -PLACES:
        raise ValueError(f"is a Decimal of more than {PLACES} places after the point")
    if not number and number.is_signed():
        return Decimal((0, (0,), min(exponent, 0) - MINUS))
    return number


def _decimal_back(value: Decimal) -> Decimal:
    exponent = _exponent(value)
    if -MINUS < exponent <= 0:
        return value
    if exponent > 0:
        return Decimal(format(value, "f"))
    if value:
        return Decimal(format(value, "f").rstrip("0"))  # a sum with such a zero in it
    return Decimal((1, (0,), exponent + MINUS))


def _exponent(value: Decimal) -> int:
    return cast("int", value.as_tuple().exponent)


def _flag(value: Any) -> bool:
    if value.__class__ is not bool:
        raise ValueError(f"is {type(value).__name__}, not bool")
    return value


def _moment_back(value: datetime) -> datetime:
    """The first and the last moment are infinite in PostgreSQL, and come back without a zone."""
    return value if value.tzinfo is not None else value.replace(tzinfo=UTC)


def _uuid_back(value: UUID) -> UUID:
    """The driver has a class of its own."""
    return UUID(int=value.int)


POSTGRES: Dialect = {
    "text": Stored('text COLLATE "C"', _text, _text_back),
    "json": Stored("text", exactly(str), None),
    "integer": Stored("bigint", integer, None),
    "real": Stored("double precision", real, None),
    "boolean": Stored("boolean", _flag, None),
    "bytes": Stored("bytea", exactly(bytes), None),
    "decimal": Stored("numeric", _decimal, _decimal_back),
    "datetime": Stored("timestamptz", moment, _moment_back),
    "date": Stored("date", day, None),
    "timedelta": Stored("interval", span, None),
    "uuid": Stored("uuid", uuid, _uuid_back),
}
"""Text compares by code point, as in Python and on SQLite. JSON stays text: `jsonb` would change
it."""
