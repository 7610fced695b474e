"""What msgspec is told of pydantic's models, and of the types that only pydantic knows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from functools import partial
from types import UnionType
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin

import msgspec
from msgspec import Meta, inspect
from pydantic import BaseModel, Discriminator
from pydantic.fields import FieldInfo

from diptych.errors import WiringError
from diptych.log.forms import is_model
from diptych.log.pydantic_leaves import SAME, leaf_of, refuse_unpacking
from diptych.log.pydantic_model import Model, Place
from diptych.log.shapes import walk


class Models:
    """The hooks for all models inside one message."""

    def __init__(self) -> None:
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

    def take(self, place: Place) -> Any:
        """The annotation of a place as msgspec can read it, with these hooks.

        Raises:
            WiringError: What it says cannot be stored.
        """
        stored = self._stored(place.annotation, place)
        where = place.where
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

    def _stored(self, annotation: Any, place: Place) -> Any:
        origin, arguments = get_origin(annotation), get_args(annotation)
        stored = partial(self._stored, place=place)
        if origin is Annotated:
            return self._annotated(arguments[0], arguments[1:], place)
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
        if place.raw_enums and issubclass(annotation, Enum):
            return Literal[tuple(member.value for member in annotation)]
        if is_model(annotation):
            if issubclass(annotation, BaseModel):
                return annotation
            # msgspec would make it as a dataclass, without its validators.
            model = self.model(annotation)
            return self._stand_in(annotation.__name__, model.read, model.what)
        if isinstance(_info(annotation), inspect.CustomType) and annotation not in self._readers:
            leaf = leaf_of(annotation, place.where)
            self._writers[annotation] = leaf.write
            read = leaf.read if place.whole else _as_it_is
            return self._stand_in(annotation.__name__, read, lambda: leaf.info)
        return annotation

    def _annotated(self, annotation: Any, metadata: Sequence[Any], place: Place) -> Any:
        for one in metadata:
            refuse_unpacking(one, place.where)
            if isinstance(one, FieldInfo | Discriminator) and one.discriminator is not None:
                tag: Any = one.discriminator
                return self._choice(annotation, getattr(tag, "discriminator", tag), place)
        stored = self._stored(annotation, place)
        constraints = tuple(one for one in metadata if isinstance(one, Meta))
        return Annotated[(stored, *constraints)] if constraints else stored

    def _choice(self, annotation: Any, tag: Any, place: Place) -> Any:
        """One of several models, told by a field that each of them has."""
        members = [one for one in get_args(annotation) if one is not type(None)]
        models: dict[Any, Model] = {}  # by the value of that field
        for member in members:
            fields = getattr(member, "__pydantic_fields__", {})
            if not isinstance(tag, str) or tag not in fields:
                raise WiringError(
                    f"{place.where}: the discriminator {tag!r} is no field of {member!r}. "
                    "Give each model a field of that name: kind: Literal['…']."
                )
            for value in get_args(fields[tag].annotation):
                models[value.value if isinstance(value, Enum) else value] = self.model(member)

        def read(value: Any) -> Any:
            if not isinstance(value, dict):
                raise ValueError(f"Expected `object`, got `{type(value).__name__}`")
            found: Any = cast("dict[str, Any]", value).get(tag)
            model = models.get(found) if isinstance(found, str | int) else None
            if model is None:
                known = ", ".join(map(repr, models))
                raise ValueError(f"Expected one of {known}, got {found!r} - at `$.{tag}`")
            return model.read(value)

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


class _AnyInstance(type):
    """msgspec looks whether a hook gave what it was asked for; the model's validator will."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return True


def _as_it_is(value: Any) -> Any:
    return value


def _info(annotation: Any) -> inspect.Type | None:
    try:
        return inspect.type_info(annotation)
    except Exception:
        return None  # told with its place when the whole field is looked at
