"""Pydantic's models as messages and rows: msgspec reads and writes their JSON, pydantic validates.

A model is stored as a dataclass with the same fields would be: under the names of its fields, each
in the form of its type. Aliases, serializers and `exclude=` shape what is sent to others, not what
is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from functools import partial
from operator import attrgetter, itemgetter
from types import UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    NotRequired,
    TypedDict,
    Union,
    cast,
    get_args,
    get_origin,
)

import msgspec
import pydantic
from msgspec import Meta, inspect
from pydantic import BaseModel, Discriminator, RootModel, ValidationError
from pydantic.dataclasses import rebuild_dataclass
from pydantic.fields import FieldInfo

from diptych.errors import WiringError
from diptych.log.forms import Form, Json, MsgspecForm, Settle, is_model, settle
from diptych.log.pydantic_leaves import SAME, leaf_of, refuse_unpacking
from diptych.log.shapes import walk


OLDEST = (2, 11)
"""The version in which a validator can be told to go by the names of fields."""


def refuse_old(version: str) -> None:
    """Refuses a pydantic that lacks what is needed here.

    Raises:
        WiringError: It does.
    """
    if tuple(map(int, version.split(".")[:2])) < OLDEST:
        raise WiringError(
            f"pydantic {version} is too old for messages. "
            "Install the one that fits: pip install 'diptych[pydantic]'."
        )


refuse_old(pydantic.VERSION)


class ModelForm:
    """The form of a model, or of a pydantic dataclass."""

    def __init__(self, type_: Any) -> None:
        self._type = type_
        self._models = Models()
        model = self._models.model(type_)
        validate = model.validate
        fields = MsgspecForm(model.stored, self._models)
        self._fields = fields
        self._validate = validate
        self.info: inspect.Type = model.info
        self.encode: Callable[[Any], bytes] = fields.encode
        self.encode_in_order: Callable[[Any], bytes] = fields.encode_in_order
        self.decode: Callable[[Json], Any] = lambda data: validate(fields.decode(data))
        self.decode_list: Callable[[Json], list[Any]] = lambda data: [
            validate(one) for one in fields.decode_list(data)
        ]
        self.settle: Settle | None = partial(settle, self)

    def convert(self, value: Any) -> Any:
        return self._validate(self._fields.convert(value))

    def make(self, fields: Mapping[str, Any]) -> Any:
        return made(self._type, fields)

    def custom(self, cls: type) -> inspect.Type | None:
        return self._models.info(cls)

    def field(self, name: str) -> Form:
        models = Models(whole=True)
        annotation = _annotation(self._type.__pydantic_fields__[name])
        raw = _has_raw_enums(self._type)
        return MsgspecForm(models.take(annotation, f"{self._type.__name__}.{name}", raw), models)


class Models:
    """The hooks for all models inside one message.

    Args:
        whole: Whether types that only pydantic knows are read as themselves; else as their JSON,
            which the model around them validates.
    """

    def __init__(self, *, whole: bool = False) -> None:
        self._whole = whole
        self._models: dict[type, Model] = {}
        self._readers: dict[type, Callable[[Any], Any]] = {}
        self._writers: dict[type, Callable[[Any], Any]] = {}
        # Asked for late: a model may hold itself.
        self._infos: dict[type, Callable[[], inspect.Type]] = {}

    def read(self, cls: type, value: Any) -> Any:
        try:
            return self._readers[cls](value)
        except msgspec.ValidationError as error:
            # msgspec puts the path to here behind any other ValueError, and behind none of its own.
            raise ValueError(str(error)) from None

    def write(self, value: Any) -> Any:
        writer = self._writers.get(value.__class__)
        if writer is None:
            for cls in value.__class__.__mro__:
                if cls in self._writers:
                    writer = self._writers[value.__class__] = self._writers[cls]
                    break
            else:
                raise TypeError(f"Encoding objects of type {type(value).__name__} is unsupported")
        return writer(value)

    def info(self, cls: type) -> inspect.Type | None:
        info = self._infos.get(cls)
        return None if info is None else info()

    def model(self, cls: Any) -> Model:
        """How a model is stored, and all inside it.

        Raises:
            WiringError: Something in it cannot be.
        """
        known = self._models.get(cls)
        if known is None:
            known = self._models[cls] = Model(cls)
            self._readers[cls] = known.read
            self._infos[cls] = known.what
            known.take_fields(self)
            self._writers[cls] = known.write
        return known

    def take(self, annotation: Any, where: str, raw_enums: bool = False) -> Any:
        """An annotation as msgspec can read it, with these hooks.

        Raises:
            WiringError: What it says cannot be stored.
        """
        stored = self._stored(annotation, where, raw_enums)
        try:
            info = inspect.type_info(stored)
        except Exception as error:
            raise WiringError(
                f"{where} cannot be stored: {error}. A field that is one of several models needs "
                "Field(discriminator=…), and a pydantic model around it."
            ) from error
        for inner in walk(info, lambda cls: None):
            cls = getattr(inner, "cls", None)
            if isinstance(inner, inspect.CustomType) and cls not in self._readers:
                if not is_model(cls):
                    raise WiringError(
                        f"{where}: {inner.cls!r} cannot be read back from JSON there. "
                        "Let a pydantic model hold it, or use a type that JSON has a form for."
                    )
                self.model(cls)
            elif isinstance(inner, inspect.DataclassType) and is_model(cls):
                raise WiringError(
                    f"{where}: {inner.cls.__name__} is a pydantic dataclass in a class that is "
                    "none, where its validators would not run. Make both pydantic's, or neither."
                )
        return stored

    def _stored(self, annotation: Any, where: str, raw_enums: bool) -> Any:
        origin, arguments = get_origin(annotation), get_args(annotation)
        stored = partial(self._stored, where=where, raw_enums=raw_enums)
        if origin is Annotated:
            return self._annotated(arguments[0], arguments[1:], where, raw_enums)
        if hasattr(annotation, "__value__"):  # a `type X = …` alias of Python 3.12
            return stored(annotation.__value__)
        if origin in (Union, UnionType):
            return Union[tuple(map(stored, arguments))]  # noqa: UP007
        if origin is Literal:
            # msgspec knows no literal of an Enum's member: its class reads it, pydantic compares.
            kinds: set[Any] = {type(one) for one in arguments}
            enum = kinds.pop()
            return enum if not kinds and issubclass(enum, Enum) else annotation
        if origin is None and not isinstance(annotation, type):
            return annotation
        if origin is not None:
            inner = tuple(map(stored, arguments))
            return annotation if inner == arguments else origin[inner]
        if annotation in SAME:
            return SAME[annotation]
        if raw_enums and issubclass(annotation, Enum):
            return Literal[tuple(member.value for member in annotation)]
        if is_model(annotation):
            if issubclass(annotation, BaseModel):
                return annotation
            # msgspec would make it as a dataclass, without its validators.
            model = self.model(annotation)
            return self._stand_in(annotation.__name__, model.read, model.what)
        if isinstance(_info(annotation), inspect.CustomType) and annotation not in self._readers:
            leaf = leaf_of(annotation, where)
            self._writers[annotation] = leaf.write
            read = leaf.read if self._whole else _as_it_is
            return self._stand_in(annotation.__name__, read, lambda: leaf.info)
        return annotation

    def _annotated(
        self, annotation: Any, metadata: Sequence[Any], where: str, raw_enums: bool
    ) -> Any:
        for one in metadata:
            refuse_unpacking(one, where)
            if isinstance(one, FieldInfo | Discriminator) and one.discriminator is not None:
                tag: Any = one.discriminator
                return self._choice(annotation, getattr(tag, "discriminator", tag), where)
        stored = self._stored(annotation, where, raw_enums)
        constraints = tuple(one for one in metadata if isinstance(one, Meta))
        return Annotated[(stored, *constraints)] if constraints else stored

    def _choice(self, annotation: Any, tag: Any, where: str) -> Any:
        """One of several models, told by a field that each of them has."""
        members = [one for one in get_args(annotation) if one is not type(None)]
        models: dict[Any, Model] = {}  # by the value of that field
        for member in members:
            fields = getattr(member, "__pydantic_fields__", {})
            if not isinstance(tag, str) or tag not in fields:
                raise WiringError(
                    f"{where}: the discriminator {tag!r} is no field of {member!r}. "
                    "Give each model a field of that name: kind: Literal['…']."
                )
            for value in get_args(fields[tag].annotation):
                models[value.value if isinstance(value, Enum) else value] = self.model(member)

        def read(value: Any) -> Any:
            if not isinstance(value, dict):
                raise ValueError(f"Expected `object`, got `{type(value).__name__}`")
            found: Any = cast("dict[str, Any]", value).get(tag)
            if found not in models:
                known = ", ".join(map(repr, models))
                raise ValueError(f"Expected one of {known}, got {found!r} - at `$.{tag}`")
            return models[found].read(value)

        def info() -> inspect.Type:
            return inspect.UnionType(
                tuple(model.what() for model in dict.fromkeys(models.values()))
            )

        stand_in = self._stand_in(tag, read, info)
        return stand_in | None if len(members) < len(get_args(annotation)) else stand_in

    def _stand_in(
        self, name: str, read: Callable[[Any], Any], info: Callable[[], inspect.Type]
    ) -> Any:
        """A class that msgspec does not know, so that it asks `read`."""
        cls = _AnyInstance(name, (), {})
        self._readers[cls] = read
        self._infos[cls] = info
        return cls


class Model:
    """How one model is stored.

    Attributes:
        stored: What msgspec reads of it: a TypedDict, or the type of a RootModel's root.
        info: The same, as shapes and columns see it.
        validate: Makes it from that; raises msgspec's ValidationError.
        write: What msgspec writes for it.
    """

    stored: Any
    info: inspect.Type
    write: Callable[[Any], Any]

    def __init__(self, cls: Any) -> None:
        _refuse_unfit(cls)
        self._cls = cls
        self.validate = partial(_validated, cls.__pydantic_validator__.validate_python)

    def take_fields(self, models: Models) -> None:
        """Takes in what is inside; apart from `__init__`, since a model may hold itself."""
        cls = self._cls
        fields: Mapping[str, FieldInfo] = cls.__pydantic_fields__
        raw_enums = _has_raw_enums(cls)
        taken: dict[str, Any] = {}
        for name, field in fields.items():
            if field.init is not False:
                stored = models.take(_annotation(field), f"{cls.__name__}.{name}", raw_enums)
                taken[name] = stored if field.is_required() else NotRequired[stored]
        self._models = models
        if issubclass(cls, RootModel):
            self.stored = taken["root"]
            self.info = inspect.type_info(self.stored)
            self.write = attrgetter("root")
        else:
            make: Any = TypedDict
            self.stored = make(cls.__name__, taken)
            # A Struct keeps the order of its fields where a dict would be sorted.
            written = msgspec.defstruct(cls.__name__, list(taken))
            typed: Any = inspect.type_info(self.stored)
            by_name = {field.name: field for field in typed.fields}  # sorted, as msgspec gives it
            self.info = inspect.StructType(written, tuple(by_name[name] for name in taken))
            self.write = partial(_written, written, _values_of(tuple(taken)))

    def read(self, value: Any) -> Any:
        """A model from what its JSON was read into."""
        fields = msgspec.convert(value, self.stored, str_keys=True, dec_hook=self._models.read)
        return self.validate(fields)

    def what(self) -> inspect.Type:
        """`info`, when all is known."""
        return self.info


class _AnyInstance(type):
    """msgspec looks whether a hook gave what it was asked for; the model's validator will."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return True


def made(cls: Any, fields: Mapping[str, Any]) -> Any:
    """See `forms.make_model`."""
    unknown = fields.keys() - cls.__pydantic_fields__.keys()
    if unknown:
        raise TypeError(f"it has no field {', '.join(map(repr, sorted(unknown)))}")
    return _validated(cls.__pydantic_validator__.validate_python, fields)


def _as_it_is(value: Any) -> Any:
    return value


def _info(annotation: Any) -> inspect.Type | None:
    try:
        return inspect.type_info(annotation)
    except Exception:
        return None  # told with its place when the whole field is looked at


def _annotation(field: FieldInfo) -> Any:
    metadata: list[Any] = [*field.metadata]
    if field.discriminator is not None:
        metadata.append(field)
    return Annotated[(field.annotation, *metadata)] if metadata else field.annotation


def _config(cls: Any) -> Mapping[str, Any]:
    config: Mapping[str, Any] | None = getattr(cls, "model_config", None)
    return getattr(cls, "__pydantic_config__", {}) if config is None else config


def _has_raw_enums(cls: Any) -> bool:
    return bool(_config(cls).get("use_enum_values"))


def _refuse_unfit(cls: Any) -> None:
    try:
        if issubclass(cls, BaseModel):
            cls.model_rebuild()
        else:
            rebuild_dataclass(cls)
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise WiringError(
            f"{cls.__module__}.{cls.__qualname__} cannot be a message: {reason} Import the names "
            "in its annotations at run time, and define them at module level."
        ) from error
    if _config(cls).get("extra") == "allow":
        raise WiringError(
            f"{cls.__qualname__} takes extra fields (extra='allow'), of which nobody knows what "
            "they are when they are read again. Declare them, or a dict that holds them."
        )


def _values_of(names: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
    if len(names) > 1:
        return itemgetter(*names)
    return lambda fields: tuple(fields[name] for name in names)


def _written(struct: type, values_of: Callable[[Any], tuple[Any, ...]], model: Any) -> Any:
    try:
        return struct(*values_of(model.__dict__))
    except KeyError as missing:
        raise ValueError(f"Object missing required field `{missing.args[0]}`") from None


def _validated(validate: Callable[..., Any], fields: Any) -> Any:
    try:
        return validate(fields, by_alias=False, by_name=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        cause = first.get("ctx", {}).get("error")  # what a validator of the user's raised
        reason = str(cause) if isinstance(cause, Exception) else first["msg"]
        path = _path(first["loc"], fields)
        raise msgspec.ValidationError(f"{reason} - at `${path}`" if path else reason) from None


def _path(location: Sequence[int | str], value: Any) -> str:
    path = ""
    for place in location:
        inside = _inside(place, value)
        if inside is not None or not path:
            path += f".{place}" if isinstance(place, str) else f"[{place}]"
            value = inside
        # else it names a member of a union, or a validator
    return path


def _inside(place: int | str, value: Any) -> Any:
    try:
        return value[place]
    except (LookupError, TypeError):
        return None
