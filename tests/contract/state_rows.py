"""What every store that keeps states in rows must do: a row is written as it was decided upon.

A subclass gives two fixtures: `store`, open for `CONTEXT` after `map_row(Seat)`, and `program`,
another connection to the same database, as another program has it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import pytest
from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from diptych.errors import BadResult
from diptych.log.commit import (
    Append,
    Appended,
    Commit,
    Conflict,
    Outcome,
    Settled,
    StateRow,
    StateTable,
)
from diptych.log.port import Store
from diptych.log.rows import KeepsRows, Values
from tests.contract.commits import (
    append,
    cause,
    event,
    everything,
    happened,
    new_id,
    outcome,
    together,
    version,
)


class Base(DeclarativeBase): ...


class Seat(Base):
    __tablename__ = "seats"
    __table_args__ = (UniqueConstraint("code"),)
    id: Mapped[str] = mapped_column(primary_key=True)
    free: Mapped[int]
    code: Mapped[str | None]
    beside: Mapped[str | None] = mapped_column(
        ForeignKey("seats.id", deferrable=True, initially="DEFERRED")
    )


SEATS = StateTable("seats", ("id", "free", "code", "beside"), "id")


class KeepingStore(Store, KeepsRows, Protocol):
    """A store that keeps states in rows."""


Program = Callable[..., Sequence[Any]]
"""Executes SQL as another program, committed at once; gives the rows."""


def seat(free: int, key: str = "a", code: str | None = None, beside: str | None = None) -> Values:
    """The values of a row."""
    return (key, free, code, beside)


def change(
    stood: Values | None,
    becomes: Values | None,
    key: str = "a",
    *,
    whole: bool = True,
    trusted: bool = False,
) -> StateRow:
    """A row that keeps a state; all columns are written where one differs."""
    puts: tuple[int, ...] = ()
    if becomes is not None and becomes != stood:
        puts = (0, 1, 2, 3) if stood is None else (1, 2, 3)
    return StateRow(
        table=SEATS,
        key=key,
        stood=stood,
        becomes=becomes,
        puts=puts,
        whole=whole,
        trusted=trusted,
    )


def decided(
    row: StateRow,
    expected: int | None = None,
    *,
    id: str | None = None,
    upon: str | None = None,
    happens: bool = True,
    outcome: Outcome | None = None,
) -> Commit:
    """What a decision on a row gives: one event, or none."""
    events = (event(),) if happens else ()
    return Commit(
        cause=cause(id or new_id()),
        appends=(Append(f"seat:{row.key}", expected, events, upon, row),),
        outcome=outcome,
    )


async def kinds(store: Store, *commits: Commit) -> list[type]:
    """What kinds of answers commits get that are sent in one turn of the loop."""
    return [type(answer) for answer in await together(store, *commits)]


class StateRows:
    """The contract of `diptych.log.rows.KeepsRows`."""

    async def test_the_mapping_tells_the_table(self, store: KeepingStore) -> None:
        mapping = store.map_row(Seat)
        assert mapping.table == SEATS
        assert mapping.key_type is str

    async def test_a_row_and_a_stream_that_are_not_there_are_read_as_nothing(
        self, store: KeepingStore
    ) -> None:
        assert await store.read_row("", "seat:a", SEATS, "a") == (0, None)

    async def test_a_row_of_before_the_first_event_is_read(
        self, store: KeepingStore, program: Program
    ) -> None:
        program("INSERT INTO seats VALUES ('a', 5, NULL, NULL)")
        assert await store.read_row("", "seat:a", SEATS, "a") == (0, seat(5))

    async def test_rows_of_one_turn_are_read_each_for_itself(
        self, store: KeepingStore, program: Program
    ) -> None:
        keys = [f"k{number}" for number in range(100)]
        for key in keys[::2]:
            program("INSERT INTO seats VALUES (?, 1, NULL, NULL)", (key,))
            await happened(store, append(f"seat:{key}", 0))
        reads = [store.read_row("", f"seat:{key}", SEATS, key) for key in keys]
        assert await asyncio.gather(*reads) == [
            (0, None) if number % 2 else (1, seat(1, key)) for number, key in enumerate(keys)
        ]

    async def test_events_and_row_are_there_together(
        self, store: KeepingStore, program: Program
    ) -> None:
        await happened(store, decided(change(None, seat(5)), 0))
        assert await store.read_row("", "seat:a", SEATS, "a") == (1, seat(5))
        assert program("SELECT * FROM seats") == [seat(5)]
        await happened(store, decided(change(seat(5), seat(4)), 1))
        assert await store.read_row("", "seat:a", SEATS, "a") == (2, seat(4))
        await happened(store, decided(change(seat(4), None), 2))
        assert await store.read_row("", "seat:a", SEATS, "a") == (3, None)

    async def test_a_row_that_another_program_changed_is_a_conflict_and_nothing_is_written(
        self, store: KeepingStore, program: Program
    ) -> None:
        await happened(store, decided(change(None, seat(5)), 0))
        program("UPDATE seats SET free = 3")
        assert await kinds(store, decided(change(seat(5), seat(4)), 1)) == [Conflict]
        assert await store.read_row("", "seat:a", SEATS, "a") == (1, seat(3))
        assert await kinds(store, decided(change(seat(3), seat(2)), 1)) == [Appended]

    @pytest.mark.parametrize(
        ("sql", "stood"),
        [
            ("INSERT INTO seats VALUES ('a', 1, NULL, NULL)", None),
            ("DELETE FROM seats", seat(5)),
            ("UPDATE seats SET code = 'c'", seat(5)),
            ("UPDATE seats SET beside = 'a'", seat(5)),
        ],
    )
    async def test_any_difference_in_any_column_is_a_conflict(
        self, store: KeepingStore, program: Program, sql: str, stood: Values | None
    ) -> None:
        if stood is not None:
            await happened(store, decided(change(None, stood)))
        program(sql)
        assert await kinds(store, decided(change(stood, seat(9)))) == [Conflict]
        assert await kinds(store, decided(change(stood, stood), happens=False)) == [Conflict]

    async def test_a_decision_without_events_is_compared_as_well(
        self, store: KeepingStore, program: Program
    ) -> None:
        await happened(store, decided(change(None, seat(5))))
        looks = decided(change(seat(5), seat(5)), 1, happens=False)
        assert await kinds(store, looks) == [Appended]
        program("UPDATE seats SET free = 3")
        looks = decided(change(seat(5), seat(5)), 1, happens=False)
        assert await kinds(store, looks) == [Conflict]

    async def test_what_a_predecessor_in_the_group_leaves_is_stood_upon(
        self, store: KeepingStore, program: Program
    ) -> None:
        chain = [
            decided(change(None, seat(5)), 0, id="1"),
            decided(change(seat(5), seat(4)), 1, id="2", upon="1"),
            decided(change(seat(4), seat(4)), 2, id="3", upon="2", happens=False),
            decided(change(seat(4), seat(3)), 2, id="4", upon="2"),
        ]
        assert await kinds(store, *chain) == [Appended] * 4
        assert program("SELECT * FROM seats") == [seat(3)]

    async def test_who_stands_on_the_same_row_as_a_predecessor_conflicts(
        self, store: KeepingStore
    ) -> None:
        await happened(store, decided(change(None, seat(5))))
        both = [decided(change(seat(5), seat(4))), decided(change(seat(5), seat(3)))]
        assert await kinds(store, *both) == [Appended, Conflict]
        assert (await store.read_row("", "seat:a", SEATS, "a"))[1] == seat(4)

    async def test_what_stands_on_a_conflict_falls_with_it(
        self, store: KeepingStore, program: Program
    ) -> None:
        program("INSERT INTO seats VALUES ('a', 9, NULL, NULL)")
        chain = [
            decided(change(seat(5), seat(4)), 0, id="1"),
            decided(change(seat(4), seat(3)), 1, id="2", upon="1"),
            decided(change(seat(9), seat(8)), 0, id="other"),
        ]
        assert await kinds(store, *chain) == [Conflict, Conflict, Appended]
        assert [e.causation for e in await everything(store)] == ["other"]
        assert program("SELECT free FROM seats") == [(8,)]

    async def test_a_row_may_come_and_go_within_a_group(
        self, store: KeepingStore, program: Program
    ) -> None:
        program("INSERT INTO seats VALUES ('a', 9, 'old', NULL)")
        gone = StateRow(table=SEATS, key="b", stood=None, becomes=("b", 1, None, None), puts=(0, 1))
        again = StateRow(
            table=SEATS, key="a", stood=None, becomes=("a", 1, None, None), puts=(0, 1)
        )
        commits = [
            decided(change(seat(9, code="old"), None)),
            decided(gone),
            decided(again),
            decided(change(seat(1, "b"), None, "b")),
        ]
        assert await kinds(store, *commits) == [Appended] * 4
        assert program("SELECT * FROM seats") == [seat(1)]

    async def test_what_the_database_fills_in_is_stood_upon_by_nobody_before_it_is_there(
        self, store: KeepingStore
    ) -> None:
        chain = [
            decided(change(None, seat(5), whole=False)),
            decided(change(seat(5), seat(4))),
        ]
        assert await kinds(store, *chain) == [Appended, Conflict]
        assert await kinds(store, decided(change(seat(5), seat(4)))) == [Appended]

    async def test_columns_that_are_not_put_keep_what_they_have(
        self, store: KeepingStore, program: Program
    ) -> None:
        program("INSERT INTO seats VALUES ('a', 5, 'kept', NULL)")
        stood, becomes = seat(5, code="kept"), seat(4, code="kept")
        row = StateRow(table=SEATS, key="a", stood=stood, becomes=becomes, puts=(1,), trusted=True)
        program("UPDATE seats SET code = 'changed'")
        assert await kinds(store, decided(row)) == [Appended]
        assert program("SELECT * FROM seats") == [seat(4, code="changed")]

    async def test_a_trusted_row_is_compared_by_the_version_of_its_stream_alone(
        self, store: KeepingStore
    ) -> None:
        first = decided(change(None, seat(5), trusted=True), 0)
        assert await kinds(store, first) == [Appended]
        late = decided(change(None, seat(4), trusted=True), 0)
        assert await kinds(store, late) == [Conflict]
        assert (await store.read_row("", "seat:a", SEATS, "a"))[1] == seat(5)

    async def test_a_repeated_command_changes_no_row(self, store: KeepingStore) -> None:
        once = decided(change(None, seat(5)), 0, id="c", outcome=outcome())
        assert await kinds(store, once, once) == [Appended, Settled]
        assert await kinds(store, once) == [Settled]
        assert (await store.read_row("", "seat:a", SEATS, "a"))[1] == seat(5)

    async def test_many_rows_of_one_group_are_written_each_as_decided(
        self, store: KeepingStore, program: Program
    ) -> None:
        keys = [f"k{number}" for number in range(150)]
        new = [decided(change(None, seat(n, key), key)) for n, key in enumerate(keys)]
        assert set(await kinds(store, *new)) == {Appended}
        program("UPDATE seats SET free = -1 WHERE id IN ('k7', 'k70')")
        changes = [
            decided(change(seat(n, key), seat(n + 1, key) if n % 3 else None, key))
            for n, key in enumerate(keys)
        ]
        found = await kinds(store, *changes)
        assert [key for key, kind in zip(keys, found, strict=True) if kind is Conflict] == [
            "k7",
            "k70",
        ]
        expected = {
            key: -1 if key in ("k7", "k70") else n + 1 for n, key in enumerate(keys) if n % 3
        }
        assert dict(program("SELECT id, free FROM seats")) == expected

    async def test_a_row_that_its_table_does_not_take_fails_alone(
        self, store: KeepingStore, program: Program
    ) -> None:
        program("INSERT INTO seats VALUES ('taken', 1, 'code', NULL)")
        commits = [decided(change(None, seat(1, key), key)) for key in "abcdef"]
        commits[2] = decided(change(None, seat(1, "c", code="code"), "c"), id="twice")
        commits[4] = decided(change(None, seat(1, "e", beside="nobody"), "e"), id="dangling")
        found = await kinds(store, *commits)
        assert [kind.__name__ for kind in found] == [
            *("Appended", "Appended", "BadResult", "Appended", "BadResult", "Appended")
        ]
        assert [row[0] for row in program("SELECT id FROM seats ORDER BY id")] == [
            *("a", "b", "d", "f", "taken")
        ]
        assert await version(store, "seat:c") == await version(store, "seat:e") == 0
        with pytest.raises(BadResult, match=r"(?i)unique constraint"):
            await store.commit(commits[2])

    async def test_a_row_may_refer_to_one_of_the_same_group(
        self, store: KeepingStore, program: Program
    ) -> None:
        two = [
            decided(change(None, seat(1, "a", beside="b"), "a")),
            decided(change(None, seat(1, "b", beside="a"), "b")),
        ]
        assert await kinds(store, *two) == [Appended, Appended]
        assert program("SELECT id, beside FROM seats ORDER BY id") == [("a", "b"), ("b", "a")]
