"""Types of pydantic's that are neither models nor known to msgspec: how each is stored, or why not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from functools import partial
from typing import Any, NamedTuple

import pydantic
from msgspec import inspect
from pydantic import TypeAdapter
from pydantic.types import EncodedBytes, EncodedStr, Json

from diptych.errors import WiringError
from diptych.log.pydantic_model import validated

SAME: dict[Any, Any] = {
    object: Any,
    pydantic.AwareDatetime: datetime,
    pydantic.PastDatetime: datetime,
    pydantic.PastDate: date,
    pydantic.EmailStr: str,
}
"""Names for what msgspec knows: the constraint is pydantic's to check."""

_REFUSED: dict[Any, str] = {
    pydantic.NaiveDatetime: "a datetime without a time zone is not kept. Use AwareDatetime",
    pydantic.FutureDate: "a date that must be in the future could not be read once it has passed. "
    "Use date, and compare it with context.now in decide",
    pydantic.FutureDatetime: "a time that must be in the future could not be read once it has "
    "passed. Use AwareDatetime, and compare it with context.now in decide",
}

_UNPACKING: Any = (Json, EncodedBytes, EncodedStr)

_KINDS: dict[str, Callable[[], inspect.Type]] = {
    "string": inspect.StrType,
    "integer": inspect.IntType,
    "number": inspect.FloatType,
    "boolean": inspect.BoolType,
}


class Leaf(NamedTuple):
    """How values of a class are stored.

    Attributes:
        read: From what JSON was read into.
        write: To what JSON can be written from.
        info: What that is.
    """

    read: Callable[[Any], Any]
    write: Callable[[Any], Any]
    info: inspect.Type


def leaf_of(cls: Any, where: str) -> Leaf:
    """How pydantic stores a class.

    Raises:
        WiringError: It does not, or would not give it back.
    """
    if cls in _REFUSED:
        raise WiringError(f"{where}: {_REFUSED[cls]}.")
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(cls)
        schema = adapter.json_schema(mode="serialization")
    except Exception as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise WiringError(
            f"{where}: {cls!r} cannot be stored ({reason}). Use a type that JSON has a form for: "
            "a number, text, date, UUID, Enum, list, dict, a dataclass or another model."
        ) from error
    if schema.get("writeOnly"):
        raise WiringError(
            f"{where}: {cls.__name__} hides its value when it is written, so it could not be read "
            "again. Keep the secret elsewhere, and a reference to it here; or use str."
        )
    kind = _KINDS.get(schema.get("type", ""), inspect.AnyType)
    write = partial(adapter.dump_python, mode="json", warnings="error")
    return Leaf(partial(validated, adapter.validator.validate_python), write, kind())


def refuse_unpacking(metadata: Any, where: str) -> None:
    """Refuses annotations whose validators do not take the value that they have given.

    Raises:
        WiringError: Json, Base64Bytes and their like.
    """
    if metadata is Json or isinstance(metadata, _UNPACKING):
        raise WiringError(
            f"{where}: {metadata!r} unpacks what it is given, and would unpack it again whenever "
            "it is read. Use the type of what is inside."
        )
