"""What is stored of a type, in words that can be compared over time, and looked through."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias, cast

from msgspec import inspect

from diptych.log.names import OPTIONAL

Custom: TypeAlias = Callable[[type], inspect.Type | None]
"""What is stored of a class that msgspec does not know; None where nobody knows it."""


def field_shapes(info: inspect.Type, custom: Custom) -> dict[str, str]:
    """The fields of a message and their stored form."""
    return _fields(info, custom, ())


def _fields(info: inspect.Type, custom: Custom, above: tuple[type, ...]) -> dict[str, str]:
    fields = cast("inspect.DataclassType | inspect.StructType", info)
    return {
        field.encode_name: _shape(field.type, custom, (*above, fields.cls))
        + ("" if field.required else OPTIONAL)
        for field in fields.fields
    }


def _shape(info: inspect.Type, custom: Custom, above: tuple[type, ...]) -> str:
    match info:
        case inspect.DataclassType(cls=cls) | inspect.StructType(cls=cls):
            if cls in above:
                return cls.__name__
            fields = _fields(info, custom, above)
            return f"{{{', '.join(f'{name}: {shape}' for name, shape in fields.items())}}}"
        case inspect.UnionType(types=types):
            return " | ".join(sorted(_shape(member, custom, above) for member in types))
        case (
            inspect.ListType(item_type=item)
            | inspect.SetType(item_type=item)
            | inspect.FrozenSetType(item_type=item)
            | inspect.VarTupleType(item_type=item)
            | inspect.CollectionType(item_type=item)
        ):
            return f"[{_shape(item, custom, above)}]"
        case inspect.TupleType(item_types=items):
            return f"({', '.join(_shape(item, custom, above) for item in items)})"
        case inspect.DictType(key_type=key, value_type=value):
            return f"{{{_shape(key, custom, above)}: {_shape(value, custom, above)}}}"
        case inspect.EnumType(cls=cls):
            return " | ".join(sorted(repr(member.value) for member in cls))
        case inspect.LiteralType(values=values):
            return " | ".join(sorted(map(repr, values)))
        case inspect.Metadata(type=inner):
            return _shape(inner, custom, above)
        case inspect.CustomType(cls=cls) if (known := custom(cls)) is not None:
            return _shape(known, custom, above)
        case _:
            return type(info).__name__.removesuffix("Type").lower()


def is_suspicious(info: inspect.Type, custom: Custom) -> bool:
    """Whether a value that JSON would quietly change or a decoder quietly take can be inside."""
    return any(
        isinstance(
            inner,
            inspect.FloatType | inspect.DecimalType | inspect.DateTimeType | inspect.AnyType,
        )
        for inner in walk(info, custom)
    )


def walk(info: inspect.Type, custom: Custom) -> Iterator[inspect.Type]:
    """A type and all that are inside it, each class once."""
    seen: set[Any] = set()
    waiting = [info]
    while waiting:
        info = waiting.pop()
        yield info
        match info:
            case (
                inspect.DataclassType(cls=cls)
                | inspect.StructType(cls=cls)
                | inspect.TypedDictType(cls=cls)
                | inspect.NamedTupleType(cls=cls)
            ):
                if cls not in seen:
                    seen.add(cls)
                    waiting += [field.type for field in info.fields]
            case inspect.UnionType(types=types) | inspect.TupleType(item_types=types):
                waiting += types
            case (
                inspect.ListType(item_type=item)
                | inspect.SetType(item_type=item)
                | inspect.FrozenSetType(item_type=item)
                | inspect.VarTupleType(item_type=item)
                | inspect.CollectionType(item_type=item)
            ):
                waiting.append(item)
            case inspect.DictType(key_type=key, value_type=value):
                waiting += (key, value)
            case inspect.Metadata(type=inner):
                waiting.append(inner)
            case inspect.CustomType(cls=cls) if (known := custom(cls)) is not None:
                if cls not in seen:
                    seen.add(cls)
                    waiting.append(known)
            case _:
                pass
