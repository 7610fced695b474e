"""Rows that use every kind of column, and how Hypothesis makes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any, Literal
from uuid import UUID

from hypothesis import strategies as st

from diptych.read.port import Found, Origin, Shape, SqlViewStore, ViewStore
from tests.contract.commits import CONTEXT


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Size(IntEnum):
    SMALL = 1
    LARGE = 2


@dataclass(frozen=True)
class Line:
    sku: str
    price: Decimal


@dataclass(frozen=True)
class Count:
    """The plainest row."""

    name: str
    number: int


@dataclass(frozen=True)
class Priced:
    """A composite key, one part of it a Decimal."""

    day: date
    price: Decimal
    count: int


@dataclass(frozen=True)
class Everything:
    id: str
    text: str
    number: int
    real: float
    flag: bool
    raw: bytes
    price: Decimal
    day: date
    at: datetime
    lasted: timedelta
    ref: UUID
    colour: Colour
    size: Size
    level: Literal["low", "high"]
    step: Literal[1, 2]
    lines: tuple[Line, ...]
    words: dict[str, int]
    either: int | str
    maybe_text: str | None
    maybe_number: int | None
    maybe_real: float | None
    maybe_flag: bool | None
    maybe_raw: bytes | None
    maybe_price: Decimal | None
    maybe_day: date | None
    maybe_at: datetime | None
    maybe_lasted: timedelta | None
    maybe_ref: UUID | None
    maybe_colour: Colour | None
    maybe_level: Literal["low", "high"] | None
    maybe_lines: list[Line] | None


COUNTS = Shape(view="count", version=1, row=Count, key=("name",))
PRICED = Shape(view="priced", version=1, row=Priced, key=("day", "price"))
EVERYTHING = Shape(view="everything", version=1, row=Everything, key=("id",))
SHAPES: Sequence[Shape] = (COUNTS, PRICED, EVERYTHING)
ORIGIN = Origin(CONTEXT, "epoch", 0)

texts = st.text(max_size=20)
ints = st.integers(-(2**63), 2**63 - 1)
reals = st.floats(allow_nan=False, allow_infinity=False)
decimals = st.decimals(allow_nan=False, allow_infinity=False, places=None).filter(
    lambda value: abs(value.adjusted()) < 100
)
zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(datetime(1000, 1, 2), datetime(9000, 1, 1), timezones=zones)  # noqa: DTZ001
spans = st.timedeltas(timedelta(days=-100_000), timedelta(days=100_000))
lines = st.builds(Line, sku=texts, price=decimals)


def _maybe(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


everythings = st.builds(
    Everything,
    id=st.uuids().map(str),
    text=texts,
    number=ints,
    real=reals,
    flag=st.booleans(),
    raw=st.binary(max_size=20),
    price=decimals,
    day=st.dates(),
    at=moments,
    lasted=spans,
    ref=st.uuids(),
    colour=st.sampled_from(Colour),
    size=st.sampled_from(Size),
    level=st.sampled_from(("low", "high")),
    step=st.sampled_from((1, 2)),
    lines=st.lists(lines, max_size=3).map(tuple),
    words=st.dictionaries(texts, st.integers(-(2**53), 2**53), max_size=3),
    either=st.integers(-(2**53), 2**53) | texts,
    maybe_text=_maybe(texts),
    maybe_number=_maybe(ints),
    maybe_real=_maybe(reals),
    maybe_flag=_maybe(st.booleans()),
    maybe_raw=_maybe(st.binary(max_size=20)),
    maybe_price=_maybe(decimals),
    maybe_day=_maybe(st.dates()),
    maybe_at=_maybe(moments),
    maybe_lasted=_maybe(spans),
    maybe_ref=_maybe(st.uuids()),
    maybe_colour=_maybe(st.sampled_from(Colour)),
    maybe_level=_maybe(st.sampled_from(("low", "high"))),
    maybe_lines=_maybe(st.lists(lines, max_size=3)),
)


async def put(views: ViewStore, shape: Shape, *rows: Any, delete: Sequence[Any] = ()) -> int:
    """Saves rows, one position on; returns the position."""
    at = await views.checkpoint(shape)
    keys = [key if isinstance(key, tuple) else (key,) for key in delete]
    assert await views.save(shape, rows, keys, expected=at, position=at + 1)
    return at + 1


async def select(views: SqlViewStore, statement: Any) -> Found:
    """What a statement gives in a session of its own."""
    async with views.session() as session:
        return await session.select(statement)


def priced(count: int, price: str) -> Priced:
    """A row whose `count` says where it stands."""
    return Priced(date(2026, 7, 1), Decimal(price), count)


def plain(id: str = "e1", /, **changes: Any) -> Everything:
    """A row with a value in each field that must have one."""
    values: dict[str, Any] = {
        "id": id,
        "text": "t",
        "number": 1,
        "real": 0.5,
        "flag": True,
        "raw": b"r",
        "price": Decimal("1.10"),
        "day": date(2026, 7, 1),
        "at": datetime(2026, 7, 1, 12, tzinfo=UTC),
        "lasted": timedelta(minutes=90),
        "ref": UUID(int=7),
        "colour": Colour.RED,
        "size": Size.SMALL,
        "level": "low",
        "step": 1,
        "lines": (Line("a", Decimal("2.50")),),
        "words": {"a": 1},
        "either": 5,
    }
    values |= {name: None for name in Everything.__annotations__ if name.startswith("maybe_")}
    return Everything(**values | changes)
