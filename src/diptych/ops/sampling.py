"""Examples of a message, made from its annotations, always the same ones."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import msgspec
from msgspec import inspect

from diptych.log.messages import message_type

NUMBERS = (1, 2, 3, 0, 5, 10, 7, 100, 1000, -1, -5)
WORDS = ("a", "b", "c")
LONGER = (*WORDS, "abcd", "abcdefgh", "a@b.example")
"""Where rules that cannot be read from the annotations refuse the short ones."""

DAY = date(2026, 7, 1)
DEPTH = 4
"""How deep a message inside a message is filled; below that lists stay empty."""


class CannotSample(Exception):
    """No example of this type can be made; the text says why."""


class Sampler:
    """Makes examples. Values come from a few, so that keys meet again."""

    def __init__(self, seed: int = 1) -> None:
        self._random = random.Random(seed)
        self._words: Sequence[str] = WORDS
        self._custom: Callable[[type], inspect.Type | None] = lambda _: None

    def of(self, type_: type, count: int) -> list[Any]:
        """Up to `count` examples that obey the annotations.

        Raises:
            CannotSample: None could be made.
        """
        try:
            message = message_type(type_, type_.__name__)
            self._custom = message.form.custom
        except Exception as error:
            raise CannotSample(str(error)) from error
        found: list[Any] = []
        problem = ""
        for attempt in range(count * 10):
            self._words = LONGER if attempt > count * 2 else WORDS
            try:
                found.append(message.decode(msgspec.json.encode(self._value(message.form.info, 0))))
            except CannotSample:
                raise
            except Exception as error:  # a rule over fields, in __post_init__
                problem = str(error)
            if len(found) == count:
                break
        if not found:
            raise CannotSample(problem)
        return found

    def _pick(self, values: Sequence[Any]) -> Any:
        return self._random.choice(values)

    def _value(self, info: inspect.Type, depth: int) -> Any:
        """What its JSON says."""
        match info:
            case inspect.DataclassType(fields=fields) | inspect.StructType(fields=fields):
                given = {
                    field.encode_name: self._value(field.type, depth + 1)
                    for field in fields
                    if field.required or self._random.random() < 0.7
                }
                if isinstance(info, inspect.StructType) and info.tag_field is not None:
                    given[info.tag_field] = info.tag
                return given
            case inspect.UnionType(types=types):
                some = [one for one in types if not isinstance(one, inspect.NoneType)]
                if len(some) < len(types) and (depth > DEPTH or self._random.random() < 0.3):
                    return None
                return self._value(self._pick(some), depth)
            case inspect.Metadata(type=inner):
                return self._value(inner, depth)
            case inspect.CustomType(cls=cls):
                known = self._custom(cls)
                if known is None:
                    raise CannotSample(f"no example of {cls.__qualname__}")
                return self._value(known, depth)
            case inspect.EnumType(cls=cls):
                return self._pick([member.value for member in cls])
            case inspect.LiteralType(values=values):
                return self._pick(values)
            case inspect.TupleType(item_types=items):
                return [self._value(item, depth + 1) for item in items]
            case inspect.DictType(key_type=key, value_type=value):
                return {
                    str(self._value(key, depth + 1)): self._value(value, depth + 1)
                    for _ in range(self._length(info, depth))
                }
            case (
                inspect.ListType(item_type=item)
                | inspect.SetType(item_type=item)
                | inspect.FrozenSetType(item_type=item)
                | inspect.VarTupleType(item_type=item)
                | inspect.CollectionType(item_type=item)
            ):
                return [self._value(item, depth + 1) for _ in range(self._length(info, depth))]
            case _:
                return self._plain(info)

    def _length(self, info: Any, depth: int) -> int:
        least = info.min_length or 0
        most = info.max_length if info.max_length is not None else max(least, 2)
        return least if depth > DEPTH else self._random.randint(least, max(least, min(most, 3)))

    def _plain(self, info: inspect.Type) -> Any:
        moment = datetime(2026, 7, 1, 12, tzinfo=UTC) + timedelta(hours=self._pick((0, 1, 30)))
        match info:
            case inspect.StrType():
                return self._text(info)
            case inspect.BoolType():
                return self._pick((True, False))
            case inspect.IntType():
                return self._number(info, [*NUMBERS])
            case inspect.FloatType():
                return self._number(info, [0.5, *map(float, NUMBERS)])
            case inspect.DecimalType():
                return self._pick(("1.50", "2.00", "10"))
            case inspect.BytesType():
                return base64.b64encode(self._pick((b"a", b"bc"))).decode()
            case inspect.DateTimeType(tz=tz):
                return moment.replace(tzinfo=None if tz is False else UTC).isoformat()
            case inspect.DateType():
                return (DAY + timedelta(days=self._pick((0, 1, 2)))).isoformat()
            case inspect.TimeType():
                return time(self._pick((8, 12))).isoformat()
            case inspect.TimeDeltaType():
                return self._pick(("PT1M", "PT1H", "P1D"))
            case inspect.UUIDType():
                return f"00000000-0000-7000-8000-00000000000{self._pick((1, 2, 3))}"
            case inspect.NoneType():
                return None
            case inspect.AnyType():
                return self._pick(WORDS)
            case _:
                raise CannotSample(f"no example of {type(info).__name__.removesuffix('Type')}")

    def _text(self, info: inspect.StrType) -> str:
        if info.pattern is not None:
            raise CannotSample(f"no example of a text like {info.pattern}")
        word: str = self._pick(self._words)
        least = info.min_length or 0
        text = word * max(1, least)
        return text if info.max_length is None else text[: info.max_length]

    def _number(self, info: Any, near: list[Any]) -> Any:
        lowest = info.ge if info.ge is not None else info.gt
        highest = info.le if info.le is not None else info.lt
        step = info.multiple_of or 1
        for base in (lowest, highest):
            if base is not None:
                near += [base - step, base, base + step]
        fitting = [
            number * step if info.multiple_of and number in NUMBERS else number
            for number in near
            if _fits(number * step if info.multiple_of and number in NUMBERS else number, info)
        ]
        if not fitting:
            raise CannotSample("no example of a number between its bounds")
        return self._pick(fitting[:6])


def _fits(number: Any, info: Any) -> bool:
    return (
        (info.ge is None or number >= info.ge)
        and (info.gt is None or number > info.gt)
        and (info.le is None or number <= info.le)
        and (info.lt is None or number < info.lt)
    )
