"""The test kit: what it holds, what it lets pass, and that its failures show the difference."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Annotated

import pytest
from msgspec import Meta
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from diptych import (
    BadResult,
    Boundary,
    Context,
    Decider,
    DiptychError,
    EventSourced,
    Principal,
    Recorded,
    Refused,
    Rows,
    StateStored,
    View,
)
from diptych.testing import ManualClock, given


@dataclass(frozen=True)
class Reserve:
    showing: str
    seats: Annotated[int, Meta(gt=0)]


@dataclass(frozen=True)
class Reserved:
    showing: str
    seats: int
    by: str = ""
    at: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    id: str = ""


@dataclass(frozen=True)
class Other:
    showing: str


@dataclass(frozen=True)
class Showing:
    free: int = 10


def decide(command: Reserve, showing: Showing, context: Context) -> list[Reserved]:
    if command.seats > showing.free:
        raise Refused("sold_out", f"{showing.free} free")
    return [
        Reserved(
            command.showing, command.seats, context.principal.id, context.now, context.command_id
        )
    ]


def evolve(showing: Showing, event: Reserved) -> Showing:
    return replace(showing, free=showing.free - event.seats)


showings = EventSourced("showing", Decider(Showing(), decide, evolve), key="showing")


def plain(seats: int) -> Reserved:
    return Reserved("s1", seats, "anonymous", datetime(2026, 1, 1, 12, tzinfo=UTC), "test-command")


class TestModels:
    def test_then_holds_where_exactly_these_events_come(self) -> None:
        given(showings).when(Reserve("s1", 2)).then(plain(2))
        given(showings, Reserved("s1", 7)).when(Reserve("s1", 3)).then(plain(3))

    def test_then_shows_the_difference(self) -> None:
        with pytest.raises(AssertionError) as error:
            given(showings).when(Reserve("s1", 2)).then(plain(3))
        text = str(error.value)
        assert "other events than expected" in text
        for line in ["--- expected", "+++ found"]:
            assert line in text
        assert any("seats=3" in line for line in text.splitlines() if line.startswith("-"))
        assert any("seats=2" in line for line in text.splitlines() if line.startswith("+"))

    def test_then_of_nothing_fails_where_something_came(self) -> None:
        with pytest.raises(AssertionError, match="seats=2"):
            given(showings).when(Reserve("s1", 2)).then()

    def test_then_fails_with_the_refusal(self) -> None:
        with pytest.raises(AssertionError, match=r"expected to give.*Refused: sold_out: 10 free"):
            given(showings).when(Reserve("s1", 11)).then(plain(11))

    def test_refused_holds_for_the_code_only(self) -> None:
        sold = given(showings, Reserved("s1", 10)).when(Reserve("s1", 1))
        sold.refused("sold_out")
        with pytest.raises(AssertionError, match="refused with 'closed', but was with 'sold_out'"):
            sold.refused("closed")

    def test_refused_fails_where_it_was_accepted(self) -> None:
        with pytest.raises(AssertionError, match=r"refused with 'sold_out', but gave .*seats=1"):
            given(showings).when(Reserve("s1", 1)).refused("sold_out")

    def test_invalid_holds_for_the_field_only(self) -> None:
        invalid = given(showings).when(Reserve("s1", -5))
        invalid.invalid("seats")
        with pytest.raises(
            AssertionError, match=r"invalid at 'showing', but reserve: field 'seats'"
        ):
            invalid.invalid("showing")
        with pytest.raises(AssertionError, match="refused with 'sold_out', but reserve"):
            invalid.refused("sold_out")
        with pytest.raises(AssertionError, match="InvalidMessage"):
            invalid.then()

    def test_time_principal_and_id_can_be_given(self) -> None:
        at = datetime(2026, 7, 1, tzinfo=UTC)
        given(showings).when(Reserve("s1", 1), at=at, by=Principal("ada"), id="c-1").then(
            Reserved("s1", 1, "ada", at, "c-1")
        )

    def test_one_given_serves_several_decisions(self) -> None:
        state = given(showings, Reserved("s1", 9))
        state.when(Reserve("s1", 1)).then(plain(1))
        state.when(Reserve("s1", 2)).refused("sold_out")
        state.when(Reserve("s1", 1)).then(plain(1))

    def test_a_command_or_event_of_another_model_is_named(self) -> None:
        with pytest.raises(AssertionError, match=r"does not decide Other \(it decides: Reserve\)"):
            given(showings).when(Other("s1"))
        with pytest.raises(AssertionError, match=r"no evolve for Other \(it has: Reserved\)"):
            given(showings, Other("s1"))


class TestImpurity:
    def test_a_decide_that_changes_the_state_is_caught(self) -> None:
        def greedy(command: Reserve, taken: Counter[str]) -> list[Reserved]:
            taken[command.showing] += 1
            return []

        def count(taken: Counter[str], event: Reserved) -> Counter[str]:
            return taken + Counter({event.showing: 1})

        empty: Counter[str] = Counter()
        model = EventSourced("showing", Decider(empty, greedy, count), key="showing")
        with pytest.raises(BadResult, match="decide changed what it was given"):
            given(model, Reserved("s1", 1)).when(Reserve("s1", 1))

    def test_a_decide_that_changes_the_state_and_refuses_is_caught(self) -> None:
        def greedy(command: Reserve, taken: Counter[str]) -> list[Reserved]:
            taken[command.showing] += 1
            raise Refused("no")

        def count(taken: Counter[str], event: Reserved) -> Counter[str]:
            return taken + Counter({event.showing: 1})

        empty: Counter[str] = Counter()
        model = EventSourced("showing", Decider(empty, greedy, count), key="showing")
        with pytest.raises(BadResult, match="decide changed what it was given"):
            given(model, Reserved("s1", 1)).when(Reserve("s1", 1))

    def test_an_evolve_that_changes_the_state_is_caught(self) -> None:
        def count(taken: Counter[str], event: Reserved) -> Counter[str]:
            taken[event.showing] += 1
            return taken

        def nothing(command: Reserve, taken: Counter[str]) -> list[Reserved]:
            return []

        empty: Counter[str] = Counter()
        model = EventSourced("showing", Decider(empty, nothing, count), key="showing")
        with pytest.raises(BadResult, match="evolve changed what it was given"):
            given(model, Reserved("s1", 1)).when(Reserve("s1", 1))

    def test_a_projection_that_changes_the_row_is_caught(self) -> None:
        @dataclass
        class Row:
            showing: str
            seats: int

        def project(row: Row | None, event: Reserved) -> Row | None:
            if row is None:
                return Row(event.showing, event.seats)  # naming Row here puts it into the closure
            row.seats += event.seats
            return row

        with pytest.raises(BadResult, match="project changed what it was given"):
            given(View(Row, project, key="showing"), Reserved("s1", 1), Reserved("s1", 2))

    def test_an_event_that_breaks_its_types_is_caught(self) -> None:
        def wrong(command: Reserve, showing: Showing) -> list[Reserved]:
            return [Reserved(command.showing, "two")]  # type: ignore[arg-type]

        def ignore(showing: Showing, event: Reserved) -> Showing:
            return showing

        model = EventSourced("showing", Decider(Showing(), wrong, ignore), key="showing")
        with pytest.raises((AssertionError, DiptychError), match="seats"):
            given(model).when(Reserve("s1", 2)).then(Reserved("s1", "two"))  # type: ignore[arg-type]


def reads(command: Reserve) -> list[str]:
    return [f"showing:{command.showing}"]


def tags(event: Reserved) -> list[str]:
    return [f"showing:{event.showing}"]


class Base(DeclarativeBase): ...


class ShowingRow(Base):
    __tablename__ = "showings"
    id: Mapped[str] = mapped_column(primary_key=True)
    free: Mapped[int]
    note: Mapped[str | None]


def to_row(key: str, showing: Showing) -> ShowingRow | None:
    return None if showing.free == 0 else ShowingRow(id=key, free=showing.free)


class TestStateStored:
    plain = Decider(Showing(), decide, evolve)
    rows = Rows(ShowingRow, to_state=lambda row: Showing(row.free), to_row=to_row)
    showings = StateStored("showing", plain, key="showing", rows=rows)

    def test_it_is_tested_as_any_model_is(self) -> None:
        before = Reserved("s1", 3)
        given(self.showings, before).when(Reserve("s1", 8)).refused("sold_out")

    def test_the_row_it_leaves_can_be_looked_at(self) -> None:
        given(self.showings).when(Reserve("s1", 3)).leaves(ShowingRow(id="s1", free=7))
        given(self.showings, Reserved("s1", 9)).when(Reserve("s1", 1)).leaves(None)

    @pytest.mark.parametrize(
        "row", [ShowingRow(id="s1", free=8), ShowingRow(id="s1", free=7, note=None), None]
    )
    def test_another_row_fails_with_the_difference(self, row: ShowingRow | None) -> None:
        with pytest.raises(AssertionError, match=r"(?s)other row than expected:.*'free', 7"):
            given(self.showings).when(Reserve("s1", 3)).leaves(row)

    def test_what_was_refused_leaves_no_row(self) -> None:
        with pytest.raises(AssertionError, match=r"left no row: .*sold_out"):
            given(self.showings).when(Reserve("s1", 11)).leaves(None)

    def test_a_model_without_rows_leaves_none(self) -> None:
        with pytest.raises(AssertionError, match="its model keeps none"):
            given(showings).when(Reserve("s1", 1)).leaves(None)


def test_a_boundary_decides_on_the_events_under_its_tags() -> None:
    seats = Boundary("seats", showings.decider, reads=reads, tags=tags)
    full = given(seats, Reserved("s1", 10), Reserved("s2", 3))
    full.when(Reserve("s1", 1)).refused("sold_out")
    full.when(Reserve("s2", 8)).refused("sold_out")
    full.when(Reserve("s3", 10)).then(replace(plain(10), showing="s3"))


@dataclass(frozen=True)
class Total:
    showing: str
    seats: int
    last: int


def total(row: Total | None, event: Reserved, recorded: Recorded[Reserved]) -> Total | None:
    return Total(event.showing, event.seats + (row.seats if row else 0), recorded.position)


totals = View(Total, total, key="showing")


class TestViews:
    def test_shows_holds_for_the_rows_in_any_order(self) -> None:
        shown = given(totals, Reserved("b", 1), Reserved("a", 2), Reserved("b", 3))
        shown.shows(Total("a", 2, 2), Total("b", 4, 3))
        shown.shows(Total("b", 4, 3), Total("a", 2, 2))

    def test_shows_shows_the_difference(self) -> None:
        with pytest.raises(AssertionError) as error:
            given(totals, Reserved("a", 2)).shows(Total("a", 3, 1))
        text = str(error.value)
        assert "other rows than expected" in text
        assert "seats=3" in text
        assert "seats=2" in text

    def test_a_row_too_many_fails(self) -> None:
        with pytest.raises(AssertionError, match="showing='b'"):
            given(totals, Reserved("a", 2), Reserved("b", 2)).shows(Total("a", 2, 1))

    def test_an_event_that_the_view_does_not_take_is_named(self) -> None:
        with pytest.raises(AssertionError, match=r"does not take Other \(it takes: Reserved\)"):
            given(totals, Other("s1"))


class TestManualClock:
    async def test_it_stands_until_it_is_moved(self) -> None:
        clock = ManualClock(datetime(2026, 7, 1, 14, tzinfo=timezone(timedelta(hours=2))))
        assert clock.now() == datetime(2026, 7, 1, 12, tzinfo=UTC)
        assert clock.now().tzinfo is UTC
        await asyncio.sleep(0.01)
        assert clock.now() == datetime(2026, 7, 1, 12, tzinfo=UTC)
        await clock.advance(timedelta(hours=1))
        assert clock.now() == datetime(2026, 7, 1, 13, tzinfo=UTC)

    async def test_what_is_due_begins_after_a_move(self) -> None:
        clock = ManualClock(datetime(2026, 7, 1, tzinfo=UTC))
        done: list[str] = []

        async def task() -> None:
            await asyncio.sleep(0)
            done.append("done")

        running = asyncio.create_task(task())
        await clock.advance(timedelta(0))
        assert done == ["done"]
        await running

    def test_it_needs_a_zone(self) -> None:
        with pytest.raises(ValueError, match="aware"):
            ManualClock(datetime(2026, 7, 1))  # noqa: DTZ001
