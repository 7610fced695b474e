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
from diptych.log.forms import Json, form_of, model_fields
from diptych.log.shapes import field_shapes, is_suspicious

M = TypeVar("M")

_PATH = " - at `$"


class MessageType(Generic[M]):
    """How messages of one class are encoded, decoded and checked.

    Attributes:
        form: How they become JSON and come back.
        encode, decode, decode_list, convert: Of the form; they raise what it raises.

    Raises:
        WiringError: The class has no fields that can be told from their annotations, or holds a
            union of dataclasses.
    """

    def __init__(self, type_: type[M], name: str) -> None:
        self.type = type_
        self.name = name
        try:
            self.form = form = form_of(type_)
        except WiringError:
            raise
        except Exception as error:
            raise WiringError(
                f"{type_.__module__}.{type_.__qualname__} cannot be a message: {error}. "
                "Use a frozen dataclass, a msgspec Struct, an attrs class or a pydantic model "
                "whose annotations resolve; for a choice of classes in one field, use tagged "
                "Structs, or a pydantic model with Field(discriminator=…)."
            ) from error
        if not isinstance(form.info, inspect.DataclassType | inspect.StructType):
            raise WiringError(
                f"{type_.__qualname__} cannot be a message: it has no fields. "
                "Use a frozen dataclass, a msgspec Struct, an attrs class or a pydantic model."
            )
        self.fields: Sequence[str] = tuple(field.name for field in form.info.fields)
        self.encode: Callable[[M], bytes] = form.encode
        self.decode: Callable[[Json], M] = form.decode
        self.decode_list: Callable[[Json], list[M]] = form.decode_list
        self.convert: Callable[[Any], M] = form.convert
        self._settle = form.settle
        self._suspicious = is_suspicious(form.info, form.custom)

    def check(self, message: M) -> tuple[M, bytes]:
        """Encodes and decodes: what comes back obeys the annotations, and has these bytes.

        Raises:
            InvalidMessage: With the field and what is wrong with it.
        """
        try:
            if self._suspicious:
                refuse_suspicious(self.name, message)
            data = self.encode(message)
            checked = self.decode(data)
            if self._settle is not None:
                return self._settle(checked, data)
            return checked, data
        except msgspec.ValidationError as error:
            reason, *paths = str(error).split(_PATH)
            # What is inside was told first.
            path = "".join(path.rstrip("`") for path in reversed(paths))
            raise InvalidMessage(self.name, path.lstrip("."), reason) from None
        except UnicodeEncodeError as error:
            raise InvalidMessage(self.name, "", f"text that cannot be encoded ({error})") from None
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise InvalidMessage(self.name, "", str(error)) from None

    def fingerprint(self, data: bytes) -> bytes:
        """What tells this command from another one under the same id (16 bytes)."""
        return blake2b(self.name.encode() + b"\0" + data, digest_size=16).digest()

    def shape(self) -> dict[str, str]:
        """Fields and their stored form, for comparison over time."""
        return field_shapes(self.form.info, self.form.custom)


def message_type(type_: type, name: str) -> MessageType[Any]:
    """A `MessageType` for a class that is known at run time only."""
    return MessageType[Any](type_, name)


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
    elif (fields := model_fields(type(value))) is not None:
        for name in fields:
            yield from _leaves(value.__dict__.get(name), f"{path}.{name}" if path else name)
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
