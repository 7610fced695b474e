"""Instances of mapped classes as rows: what SQLAlchemy would write and read, and nothing bent."""

from __future__ import annotations

import enum
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import count
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Column,
    Computed,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    Interval,
    Numeric,
    StaticPool,
    String,
    TypeDecorator,
    create_engine,
    func,
    inspect,
    text,
)
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    MappedAsDataclass,
    Session,
    column_property,
    mapped_column,
    relationship,
)

from diptych.adapters.sql.mapped import MappedRow
from diptych.adapters.sqlite.connection import connect
from diptych.adapters.sqlite.rows import read_rows, write_changes
from diptych.adapters.sqlite.schema import TABLES
from diptych.adapters.states import States
from diptych.errors import BadResult, WiringError
from diptych.log.commit import StateRow

DIALECT: Dialect = SQLiteDialect_pysqlite(dbapi=sqlite3)


class Base(DeclarativeBase): ...


class Colour(enum.Enum):
    RED = "r"
    BLUE = "b"


class Centimetres(TypeDecorator[float]):
    """Metres in Python, whole centimetres in the database."""

    impl = Integer
    cache_ok = True

    def process_bind_param(self, value: float | None, dialect: Dialect) -> int | None:
        return None if value is None else round(value * 100)

    def process_result_value(self, value: int | None, dialect: Dialect) -> float | None:
        return None if value is None else value / 100


class Everything(Base):
    __tablename__ = "every thing"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    word: Mapped[str] = mapped_column("a word")
    number: Mapped[int] = mapped_column(BigInteger)
    real: Mapped[float]
    yes: Mapped[bool]
    data: Mapped[bytes]
    money: Mapped[Decimal] = mapped_column(Numeric(12, 2))
    day: Mapped[date]
    hour: Mapped[time]
    moment: Mapped[datetime]
    span: Mapped[timedelta] = mapped_column(Interval)
    colour: Mapped[Colour]
    other: Mapped[UUID]
    tree: Mapped[Any] = mapped_column(JSON)
    length: Mapped[float] = mapped_column(Centimetres)
    maybe: Mapped[int | None]


class Counter(Base):
    """With all that a database or SQLAlchemy fills in."""

    __tablename__ = "counters"
    id: Mapped[str] = mapped_column(primary_key=True)
    hits: Mapped[int]
    label: Mapped[str] = mapped_column(default="plain")
    note: Mapped[str | None]
    made: Mapped[str] = mapped_column(server_default=text("'by the database'"))
    changes: Mapped[int] = mapped_column(default=lambda: 0, onupdate=lambda: next(_numbers))
    version: Mapped[int] = mapped_column()
    double: Mapped[int] = mapped_column(Computed("hits * 2"))

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012


_numbers = count(1)


class Database:
    """One database in memory, for diptych and for SQLAlchemy."""

    def __init__(self, row: type[Base]) -> None:
        self.mapped = MappedRow(row, DIALECT)
        self.connection = connect(None, read_only=False)
        for statement in [*TABLES.split(";\n"), *self.mapped.ddl]:
            self.connection.execute(statement)
        self.session = Session(
            create_engine("sqlite://", creator=lambda: self.connection, poolclass=StaticPool),
            expire_on_commit=True,
        )

    def stored(self, key: Any) -> tuple[Any, ...] | None:
        """All columns, as they are in the table."""
        ((_, values),) = read_rows(
            self.connection, [("", "s", self.mapped.table, self.mapped.key(key))]
        )
        return values

    def loaded(self, key: Any) -> Any:
        values = self.stored(key)
        return None if values is None else self.mapped.load(values)

    def put(self, key: Any, row: Any | None) -> StateRow:
        """Writes what an instance makes of the row that is there."""
        change = self.mapped.change(self.mapped.key(key), self.stored(key), row, trusted=False)
        states = States(lambda _: True)
        states.take(change)
        write_changes(self.connection, states.changes())
        return change


def attributes(row: Any) -> dict[str, Any]:
    return {key: getattr(row, key) for key in inspect(type(row)).column_attrs.keys()}  # noqa: SIM118


plain_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
json_trees = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | plain_text,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(plain_text, inner, max_size=2),
    max_leaves=4,
)
everything = st.fixed_dictionaries(
    {
        "word": plain_text,
        "number": st.integers(-(2**63), 2**63 - 1),
        "real": st.floats(allow_nan=False),
        "yes": st.booleans(),
        "data": st.binary(max_size=8),
        "money": st.decimals(-9999, 9999, places=2),
        "day": st.dates(),
        "hour": st.times(),
        "moment": st.datetimes(),
        "span": st.timedeltas(timedelta(-9999), timedelta(9999)),
        "colour": st.sampled_from(Colour),
        "other": st.uuids(),
        "tree": json_trees,
        "length": st.integers(-999, 999).map(lambda n: n / 100),
        "maybe": st.none() | st.integers(-9, 9),
    }
)


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    """One for all examples."""
    database = Database(Everything)
    yield database
    database.connection.close()


class TestColumns:
    @given(first=everything, second=everything, key=st.uuids())
    @settings(max_examples=60, deadline=None)
    def test_what_is_put_is_what_sqlalchemy_reads_and_what_comes_back(
        self, database: Database, first: dict[str, Any], second: dict[str, Any], key: UUID
    ) -> None:
        for values in (first, second):
            change = database.put(key, Everything(id=key, **values))
            assert attributes(database.loaded(key)) == {"id": key, **values}
            with database.session as session:
                assert attributes(session.get_one(Everything, key)) == {"id": key, **values}
            assert change.becomes is not None
            # What a next decision would stand on is what there is, also before it is written.
            assert attributes(database.mapped.load(change.becomes)) == {"id": key, **values}

    @given(values=everything, key=st.uuids())
    @settings(max_examples=60, deadline=None)
    def test_what_sqlalchemy_writes_is_loaded_and_put_again_without_a_change(
        self, database: Database, values: dict[str, Any], key: UUID
    ) -> None:
        database.put(key, None)  # a generated key may come again
        with database.session as session:
            session.add(Everything(id=key, **values))
            session.commit()
        assert attributes(database.loaded(key)) == {"id": key, **values}
        change = database.put(key, Everything(id=key, **values))
        # SQLite makes numbers of JSON that is one; nothing else is written again.
        assert (change.puts == ()) is not (type(values["tree"]) is int)

    @pytest.mark.parametrize(
        ("attribute", "value", "why"),
        [
            ("moment", datetime(2026, 1, 1, tzinfo=UTC), "would come back as"),
            ("hour", time(12, tzinfo=UTC), "would come back as"),
            ("money", Decimal("1.005"), "would come back as"),
            ("moment", "2026", "only accepts Python datetime"),
            ("number", 2**63, "over 64 bits"),
            ("number", object(), "SQLite cannot keep"),
            ("real", float("nan"), "not a number"),
            ("word", "\ud800", "cannot be encoded"),
        ],
    )
    def test_a_value_that_would_be_bent_is_refused_with_its_attribute(
        self, attribute: str, value: Any, why: str
    ) -> None:
        database = Database(Everything)
        key = UUID(int=1)
        with pytest.raises(BadResult, match=rf"Rows\(Everything\) gave '{attribute}'.*{why}"):
            database.put(key, Everything(**{"id": key, attribute: value}))


class TestFillingIn:
    def test_a_new_row_has_the_defaults_that_sqlalchemy_would_give(self) -> None:
        database = Database(Counter)
        change = database.put("a", Counter(id="a", hits=1))
        assert not change.whole
        with database.session as session:
            session.add(Counter(id="b", hits=1))
            session.commit()
        ours, theirs = database.stored("a"), database.stored("b")
        assert ours is not None
        assert theirs is not None
        assert ours[1:] == theirs[1:]
        assert attributes(database.loaded("a")) == {
            "id": "a",
            "hits": 1,
            "label": "plain",
            "note": None,
            "made": "by the database",
            "changes": 0,
            "version": 1,
            "double": 2,
        }

    def test_columns_that_are_not_set_keep_what_they_have(self) -> None:
        database = Database(Counter)
        database.put("a", Counter(hits=1, label="mine", note="kept", made="by me"))
        database.put("a", Counter(id="a", hits=2))
        row = database.loaded("a")
        assert (row.hits, row.label, row.note, row.made) == (2, "mine", "kept", "by me")

    def test_none_removes_what_was_there(self) -> None:
        database = Database(Counter)
        database.put("a", Counter(hits=1, note="gone"))
        database.put("a", Counter(hits=1, note=None))
        assert database.loaded("a").note is None

    def test_a_new_row_s_none_leaves_the_default(self) -> None:
        database = Database(Counter)
        database.put("a", Counter(hits=1, label=None, made=None))
        row = database.loaded("a")
        assert (row.label, row.made) == ("plain", "by the database")

    def test_a_change_fills_in_what_sqlalchemy_would_and_counts_its_version(self) -> None:
        database = Database(Counter)
        database.put("a", Counter(hits=1))
        first = database.loaded("a")
        database.put("a", Counter(hits=2))
        second = database.loaded("a")
        assert second.changes > first.changes
        assert (second.version, second.double) == (first.version + 1, 4)
        assert database.put("a", Counter(hits=2)).puts == ()
        assert database.loaded("a").version == second.version

    def test_who_holds_an_older_version_in_a_session_cannot_overwrite(self) -> None:
        from sqlalchemy.orm.exc import StaleDataError

        database = Database(Counter)
        database.put("a", Counter(hits=1))
        with database.session as session:
            held = session.get_one(Counter, "a")
            database.put("a", Counter(hits=2))
            held.hits = 99
            with pytest.raises(StaleDataError):
                session.flush()
            session.rollback()

    def test_none_for_the_row_removes_it_and_a_new_one_begins_anew(self) -> None:
        database = Database(Counter)
        database.put("a", Counter(hits=1, note="old"))
        database.put("a", None)
        assert database.stored("a") is None
        database.put("a", Counter(hits=5))
        assert database.loaded("a").note is None

    def test_a_dataclass_is_a_row_like_any_other(self) -> None:
        class Point(MappedAsDataclass, Base):
            __tablename__ = "points"
            id: Mapped[int] = mapped_column(primary_key=True)
            x: Mapped[int] = mapped_column(default=7)

        database = Database(Point)
        database.put(1, Point(id=1))
        assert database.loaded(1).x == 7


class TestKeys:
    def test_the_key_is_the_primary_key_whether_the_row_says_so_or_not(self) -> None:
        database = Database(Counter)
        database.put("a", Counter(hits=1))
        assert database.loaded("a").id == "a"

    def test_a_row_of_another_key_is_refused(self) -> None:
        with pytest.raises(BadResult, match=r"gave 'id' the value 'b', for the key 'a'"):
            Database(Counter).put("a", Counter(id="b", hits=1))

    def test_something_else_than_the_mapped_class_is_refused(self) -> None:
        with pytest.raises(BadResult, match=r"returned dict\. Return a Counter, or None"):
            Database(Counter).put("a", {"hits": 1})

    @pytest.mark.parametrize("key", [1, True, b"a", UUID(int=1)])
    def test_a_key_of_another_type_than_the_column_is_refused(self, key: Any) -> None:
        with pytest.raises(ValueError, match=r"but counters\.id keeps str"):
            MappedRow(Counter, DIALECT).key(key)

    def test_keys_that_the_column_takes_for_the_same_are_not_the_same(self) -> None:
        class Caseless(Base):
            __tablename__ = "caseless"
            id: Mapped[str] = mapped_column(String(collation="NOCASE"), primary_key=True)

        database = Database(Caseless)
        database.put("a", Caseless())
        assert database.stored("A") is None


def mapped(**members: Any) -> type:
    """A mapped class with an id and these members, on a base of its own."""

    class Its(DeclarativeBase): ...

    members = {"__tablename__": "things", "id": Column(String, primary_key=True), **members}
    return type("Thing", (Its,), members)


def with_relationship() -> type:
    class Its(DeclarativeBase): ...

    class Other(Its):
        __tablename__ = "others"
        id: Mapped[str] = mapped_column(primary_key=True)
        things: Mapped[list[Any]] = relationship("Thing", back_populates="other")

    return type(
        "Thing",
        (Its,),
        {
            "__tablename__": "things",
            "id": Column(String, primary_key=True),
            "other_id": Column(ForeignKey("others.id")),
            "other": relationship(Other, back_populates="things"),
        },
    )


def joined() -> type:
    class Its(DeclarativeBase): ...

    class Parent(Its):
        __tablename__ = "parents"
        id: Mapped[str] = mapped_column(primary_key=True)

    return type(
        "Thing",
        (Parent,),
        {"__tablename__": "things", "id": Column(ForeignKey("parents.id"), primary_key=True)},
    )


class Shout(TypeDecorator[str]):
    impl = String
    cache_ok = True

    def column_expression(self, column: Any) -> Any:
        return func.upper(column)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (with_relationship, r"relationships \(other\).*one plain row.*use Handlers"),
        (joined, r"inheritance.*use Handlers"),
        (lambda: dataclass(type("Thing", (), {})), r"no class that SQLAlchemy maps.*__tablename__"),
        (lambda: int, r"no class that SQLAlchemy maps"),
        (lambda: Base, r"no class that SQLAlchemy maps"),
        (
            lambda: mapped(other=Column(String, primary_key=True)),
            r"primary key is \(id, other\).*one column.*use Handlers",
        ),
        (
            lambda: mapped(kind=Column(String), __mapper_args__={"polymorphic_on": "kind"}),
            "inheritance",
        ),
        (lambda: mapped(__table_args__={"schema": "s"}), r"schema 's'.*Leave schema= out"),
        (lambda: mapped(__tablename__="diptych_events"), r"diptych's own tables"),
        (
            lambda: mapped(loud=column_property(func.upper(text("id")))),
            r"Thing\.loud is no column of 'things'",
        ),
        (lambda: mapped(loud=Column(Shout)), r"Thing\.loud.*converted by SQL"),
        (
            lambda: mapped(at=Column(DateTime, default=func.now())),
            r"Thing\.at.*SQL expression.*server_default=",
        ),
        (
            lambda: mapped(at=Column(DateTime, onupdate=func.now())),
            r"Thing\.at.*SQL expression.*to_row=",
        ),
    ],
)
def test_what_is_more_than_a_plain_row_is_a_wiring_error(
    make: Callable[[], type], why: str
) -> None:
    with pytest.raises(WiringError, match=why):
        MappedRow(make(), DIALECT)


def test_the_ddl_makes_the_table_its_indexes_and_what_it_refers_to_again_and_again() -> None:
    class Its(DeclarativeBase): ...

    class Unrelated(Its):
        __tablename__ = "unrelated"
        id: Mapped[int] = mapped_column(primary_key=True)

    class Hall(Its):
        __tablename__ = "halls"
        id: Mapped[str] = mapped_column(primary_key=True)

    class Show(Its):
        __tablename__ = "a_shows"
        __table_args__ = (CheckConstraint("free >= 0"), Index("by_free", "free"))
        id: Mapped[str] = mapped_column(primary_key=True)
        free: Mapped[int]
        hall: Mapped[str] = mapped_column(ForeignKey("halls.id"), index=True)

    connection = connect(None, read_only=False)
    for _ in range(2):
        for statement in MappedRow(Show, DIALECT).ddl:
            connection.execute(statement)
    names = connection.execute("SELECT name FROM sqlite_schema WHERE sql IS NOT NULL").fetchall()
    assert [name for (name,) in names] == ["halls", "a_shows", "by_free", "ix_a_shows_hall"]
