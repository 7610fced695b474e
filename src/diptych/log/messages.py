"""Messages to JSON and back, with everything that a type promises checked on the way."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import is_dataclass
from datetime import datetime
from decimal import Decimal
from hashlib import blake2b
from typing import Any, Generic, TypeVar, cast

import msgspec
from msgspec import inspect

from diptych.errors import InvalidMessage, WiringError
from diptych.log.names import OPTIONAL

M = TypeVar("M")

_encoder = msgspec.json.Encoder(order="deterministic")
_PATH = " - at `$"


class MessageType(Generic[M]):
    """How messages of one class are encoded, decoded and checked.

    Raises:
        WiringError: The class has no fields that can be told from their annotations, or holds a
            union of dataclasses.
    """

    def __init__(self, type_: type[M], name: str) -> None:
        self.type = type_
        self.name = name
        try:
            self.info = inspect.type_info(type_)
            self.decode = msgspec.json.Decoder(type_).decode
            """From JSON; unknown fields are tolerated: a newer version may have written them."""
            many: Any = list
            self.decode_list: Callable[[Any], list[M]] = msgspec.json.Decoder(many[type_]).decode
        except Exception as error:
            raise WiringError(
                f"{type_.__module__}.{type_.__qualname__} cannot be a message: {error}. "
                "Use a frozen dataclass, a msgspec Struct or an attrs class whose annotations "
                "resolve; for a choice of classes in one field, use tagged Structs."
            ) from error
        if not isinstance(self.info, inspect.DataclassType | inspect.StructType):
            raise WiringError(
                f"{type_.__qualname__} cannot be a message: it has no fields. "
                "Use a frozen dataclass, a msgspec Struct or an attrs class."
            )
        self._suspicious = _has_suspicious(self.info, set())

    def encode(self, message: M) -> bytes:
        """JSON; raises what msgspec raises."""
        return _encoder.encode(message)

    def check(self, message: M) -> tuple[M, bytes]:
        """Encodes and decodes: what comes back obeys the annotations, and has these bytes.

        Raises:
            InvalidMessage: With the field and what is wrong with it.
        """
        try:
            if self._suspicious:
                refuse_suspicious(self.name, message)
            data = _encoder.encode(message)
            return self.decode(data), data
        except msgspec.ValidationError as error:
            reason, _, path = str(error).partition(_PATH)
            raise InvalidMessage(self.name, path.rstrip("`").lstrip("."), reason) from None
        except UnicodeEncodeError as error:
            raise InvalidMessage(self.name, "", f"text that cannot be encoded ({error})") from None
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise InvalidMessage(self.name, "", str(error)) from None

    def fingerprint(self, data: bytes) -> bytes:
        """What tells this command from another one under the same id (16 bytes)."""
        return blake2b(self.name.encode() + b"\0" + data, digest_size=16).digest()

    def shape(self) -> dict[str, str]:
        """Fields and their stored form, for comparison over time."""
        return _fields(self.info, ())


def message_type(type_: type, name: str) -> MessageType[Any]:
    """A `MessageType` for a class that is known at run time only."""
    return MessageType[Any](type_, name)


def _fields(info: inspect.Type, above: tuple[type, ...]) -> dict[str, str]:
    fields = cast("inspect.DataclassType | inspect.StructType", info)
    return {
        field.encode_name: _shape(field.type, (*above, fields.cls))
        + ("" if field.required else OPTIONAL)
        for field in fields.fields
    }


def _shape(info: inspect.Type, above: tuple[type, ...]) -> str:
    match info:
        case inspect.DataclassType(cls=cls) | inspect.StructType(cls=cls):
            if cls in above:
                return cls.__name__
            inner = ", ".join(f"{name}: {shape}" for name, shape in _fields(info, above).items())
            return f"{{{inner}}}"
        case inspect.UnionType(types=types):
            return " | ".join(sorted(_shape(member, above) for member in types))
        case (
            inspect.ListType(item_type=item)
            | inspect.SetType(item_type=item)
            | inspect.FrozenSetType(item_type=item)
            | inspect.VarTupleType(item_type=item)
            | inspect.CollectionType(item_type=item)
        ):
            return f"[{_shape(item, above)}]"
        case inspect.TupleType(item_types=items):
            return f"({', '.join(_shape(item, above) for item in items)})"
        case inspect.DictType(key_type=key, value_type=value):
            return f"{{{_shape(key, above)}: {_shape(value, above)}}}"
        case inspect.EnumType(cls=cls):
            return " | ".join(sorted(repr(member.value) for member in cls))
        case inspect.LiteralType(values=values):
            return " | ".join(sorted(map(repr, values)))
        case inspect.Metadata(type=inner_type):
            return _shape(inner_type, above)
        case _:
            return type(info).__name__.removesuffix("Type").lower()


def _has_suspicious(info: inspect.Type, seen: set[type]) -> bool:
    """Whether a value that JSON would quietly change or a decoder quietly take can be inside."""
    match info:
        case (
            inspect.FloatType() | inspect.DecimalType() | inspect.DateTimeType() | inspect.AnyType()
        ):
            return True
        case inspect.DataclassType(cls=cls) | inspect.StructType(cls=cls):
            if cls in seen:
                return False
            seen.add(cls)
            return any(_has_suspicious(field.type, seen) for field in info.fields)
        case inspect.UnionType(types=types) | inspect.TupleType(item_types=types):
            return any(_has_suspicious(member, seen) for member in types)
        case (
            inspect.ListType(item_type=item)
            | inspect.SetType(item_type=item)
            | inspect.FrozenSetType(item_type=item)
            | inspect.VarTupleType(item_type=item)
            | inspect.CollectionType(item_type=item)
        ):
            return _has_suspicious(item, seen)
        case inspect.DictType(key_type=key, value_type=value):
            return _has_suspicious(key, seen) or _has_suspicious(value, seen)
        case inspect.Metadata(type=inner):
            return _has_suspicious(inner, seen)
        case _:
            return False


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """All values inside a message that are not containers, with their paths."""
    if isinstance(value, str | bytes | int | float | Decimal | datetime) or value is None:
        yield path, value
    elif isinstance(value, Mapping):
        for key, inner in cast("Any", value).items():
            yield from _leaves(key, f"{path}[{key!r}]")
            yield from _leaves(inner, f"{path}[{key!r}]")
    elif isinstance(value, list | tuple | set | frozenset):
        for index, inner in enumerate(cast("Sequence[Any]", value)):
            yield from _leaves(inner, f"{path}[{index}]")
    elif is_dataclass(value) or hasattr(value, "__struct_fields__"):
        names = getattr(value, "__struct_fields__", None) or value.__dataclass_fields__
        for name in names:
            yield from _leaves(getattr(value, name, None), f"{path}.{name}" if path else name)
    elif hasattr(value, "__attrs_attrs__"):
        for attribute in value.__attrs_attrs__:
            name = attribute.name
            yield from _leaves(getattr(value, name, None), f"{path}.{name}" if path else name)


def refuse_suspicious(name: str, value: Any) -> None:
    """Refuses what JSON would quietly change, anywhere inside a value.

    Raises:
        InvalidMessage: NaN, infinity, a datetime without a zone.
    """
    for path, leaf in _leaves(value, ""):
        _refuse_suspicious(name, path, leaf)


def _refuse_suspicious(message: str, path: str, value: Any) -> None:
    match value:
        case float() if not math.isfinite(value):
            raise InvalidMessage(message, path, f"{value} is not a number that can be kept")
        case Decimal() if not value.is_finite():
            raise InvalidMessage(message, path, f"Decimal {value} is not a number")
        case datetime() if value.tzinfo is None:
            raise InvalidMessage(message, path, "a datetime without a time zone (give it one)")
        case _:
            return


def is_plain(text: str) -> bool:
    """Whether a name, an id or a tag can be kept by every store: no NUL, no lone surrogate."""
    return (text.isascii() or _is_encodable(text)) and "\0" not in text


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
