"""Rows of mapped classes on PostgreSQL: what SQLAlchemy would write and read, and nothing bent."""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import (
    ARRAY,
    JSON,
    BigInteger,
    DateTime,
    Double,
    Integer,
    Interval,
    LargeBinary,
    Numeric,
    SmallInteger,
    String,
    Text,
    Time,
    TypeDecorator,
    create_engine,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from diptych.adapters.postgres.address import address
from diptych.adapters.postgres.store import PostgresStore
from diptych.errors import BadResult, WiringError
from diptych.log.commit import Append, Appended, Commit, Committed
from tests.contract.commits import CONTEXT, WAITING, cause, event, new_id


class Mood(enum.Enum):
    GOOD = "good"
    BAD = "it's bad"


class Cents(TypeDecorator[Decimal]):
    """Euros in Python, cents in the database."""

    impl = Integer
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        return None if value is None else int(value * 100)

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        return None if value is None else Decimal(value) / 100


class Base(DeclarativeBase): ...


class Thing(Base):
    __tablename__ = "things"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    word: Mapped[str | None] = mapped_column(String(10))
    words: Mapped[str | None] = mapped_column(Text)
    flag: Mapped[bool | None]
    small: Mapped[int | None] = mapped_column(SmallInteger)
    number: Mapped[int | None]
    big: Mapped[int | None] = mapped_column(BigInteger)
    exact: Mapped[Decimal | None] = mapped_column(Numeric(12, 2))
    free: Mapped[Decimal | None] = mapped_column(Numeric)
    cents: Mapped[Decimal | None] = mapped_column(Cents)
    real: Mapped[float | None] = mapped_column(Double)
    day: Mapped[date | None]
    at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    wall: Mapped[datetime | None]
    clock: Mapped[time | None] = mapped_column(Time)
    lasts: Mapped[timedelta | None] = mapped_column(Interval)
    raw: Mapped[bytes | None] = mapped_column(LargeBinary)
    json: Mapped[Any] = mapped_column(JSON(none_as_null=True), nullable=True)
    jsonb: Mapped[Any] = mapped_column(JSONB(none_as_null=True), nullable=True)
    mood: Mapped[Mood | None]
    other: Mapped[UUID | None]


ATTRIBUTES = [column.key for column in Thing.__mapper__.column_attrs]
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=10)
DAYS = st.dates(date(1, 1, 2), date(9999, 12, 30))  # asyncpg takes the very ends for infinity
MOMENTS = st.builds(datetime.combine, DAYS, st.times())
PLAIN = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXTS
JSONS = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner)
)
KINDS: dict[str, st.SearchStrategy[Any]] = {
    "word": TEXTS,
    "words": TEXTS,
    "flag": st.booleans(),
    "small": st.integers(-(2**15), 2**15 - 1),
    "number": st.integers(-(2**31), 2**31 - 1),
    "big": st.integers(-(2**63), 2**63 - 1),
    "exact": st.decimals(-(10**9), 10**9, places=2),
    "free": st.decimals(
        allow_nan=False, allow_infinity=False, places=30, min_value=-9, max_value=9
    ),
    "cents": st.integers(-1000, 1000).map(lambda n: Decimal(n) / 100),
    "real": st.floats(allow_nan=False),
    "day": DAYS,
    "at": MOMENTS.map(lambda at: at.replace(tzinfo=UTC)),
    "wall": MOMENTS,
    "clock": st.times(),
    "lasts": st.timedeltas(timedelta(-(10**6)), timedelta(10**6)),
    "raw": st.binary(max_size=20),
    "json": JSONS,
    "jsonb": JSONS,
    "mood": st.sampled_from(Mood),
    "other": st.uuids(),
}
VALUES = st.fixed_dictionaries({name: st.none() | kind for name, kind in KINDS.items()})


@pytest.fixture
async def store(postgres: str) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(address(postgres), waiting=WAITING)
    store.map_row(Thing)
    await store.open(CONTEXT, [])
    yield store
    await store.close()


@pytest.fixture
def orm(store: PostgresStore, postgres: str) -> Iterator[Session]:
    engine = create_engine(postgres.replace("postgresql:", "postgresql+psycopg:"))
    with Session(engine) as session:
        yield session
    engine.dispose()


async def change(store: PostgresStore, id: UUID, stood: Any, row: Thing | None) -> Committed:
    """What a decision on a row does to it."""
    mapping = store.map_row(Thing)
    state = mapping.change(mapping.key(id), stood, row, trusted=False)
    append = Append(f"thing:{id}", None, (event(),), None, state)
    return await store.commit(Commit(cause=cause(new_id()), appends=(append,)))


def values_of(row: Any) -> dict[str, Any]:
    return {name: getattr(row, name) for name in ATTRIBUTES}


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
async def test_any_row_comes_back_as_it_was_and_as_an_orm_reads_it(
    store: PostgresStore, orm: Session, data: st.DataObject
) -> None:
    mapping = store.map_row(Thing)
    id = data.draw(st.uuids())
    for _ in range(2):
        _, stood = await store.read_row("", f"thing:{id}", mapping.table, mapping.key(id))
        given = data.draw(VALUES)
        assert isinstance(await change(store, id, stood, Thing(id=id, **given)), Appended)
        _, values = await store.read_row("", f"thing:{id}", mapping.table, mapping.key(id))
        assert values is not None
        found = values_of(mapping.load(values))
        assert found == {"id": id, **given}
        orm.rollback()
        orm.expire_all()
        assert values_of(orm.get_one(Thing, id)) == found
        # What was read is what is compared.
        assert isinstance(await change(store, id, values, mapping.load(values)), Appended)
    assert isinstance(await change(store, id, values, None), Appended)
    orm.rollback()
    assert orm.get(Thing, id) is None


@pytest.mark.parametrize(
    ("name", "value", "match"),
    [
        ("exact", Decimal("1.005"), r"would come back as Decimal\('1\.0"),
        ("free", Decimal("NaN"), "not a number"),
        ("real", float("nan"), "not a number"),
        ("words", "a\0b", "NUL"),
        ("words", "\ud800", "encoded"),
        (
            "at",
            datetime(2020, 1, 1),  # noqa: DTZ001
            "a time zone",
        ),
        ("wall", datetime(2020, 1, 1, tzinfo=UTC), "no time zone"),
        ("mood", "excellent", "enum mood"),
        ("word", "more than ten characters", "too long"),
        ("small", 2**15, "small|range"),
        ("number", "5", "'5'"),
    ],
)
async def test_what_a_column_cannot_keep_is_refused_and_nothing_happens(
    store: PostgresStore, name: str, value: Any, match: str
) -> None:
    id = UUID(int=1)
    with pytest.raises(BadResult, match=match):
        await change(store, id, None, Thing(id=id, **{name: value}))
    assert await store.head() == 0
    assert isinstance(await change(store, id, None, Thing(id=id)), Appended)


def test_an_array_is_refused_when_the_app_is_made(postgres: str) -> None:
    class Listed(Base):
        __tablename__ = "listed"
        id: Mapped[str] = mapped_column(primary_key=True)
        names: Mapped[list[str]] = mapped_column(ARRAY(String))

    with pytest.raises(WiringError, match=r"Listed\.names: an array.*JSON, or Handlers"):
        PostgresStore(address(postgres), waiting=WAITING).map_row(Listed)
