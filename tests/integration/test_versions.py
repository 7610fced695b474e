"""A new version of a view: what is shown while it fills, by new code and by old."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from diptych import App, Query, Recorded, Stale, View, Views
from diptych.errors import NotReady
from tests.integration.failing import Largest, largest
from tests.integration.gates import Gate
from tests.integration.pots import (
    Added,
    AllTotals,
    Put,
    Removed,
    Total,
    TotalOf,
    all_totals,
    bank,
    file_url,
    total,
    total_of,
    totals,
)


def doubled(row: Total | None, event: Added | Removed, recorded: Recorded[Any]) -> Total | None:
    before = row or Total(event.pot, 0, 0, 0)
    return Total(event.pot, before.amount + 2 * event.amount, before.events + 1, 0)


@dataclass(frozen=True)
class TableName(Query[str]): ...


async def table_name(query: TableName, views: Views) -> str:
    return views.table(Total).name


@dataclass(frozen=True)
class Wider:
    pot: str
    amount: int
    more: int


@dataclass(frozen=True)
class AllWider(Query[list[Wider]]): ...


async def wider(query: AllWider, views: Views) -> list[Wider]:
    return await views.all(Wider, select(views.table(Wider)))


def widen(row: Wider | None, event: Added) -> Wider:
    return Wider(event.pot, event.amount, 1)


@dataclass(frozen=True)
class Twice(Query[list[Any]]): ...


@pytest.fixture(params=["beside the log", "in a file"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str | None:
    """Where the view rests."""
    return None if request.param == "beside the log" else file_url(tmp_path / "views.db")


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    return Gate(monkeypatch)


def old(kept: str, place: str | None) -> App:
    view = View(Total, total, key="pot", store=place)
    return bank(kept, read=[view], answer=[total_of, all_totals, table_name])


def new(kept: str, place: str | None, project: Any = doubled, version: int = 2) -> App:
    view = View(Total, project, key="pot", store=place, version=version)
    return bank(kept, read=[view], answer=[total_of, all_totals, table_name])


async def test_while_it_fills_the_older_one_is_shown_marked_stale(
    kept: str, place: str | None, gate: Gate
) -> None:
    async with old(kept, place) as app:
        receipt = await app.execute(Put("a", 5))
        await app.settled()
    gate.shut("view total@2")
    async with new(kept, place) as app:
        assert await app.ask(TotalOf("a")) == Total("a", 5, 1, 1)
        assert await app.ask(TotalOf("a"), after=receipt) == Total("a", 5, 1, 1)
        answer = await app.answer(TotalOf("a"))
        assert (answer.value, answer.position, answer.stale) == (Total("a", 5, 1, 1), 1, True)
        assert answer.age == timedelta(0)
        assert await app.ask(TableName()) == "view_total_1"
        assert await app.ask(AllTotals()) == [Total("a", 5, 1, 1)]
        gate.open("view total@2")
        await app.settled()
        answer = await app.answer(TotalOf("a"))
        assert (answer.value, answer.position, answer.stale) == (Total("a", 10, 1, 0), 1, False)
        assert await app.ask(TableName()) == "view_total_2"
        assert await app.ask(AllTotals()) == [Total("a", 10, 1, 0)]


async def test_after_a_receipt_that_the_older_one_does_not_know_is_waited_for(
    kept: str, place: str | None, gate: Gate
) -> None:
    async with old(kept, place) as app:
        await app.execute(Put("a", 5))
        await app.settled()
    gate.shut("view total@2")
    async with new(kept, place) as app:
        receipt = await app.execute(Put("a", 1))
        with pytest.raises(Stale, match="total@1 at position 1, asked for 2"):
            await app.ask(TotalOf("a"), after=receipt, timeout=0.1)
        answer = await app.answer(TotalOf("a"), after=receipt, timeout=0.1)
        assert (answer.value, answer.position, answer.stale) == (Total("a", 5, 1, 1), 1, True)
        with pytest.raises(Stale):
            await app.ask(TotalOf("a"), max_age=timedelta(0), timeout=0.1)
        waiting = [
            asyncio.create_task(app.ask(TotalOf("a"), after=receipt, timeout=10)),
            asyncio.create_task(app.ask(TotalOf("a"), max_age=timedelta(0), timeout=10)),
        ]
        await asyncio.sleep(0.05)
        gate.open("view total@2")
        assert await asyncio.gather(*waiting) == [Total("a", 12, 2, 0)] * 2


async def test_old_code_goes_on_with_its_own_and_new_code_shows_that(
    kept: str, place: str | None, gate: Gate
) -> None:
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(old(kept, place))
        await one.execute(Put("a", 5))
        await one.settled()
        gate.shut("view total@2")
        two = await stack.enter_async_context(new(kept, place))
        for app in (one, two):
            receipt = await app.execute(Put("a", 1))
            row = await two.ask(TotalOf("a"), after=receipt)
            assert row == await one.ask(TotalOf("a"), after=receipt)
            assert row is not None
            assert row.amount == 4 + receipt.position
        gate.open("view total@2")
        receipt = await two.execute(Put("a", 1))
        await two.settled()
        assert await two.ask(TotalOf("a"), after=receipt) == Total("a", 16, 4, 0)
        assert await one.ask(TotalOf("a"), after=receipt) == Total("a", 8, 4, 4)
        await two.execute(Put("b", 1))
        await asyncio.gather(one.settled(), two.settled())
        assert [row.amount for row in await one.ask(AllTotals())] == [8, 1]
        assert [row.amount for row in await two.ask(AllTotals())] == [16, 2]


async def test_where_the_fields_changed_it_is_not_ready(
    kept: str, place: str | None, gate: Gate
) -> None:
    async with old(kept, place) as app:
        await app.execute(Put("a", 5))
        await app.settled()

    view = View(Wider, widen, key="pot", store=place, version=2)
    gate.shut("view total@2")
    async with bank(kept, read=[view], answer=[wider], names={"total": Wider}) as app:
        for call in (app.ask, app.answer):
            with pytest.raises(NotReady, match="total@2"):
                await call(AllWider(), timeout=0.05)
        gate.open("view total@2")
        assert await app.ask(AllWider()) == [Wider("a", 5, 1)]


async def test_an_older_one_that_was_never_filled_is_not_shown(
    kept: str, place: str | None, gate: Gate
) -> None:
    async with bank(kept, read=[], answer=[]) as app:
        for amount in range(1, 4):
            await app.execute(Put(f"p{amount}", amount))
    gate.shut("view total@1")
    gate.shut("view total@2")
    async with old(kept, place):
        pass
    async with new(kept, place) as app:
        with pytest.raises(NotReady, match="total@2"):
            await app.ask(AllTotals(), timeout=0.05)
        gate.open("view total@2")
        assert [row.amount for row in await app.ask(AllTotals())] == [2, 4, 6]


async def test_going_back_to_the_older_version_shows_it_at_once(
    kept: str, place: str | None, gate: Gate
) -> None:
    async with old(kept, place) as app:
        await app.execute(Put("a", 5))
        await app.settled()
    async with new(kept, place) as app:
        await app.execute(Put("a", 1))
        await app.settled()
    async with old(kept, place) as app:
        assert await app.ask(TotalOf("a"), after=2) == Total("a", 6, 2, 2)


async def test_a_version_that_cannot_be_filled_leaves_the_older_one_shown(
    kept: str, place: str | None
) -> None:
    async with old(kept, place) as app:
        await app.execute(Put("a", 5))
        await app.settled()

    def broken(row: Total | None, event: Added | Removed) -> Total | None:
        raise LookupError("broken")

    async with new(kept, place, broken) as app:
        for _ in range(3):
            await asyncio.sleep(0.02)
            answer = await app.answer(TotalOf("a"))
            assert (answer.value, answer.stale) == (Total("a", 5, 1, 1), True)
    async with new(kept, place, total, version=3) as app:
        await app.settled()
        assert await app.ask(TotalOf("a")) == Total("a", 5, 1, 1)


async def test_an_answer_that_reads_twice_reads_one_version(
    kept: str, place: str | None, gate: Gate
) -> None:
    began, go_on = asyncio.Event(), asyncio.Event()

    async def twice(query: Twice, views: Views) -> list[Any]:
        first = await views.get(Total, "a")
        began.set()
        await go_on.wait()
        return [first, *await views.all(Total, select(views.table(Total)))]

    async with old(kept, place) as app:
        await app.execute(Put("a", 5))
        await app.settled()
    gate.shut("view total@2")
    view = View(Total, doubled, key="pot", store=place, version=2)
    async with bank(kept, read=[view], answer=[twice]) as app:
        asked = asyncio.create_task(app.ask(Twice()))
        await began.wait()
        gate.open("view total@2")
        await app.settled()
        go_on.set()
        assert await asked == [Total("a", 5, 1, 1)] * 2
        assert await app.ask(Twice()) == [Total("a", 10, 1, 0)] * 2


async def test_a_snapshot_from_before_it_was_filled_does_not_show_half(
    kept: str, gate: Gate
) -> None:
    async def both(query: TableName, views: Views) -> str:
        await views.all(Largest)  # begins the snapshot
        if gate.is_shut("view total@1"):
            gate.open("view total@1")
            await app.settled()
            await asyncio.sleep(0.05)
        return ",".join(row.pot for row in await views.all(Total))

    async with bank(kept, read=[largest], answer=[]) as before:
        await before.execute(Put("a", 5))
        await before.settled()
    gate.shut("view total@1")
    async with bank(kept, read=[largest, totals], answer=[both]) as app:
        assert await app.ask(TableName()) == "a"
