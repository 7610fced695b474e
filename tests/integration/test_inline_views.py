"""Inline views: in the commit of the events themselves, or the command does not happen."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from typing import Any

import pytest

from diptych import App, DiptychError, EventSourced, Recorded, View
from diptych.errors import ProjectionFailed
from tests.integration.pots import (
    Added,
    AllTotals,
    Book,
    Put,
    Removed,
    Take,
    Total,
    TotalOf,
    all_totals,
    bank,
    pot_decider,
    pots,
    total,
    total_of,
)

inline_totals = View(Total, total, key="pot", inline=True)


def inline_bank(url: str, **more: Any) -> App:
    return bank(url, **{"read": [inline_totals]} | more)


async def _now(app: App, pot: str) -> Total | None:
    """The row as it is at this moment: nothing is waited for."""
    return await app.ask(TotalOf(pot), timeout=0)


async def test_an_inline_view_is_there_with_the_receipt(url: str) -> None:
    async with inline_bank(url) as app:
        for amount in range(1, 30):
            receipt = await app.execute(Put("a", amount))
            row = await app.ask(TotalOf("a"), after=receipt, timeout=0)
            assert row is not None
            assert row.position == receipt.position
            answer = await app.answer(TotalOf("a"))
            assert (answer.position, answer.stale) == (receipt.position, False)


async def test_many_callers_fold_in_the_order_of_the_log(url: str) -> None:
    async with inline_bank(url) as app:
        commands = [Put(random.choice("abc"), 1 + n) for n in range(300)]
        await asyncio.gather(*map(app.execute, commands))
        rows = await app.ask(AllTotals(), timeout=0)
        events = [recorded async for recorded in app.log.read()]
        expected: dict[str, Total | None] = {}
        for recorded in events:
            pot = recorded.event.pot
            expected[pot] = total(expected.get(pot), recorded.event, recorded)
        assert rows == [expected[pot] for pot in sorted(expected)]


def failing(row: Total | None, event: Added | Removed, recorded: Recorded[Any]) -> Total | None:
    if isinstance(event, Added) and event.amount == 13:
        raise LookupError("thirteen")
    return total(row, event, recorded)


async def test_a_command_whose_events_the_view_cannot_take_does_not_happen_and_others_do(
    url: str,
) -> None:
    async with inline_bank(url, read=[View(Total, failing, key="pot", inline=True)]) as app:
        commands = [Put("a", amount) for amount in range(1, 21)]
        outcomes = await asyncio.gather(*map(app.execute, commands), return_exceptions=True)
        failed = [one for one in outcomes if isinstance(one, BaseException)]
        assert [type(one) for one in failed] == [ProjectionFailed]
        row = await _now(app, "a")
        assert row is not None
        assert (row.amount, row.events) == (sum(range(1, 21)) - 13, 19)
        amounts = [recorded.event.amount async for recorded in app.log.read()]
        assert sorted(amounts) == [n for n in range(1, 21) if n != 13]
        with pytest.raises(ProjectionFailed, match="thirteen"):
            await app.execute(Put("b", 13), id="again")
        await app.execute(Put("b", 12), id="again-12")


def unkept(row: Total | None, event: Added | Removed, recorded: Recorded[Any]) -> Total | None:
    after = total(row, event, recorded)
    assert after is not None
    return replace(after, amount="much") if event.amount == 13 else after  # type: ignore[arg-type]


async def test_a_row_that_cannot_be_kept_is_its_own_commands_fault(url: str) -> None:
    async with inline_bank(url, read=[View(Total, unkept, key="pot", inline=True)]) as app:
        commands = [Put(f"p{amount}", amount) for amount in range(1, 21)]
        outcomes = await asyncio.gather(*map(app.execute, commands), return_exceptions=True)
        assert [isinstance(one, DiptychError) for one in outcomes].count(True) == 1
        assert isinstance(outcomes[12], ProjectionFailed)
        assert len(await app.ask(AllTotals(), timeout=0)) == 19


async def test_what_was_committed_without_it_is_taken_in_before_the_first_command(
    kept: str,
) -> None:
    async with bank(kept, read=[], answer=[]) as app:
        for n in range(50):
            await app.execute(Put("a", n + 1))
    async with inline_bank(kept) as app:
        receipt = await app.execute(Take("a", 5))
        row = await app.ask(TotalOf("a"), after=receipt, timeout=0)
        assert row is not None
        assert (row.amount, row.events) == (50 * 51 // 2 - 5, 51)


async def test_an_app_without_the_view_may_write_in_between(kept: str) -> None:
    async with inline_bank(kept) as app, bank(kept, read=[], answer=[]) as old:
        for n in range(20):
            await old.execute(Put("a", 1))
            await old.execute(Book(f"b{n}", (1000 + n,)))
            receipt = await app.execute(Put("a", 1))
            row = await app.ask(TotalOf("a"), after=receipt, timeout=0)
            assert row is not None
            assert row.amount == 2 * (n + 1)
        await old.execute(Put("a", 1))
        await app.settled()
        row = await _now(app, "a")
        assert row is not None
        assert row.amount == 41


async def test_two_apps_with_the_view_never_lose_an_update(kept: str) -> None:
    async with inline_bank(kept) as one, inline_bank(kept) as two:
        calls = [app.execute(Put("a", 1)) for app in (one, two) for _ in range(100)]
        await asyncio.gather(*calls)
        row = await _now(one, "a")
        assert row is not None
        assert (row.amount, row.events) == (200, 200)


async def test_a_view_that_cannot_take_the_old_events_says_so_instead_of_letting_commands_wait(
    kept: str,
) -> None:
    async with bank(kept, read=[], answer=[]) as app:
        await app.execute(Put("a", 13))
    async with inline_bank(kept, read=[View(Total, failing, key="pot", inline=True)]) as app:
        with pytest.raises(ProjectionFailed, match="thirteen"):
            await app.execute(Put("a", 1))


async def test_an_inline_view_becomes_asynchronous_and_inline_again_by_one_word(
    kept: str,
) -> None:
    for inline in (True, False, True):
        view = View(Total, total, key="pot", inline=inline)
        async with App(
            "bank", store=kept, write=[pots], read=[view], answer=[total_of, all_totals]
        ) as app:
            receipt = await app.execute(Put("a", 1))
            assert await app.ask(TotalOf("a"), after=receipt) is not None
    async with App(
        "bank", store=kept, write=[pots], read=[inline_totals], answer=[total_of]
    ) as app:
        row = await _now(app, "a")
        assert row is not None
        assert row.amount == 3


async def test_a_chain_goes_on_behind_a_command_that_fell_out(url: str) -> None:
    counted = EventSourced("pot", pot_decider, key="pot")
    view = View(Total, failing, key="pot", inline=True)
    async with App("bank", store=url, write=[counted], read=[view], answer=[total_of]) as app:
        amounts = [5, 13, 7, 13, 9]
        calls = (app.execute(Put("a", amount)) for amount in amounts)
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert [isinstance(one, BaseException) for one in outcomes] == [
            False,
            True,
            False,
            True,
            False,
        ]
        events = [recorded.event async for recorded in app.log.read()]
        assert [event.seen for event in events] == [0, 1, 2]
