"""Python values as typed columns, and back without loss, in each database's own types.

SQLAlchemy's own types on SQLite drop the time zone of a datetime, the digits of a Decimal, and turn
a timedelta into a date; these do not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from inspect import Parameter, signature
from operator import attrgetter
from typing import Any, Literal, NamedTuple, TypeAlias
from uuid import UUID

import msgspec
from msgspec import inspect

from diptych.errors import BadResult, InvalidMessage, WiringError
from diptych.log.forms import Form, is_model
from diptych.log.messages import message_type, refuse_suspicious
from diptych.read.port import Beside, Shape

Kind: TypeAlias = Literal[
    "text",
    "integer",
    "real",
    "boolean",
    "bytes",
    "decimal",
    "datetime",
    "date",
    "timedelta",
    "uuid",
    "json",
]
Convert: TypeAlias = Callable[[Any], Any]


class Stored(NamedTuple):
    """How a database keeps values of one kind.

    Attributes:
        sql: Type of the column.
        encode: From Python to the database; raises ValueError on a value of another type.
        decode: Back; None where the value comes back as it is.
    """

    sql: str
    encode: Convert
    decode: Convert | None


Dialect: TypeAlias = Mapping[Kind, Stored]
"""How a database keeps values of each kind; of `json`, the text."""

INT64 = 1 << 63
MICROSECOND = timedelta(microseconds=1)
DIGITS = 1000
"""Digits that a Decimal may have, written without an exponent."""


class Column:
    """One field of a row.

    Attributes:
        sql: Its type, as the dialect names it.
        encode: From Python to the database; raises ValueError on a value of another type.
        decode: Back; None where the value comes back as it is.
    """

    __slots__ = ("decode", "encode", "kind", "name", "nullable", "sql")

    def __init__(self, name: str, kind: Kind, nullable: bool, stored: Stored) -> None:
        self.name = name
        self.kind: Kind = kind
        self.nullable = nullable
        self.sql, encode, decode = stored
        self.encode = _or_none(encode) if nullable else encode
        self.decode = None if decode is None else _or_none(decode) if nullable else decode


class RowCodec:
    """Rows of a shape as tuples of database values, and back.

    Args:
        dialect: Of the database.
    """

    def __init__(self, shape: Shape, dialect: Dialect | None = None) -> None:
        self.shape = shape
        dialect = dialect or SQLITE
        form = message_type(shape.row, shape.view).form
        fields: Sequence[inspect.Field] = getattr(form.info, "fields", ())
        self.columns: Sequence[Column] = [
            _column(field.name, field.type, form, dialect) for field in fields
        ]
        if shape.key_type is not None:
            key = _column(shape.key[0], inspect.type_info(shape.key_type), form, dialect)
            self.columns = [key, *self.columns]
        self.names = tuple(column.name for column in self.columns)
        by_name = {column.name: column for column in self.columns}
        self._encoders = [column.encode for column in self.columns]
        self._fields = self.names[1:] if shape.is_beside else self.names
        values = _reader(self._fields)
        self._values: Callable[[Any], tuple[Any, ...]] = (
            (lambda beside: (beside.key, *values(beside.row))) if shape.is_beside else values
        )
        self._key = [by_name[name] for name in shape.key]
        for column in self._key:
            if column.nullable or column.kind in ("bytes", "real"):
                raise WiringError(
                    f"view {shape.row.__name__}: key field {column.name!r} may be missing, bytes "
                    "or float, which name no row. Use str, int, date, UUID, Enum or Decimal."
                )
        self._decoders = [
            (index, column.decode)
            for index, column in enumerate(self.columns)
            if column.decode is not None
        ]
        self._positional = _takes_positions(shape.row, self._fields)
        self._make = form.make
        self._validates = is_model(shape.row)

    def encode(self, row: Any) -> tuple[Any, ...]:
        """Database values, in the order of the columns.

        Raises:
            BadResult: A value is not of its field's type, or cannot be kept.
        """
        values = self._values(row)
        try:
            encoded = tuple([encode(v) for encode, v in zip(self._encoders, values, strict=True)])
        except (ValueError, TypeError, AttributeError):
            for column, value in zip(self.columns, values, strict=True):
                try:
                    column.encode(value)
                except (ValueError, TypeError, AttributeError) as error:
                    raise BadResult(
                        f"view {self.shape.row.__name__}",
                        f"has a row whose {column.name!r} {error}.",
                    ) from None
            raise
        if self._validates:
            self._refuse_unsettled(encoded)
        return encoded

    def _refuse_unsettled(self, encoded: tuple[Any, ...]) -> None:
        """A row whose validators refuse it, or change it, would not be read as it was written."""
        owner = f"view {self.shape.row.__name__}"
        try:
            values = self._values(self.decode(encoded))
        except msgspec.ValidationError as error:
            raise BadResult(owner, f"has a row that cannot be kept: {error}.") from None
        for column, was, value in zip(self.columns, encoded, values, strict=True):
            if column.encode(value) != was:
                raise BadResult(
                    owner,
                    f"has a row whose {column.name!r} its validators change when it is read. "
                    "Make rows with the class itself, and let validators leave what they gave.",
                )

    def encode_key(self, key: tuple[Any, ...]) -> tuple[Any, ...]:
        """Database values of a key.

        Raises:
            BadResult: A value is not of its field's type.
        """
        if len(key) != len(self._key):
            raise BadResult(
                f"view {self.shape.row.__name__}",
                f"has keys of {len(self._key)} fields, not {len(key)}.",
            )
        try:
            return tuple(column.encode(value) for column, value in zip(self._key, key, strict=True))
        except (ValueError, TypeError, AttributeError) as error:
            raise BadResult(
                f"view {self.shape.row.__name__}", f"has a key {key!r} that {error}."
            ) from None

    def decode(self, values: Sequence[Any]) -> Any:
        """The row."""
        if self._decoders:
            values = list(values)
            for index, decode in self._decoders:
                values[index] = decode(values[index])
        if self.shape.is_beside:
            return Beside(values[0], self._row(values[1:]))
        return self._row(values)

    def _row(self, values: Sequence[Any]) -> Any:
        if self._positional:
            return self.shape.row(*values)
        return self._make(dict(zip(self._fields, values, strict=True)))

    def key_of(self, row: Any) -> tuple[Any, ...]:
        """The key of a row, as Python values."""
        if self.shape.is_beside:
            return (row.key,)
        return tuple(getattr(row, column.name) for column in self._key)


def _reader(fields: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
    if len(fields) > 1:
        return attrgetter(*fields)
    return lambda row: tuple([getattr(row, field) for field in fields])


def _takes_positions(row: type, names: tuple[str, ...]) -> bool:
    parameters = list(_init_parameters(row))
    return parameters == list(names)


def _init_parameters(row: type) -> Sequence[str]:
    try:
        parameters = signature(row).parameters.values()
    except (TypeError, ValueError):
        return ()
    return [p.name for p in parameters if p.kind is Parameter.POSITIONAL_OR_KEYWORD]


def _or_none(convert: Convert) -> Convert:
    return lambda value: None if value is None else convert(value)


def _chain(first: Convert, second: Convert) -> Convert:
    return lambda value: second(first(value))


def _column(name: str, info: inspect.Type, form: Form, dialect: Dialect) -> Column:
    if isinstance(info, inspect.Metadata):
        info = info.type
    nullable = False
    if isinstance(info, inspect.UnionType):
        rest = [member for member in info.types if not isinstance(member, inspect.NoneType)]
        nullable = len(rest) < len(info.types)
        if len(rest) != 1:
            return _json(name, nullable, form.field(name), dialect)
        info = rest[0]
    kind = _KINDS.get(type(info))
    if kind is not None:
        return Column(name, kind, nullable, dialect[kind])
    stored: tuple[Kind, Stored] | None = None
    match info:
        case inspect.EnumType(cls=cls):
            stored = _choice([member.value for member in cls], _enum(cls), cls, dialect)
        case inspect.LiteralType(values=values):
            stored = _choice(values, _literal(frozenset(values)), None, dialect)
        case _:
            pass
    if stored is None:
        return _json(name, nullable, form.field(name), dialect)
    return Column(name, stored[0], nullable, stored[1])


def _choice(
    values: Iterable[Any], check: Convert, back: Convert | None, dialect: Dialect
) -> tuple[Kind, Stored] | None:
    """A choice of texts or of numbers; None where they are of several types."""
    kinds = {value.__class__ for value in values}
    if not (kinds <= {str} or kinds <= {int}):
        return None
    kind: Kind = "text" if kinds <= {str} else "integer"
    sql, encode, decode = dialect[kind]
    if back is not None:
        decode = back if decode is None else _chain(decode, back)
    return kind, Stored(sql, _chain(check, encode), decode)


_KINDS: Mapping[type[inspect.Type], Kind] = {
    inspect.BoolType: "boolean",
    inspect.IntType: "integer",
    inspect.FloatType: "real",
    inspect.StrType: "text",
    inspect.BytesType: "bytes",
    inspect.DecimalType: "decimal",
    inspect.DateTimeType: "datetime",
    inspect.DateType: "date",
    inspect.TimeDeltaType: "timedelta",
    inspect.UUIDType: "uuid",
}


def _json(name: str, nullable: bool, form: Form, dialect: Dialect) -> Column:
    """Anything else rests as JSON text, and is checked when it is read."""

    def encode(value: Any) -> str:
        try:
            refuse_suspicious(name, value)
            data = form.encode_in_order(value)
            back = form.decode(data)
            if form.settle is not None and form.encode(back) != form.encode(value):
                raise ValueError("is changed by its validators when it is read")
        except (InvalidMessage, msgspec.ValidationError) as error:
            raise ValueError(f"cannot be kept: {error}") from None
        return data.decode()

    return Column(name, "json", nullable, Stored(dialect["json"].sql, encode, form.decode))


def exactly(type_: type) -> Convert:
    """A value of this type and of no other, subclasses included."""

    def encode(value: Any) -> Any:
        if value.__class__ is not type_:
            raise ValueError(f"is {type(value).__name__}, not {type_.__name__}")
        return value

    return encode


def integer(value: Any) -> int:
    """A number of 64 bits."""
    if value.__class__ is not int:
        raise ValueError(f"is {type(value).__name__}, not int")
    if not -INT64 <= value < INT64:
        raise ValueError(f"is {value}, over 64 bits (keep it as a Decimal or text)")
    return value


def real(value: Any) -> float:
    """A number that is one."""
    if value.__class__ not in (float, int):
        raise ValueError(f"is {type(value).__name__}, not float")
    if not math.isfinite(value):
        raise ValueError(f"is {value}, which the database cannot keep")
    return float(value)


def decimal(value: Any) -> Decimal:
    """A number that is one, of a length that can be written down."""
    if value.__class__ is not Decimal:
        raise ValueError(f"is {type(value).__name__}, not Decimal")
    if not value.is_finite() or abs(value.adjusted()) > DIGITS:
        raise ValueError(f"is Decimal {value}, which cannot be kept in {DIGITS} digits")
    return value


def moment(value: Any) -> datetime:
    """A moment with its time zone."""
    if not isinstance(value, datetime):
        raise ValueError(f"is {type(value).__name__}, not datetime")
    if value.tzinfo is None:
        raise ValueError("is a datetime without a time zone (give it one)")
    return value


def day(value: Any) -> date:
    """A date that is no datetime."""
    if not isinstance(value, date) or isinstance(value, datetime):
        raise ValueError(f"is {type(value).__name__}, not date")
    return value


def span(value: Any) -> timedelta:
    """A timedelta."""
    if not isinstance(value, timedelta):
        raise ValueError(f"is {type(value).__name__}, not timedelta")
    return value


def uuid(value: Any) -> UUID:
    """A UUID."""
    if not isinstance(value, UUID):
        raise ValueError(f"is {type(value).__name__}, not UUID")
    return value


def _flag(value: Any) -> int:
    if value.__class__ is not bool:
        raise ValueError(f"is {type(value).__name__}, not bool")
    return int(value)


def _decimal_text(value: Any) -> str:
    return format(decimal(value), "f")


def _moment_text(value: Any) -> str:
    return moment(value).astimezone(UTC).isoformat(timespec="microseconds")


def _day_text(value: Any) -> str:
    return day(value).isoformat()


def _micros(value: Any) -> int:
    return span(value) // MICROSECOND


def _span_of(micros: int) -> timedelta:
    return timedelta(microseconds=micros)


def _uuid_text(value: Any) -> str:
    return str(uuid(value))


SQLITE: Dialect = {
    "text": Stored("TEXT", exactly(str), None),
    "json": Stored("TEXT", exactly(str), None),
    "integer": Stored("INTEGER", integer, None),
    "real": Stored("REAL", real, None),
    "boolean": Stored("INTEGER", _flag, bool),
    "bytes": Stored("BLOB", exactly(bytes), None),
    "decimal": Stored("DECIMAL", _decimal_text, Decimal),
    "datetime": Stored("TEXT", _moment_text, datetime.fromisoformat),
    "date": Stored("TEXT", _day_text, date.fromisoformat),
    "timedelta": Stored("INTEGER", _micros, _span_of),
    "uuid": Stored("TEXT", _uuid_text, UUID),
}
"""SQLite: DECIMAL is text that compares by value."""


def _enum(cls: type[Enum]) -> Convert:
    def encode(value: Any) -> Any:
        if not isinstance(value, cls):
            raise ValueError(f"is {value!r}, not one of {cls.__name__}")
        return value.value

    return encode


def _literal(allowed: frozenset[Any]) -> Convert:
    def encode(value: Any) -> Any:
        if value not in allowed:
            raise ValueError(f"is {value!r}, not one of {sorted(allowed)}")
        return value

    return encode
