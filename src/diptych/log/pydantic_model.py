"""One pydantic model: how it is stored, and made again by its own validator."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from operator import attrgetter, itemgetter
from typing import Annotated, Any, NamedTuple, NotRequired, Protocol, TypedDict

import msgspec
from msgspec import inspect
from pydantic import BaseModel, RootModel, ValidationError
from pydantic.dataclasses import rebuild_dataclass
from pydantic.fields import FieldInfo

from diptych.errors import WiringError


class Place(NamedTuple):
    """Where a type is met.

    Attributes:
        where: As error texts name it: ``Order.lines``.
        raw_enums: Whether the model around it keeps the values of Enums, not their members.
        whole: Whether a type that only pydantic knows is to be read as itself; else as its JSON,
            which the model around it will take.
    """

    annotation: Any
    where: str
    raw_enums: bool = False
    whole: bool = False


class Hooks(Protocol):
    """Whoever knows the models inside."""

    def take(self, place: Place) -> Any:
        """The annotation as msgspec can read it."""
        ...

    def read(self, cls: type, value: Any) -> Any:
        """msgspec's hook."""
        ...


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
        self.validate = partial(validated, cls.__pydantic_validator__.validate_python)

    def take_fields(self, hooks: Hooks) -> None:
        """Takes in what is inside; apart from `__init__`, since a model may hold itself."""
        cls = self._cls
        fields: Mapping[str, FieldInfo] = cls.__pydantic_fields__
        taken: dict[str, Any] = {}
        for name, field in fields.items():
            if field.init is not False:
                stored = hooks.take(place_of(cls, name))
                taken[name] = stored if field.is_required() else NotRequired[stored]
        self._hooks = hooks
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
        fields = msgspec.convert(value, self.stored, str_keys=True, dec_hook=self._hooks.read)
        return self.validate(fields)

    def what(self) -> inspect.Type:
        """`info`, when all is known."""
        return self.info


def made(cls: Any, fields: Mapping[str, Any]) -> Any:
    """See `forms.make_model`."""
    unknown = fields.keys() - cls.__pydantic_fields__.keys()
    if unknown:
        raise TypeError(f"it has no field {', '.join(map(repr, sorted(unknown)))}")
    return validated(cls.__pydantic_validator__.validate_python, fields)


def place_of(cls: Any, name: str, *, whole: bool = False) -> Place:
    """Where a field of a model is."""
    field: FieldInfo = cls.__pydantic_fields__[name]
    annotation: Any = field.annotation
    metadata: list[Any] = [*field.metadata]
    if field.discriminator is not None:
        metadata.append(field)
    if metadata:
        annotation = Annotated[(annotation, *metadata)]
    config = _config(cls)
    return Place(
        annotation,
        f"{cls.__name__}.{name}",
        raw_enums=bool(config.get("use_enum_values")),
        whole=whole or bool(config.get("strict")),
    )


def _config(cls: Any) -> Mapping[str, Any]:
    config: Mapping[str, Any] | None = getattr(cls, "model_config", None)
    return getattr(cls, "__pydantic_config__", {}) if config is None else config


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


def validated(validate: Callable[..., Any], fields: Any) -> Any:
    """What a validator of pydantic's makes of Python values.

    Raises:
        ValidationError: msgspec's, with what pydantic says first, and its path.
    """
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
