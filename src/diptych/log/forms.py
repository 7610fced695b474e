"""How values of a type become JSON and come back: by msgspec, with hooks for pydantic's models."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol, TypeAlias, get_type_hints

import msgspec
from msgspec import inspect

from diptych.log.shapes import walk

Json: TypeAlias = bytes | str
Settle: TypeAlias = Callable[[Any, bytes], tuple[Any, bytes]]


class Form(Protocol):
    """Reads and writes values of one type.

    Whatever reads raises msgspec's errors: `ValidationError`, with a path, for what does not fit
    the type, and `DecodeError` for what is no JSON.

    Attributes:
        info: What is stored, for shapes and columns.
        encode: Canonical JSON; raises what msgspec raises.
        encode_in_order: The same, but dicts keep their order.
        decode: From JSON; unknown fields are tolerated: a newer version may have written them.
        decode_list: Many of them, from a JSON array.
        settle: Where reading may change a value: from what was read, and the JSON it was read
            from, to a value that is read as itself, and its JSON. None where it never does.
    """

    info: inspect.Type
    encode: Callable[[Any], bytes]
    encode_in_order: Callable[[Any], bytes]
    decode: Callable[[Json], Any]
    decode_list: Callable[[Json], list[Any]]
    settle: Settle | None

    def convert(self, value: Any) -> Any:
        """From what JSON was read into, such as an upcast gives."""
        ...

    def make(self, fields: Mapping[str, Any]) -> Any:
        """From fields by name, which are Python values.

        Raises:
            TypeError: There is no such field.
            ValidationError: A value does not fit.
        """
        ...

    def custom(self, cls: type) -> inspect.Type | None:
        """What is stored of a class that msgspec does not know; None where nobody knows it."""
        ...

    def field(self, name: str) -> Form:
        """How one field is stored by itself."""
        ...


class Hooks(Protocol):
    """Take over where msgspec meets a class that it does not know."""

    def read(self, cls: type, value: Any) -> Any:
        """An object of the class from what its JSON was read into; ValueError where it is none."""
        ...

    def write(self, value: Any) -> Any:
        """What is to be written instead; TypeError where nothing is known."""
        ...

    def info(self, cls: type) -> inspect.Type | None:
        """What is stored of the class."""
        ...


class MsgspecForm:
    """Dataclasses, Structs, attrs classes, and all else that msgspec knows.

    Raises:
        TypeError: msgspec does not take the type.
    """

    def __init__(self, type_: Any, hooks: Hooks | None = None) -> None:
        many: Any = list
        self._type = type_
        self._hooks = hooks
        self._read = None if hooks is None else hooks.read
        self.info: inspect.Type = inspect.type_info(type_)
        write = None if hooks is None else hooks.write
        self.encode: Callable[[Any], bytes] = msgspec.json.Encoder(
            order="deterministic", enc_hook=write
        ).encode
        self.encode_in_order: Callable[[Any], bytes] = msgspec.json.Encoder(enc_hook=write).encode
        self.decode: Callable[[Json], Any] = msgspec.json.Decoder(type_, dec_hook=self._read).decode
        self.decode_list: Callable[[Json], list[Any]] = msgspec.json.Decoder(
            many[type_], dec_hook=self._read
        ).decode
        self.settle: Settle | None = None if hooks is None else partial(settle, self)

    def convert(self, value: Any) -> Any:
        return msgspec.convert(value, self._type, str_keys=True, dec_hook=self._read)

    def make(self, fields: Mapping[str, Any]) -> Any:
        return self._type(**fields)

    def custom(self, cls: type) -> inspect.Type | None:
        return None if self._hooks is None else self._hooks.info(cls)

    def field(self, name: str) -> Form:
        return form_of(get_type_hints(self._type, include_extras=True)[name])


def settle(form: Form, value: Any, data: bytes) -> tuple[Any, bytes]:
    """For forms whose validators may change what they read.

    Raises:
        ValidationError: They change again what they have given.
    """
    again = form.encode(value)
    if again == data:
        return value, data
    value = form.decode(again)
    if form.encode(value) != again:
        raise msgspec.ValidationError(
            "its validators change it whenever it is read; they must leave what they gave"
        )
    return value, again


def form_of(type_: Any) -> Form:
    """The form of a message class, or of a field's annotation.

    Pydantic is imported where a model is met, and only there.

    Raises:
        WiringError: A pydantic model that cannot be stored.
        TypeError: msgspec does not take the type.
    """
    if "pydantic" in sys.modules:
        if is_model(type_):
            from diptych.log.pydantic_form import ModelForm

            return ModelForm(type_)
        if _holds_models(type_):
            from diptych.log.pydantic_hooks import Models
            from diptych.log.pydantic_model import Place

            models = Models()
            place = Place(type_, getattr(type_, "__name__", str(type_)))
            return MsgspecForm(models.take(place), models)
    return MsgspecForm(type_)


def _holds_models(type_: Any) -> bool:
    for info in walk(inspect.type_info(type_), lambda cls: None):
        cls = getattr(info, "cls", None)
        if is_model(cls) or hasattr(cls, "__get_pydantic_core_schema__"):
            return True
    return False


def is_model(type_: Any) -> bool:
    """Whether it is a pydantic model or a pydantic dataclass."""
    return isinstance(type_, type) and "__pydantic_validator__" in vars(type_)


def model_fields(type_: Any) -> Mapping[str, Any] | None:
    """What pydantic knows of the fields of a model; None for any other class."""
    fields: Mapping[str, Any] | None = getattr(type_, "__pydantic_fields__", None)
    return fields


def fields_of(model: Any) -> Mapping[str, Any]:
    """The fields of a model and their values, for msgspec, which does not know models.

    Raises:
        TypeError: It is none.
    """
    fields = model_fields(type(model))
    if fields is None:
        raise TypeError(f"Encoding objects of type {type(model).__name__} is unsupported")
    return {name: getattr(model, name) for name in fields}


def is_mutable_model(type_: Any) -> bool:
    """Whether it is one of these, and not frozen."""
    if not is_model(type_):
        return False
    dataclass_parameters = getattr(type_, "__dataclass_params__", None)
    if dataclass_parameters is not None:
        return not dataclass_parameters.frozen
    return not getattr(type_, "model_config", {}).get("frozen", False)


def make_model(type_: Any, fields: Mapping[str, Any]) -> Any:
    """A model from its fields by name, which are Python values.

    Raises:
        TypeError: It has no such field.
        ValidationError: A value does not fit.
    """
    from diptych.log.pydantic_model import made

    return made(type_, fields)
