"""An evolve that breaks: what it breaks, and what it must leave whole."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from diptych import App, Boundary, Context, Decider, EventSourced, Recorded
from tests.integration.pots import Added, Put


def put(command: Put, amount: int, context: Context) -> list[Added]:
    return [Added(command.pot, command.amount)]


def fragile(amount: int, event: Added) -> int:
    if event.amount == 13:
        raise LookupError("thirteen")
    return amount + event.amount


def fragile_with_facts(amount: int, event: Added, recorded: Recorded[Any]) -> int:
    return fragile(amount, event)


def tags(message: Put | Added) -> list[str]:
    return [message.pot]


pots = EventSourced("pot", Decider(0, put, fragile), key="pot")
pots_with_facts = EventSourced("pot", Decider(0, put, fragile_with_facts), key="pot")
shared = Boundary("shared", Decider(0, put, fragile), reads=tags, tags=tags)


async def test_what_evolve_cannot_take_is_not_stored_and_harms_nobody(url: str) -> None:
    async with App("bank", store=url, write=[pots]) as app:
        first = await app.execute(Put("a", 1))
        with pytest.raises(LookupError):
            await app.execute(Put("a", 13))
        assert await app.log.head() == 1
        # Whoever waits until nothing is on its way does not wait for what never left.
        await asyncio.wait_for(app.execute(Put("a", 1), seen=first), 3)
        await app.execute(Put("a", 1))
        assert [one.version async for one in app.log.read()] == [1, 2, 3]


async def test_in_a_chain_it_takes_only_its_own_command_down(url: str) -> None:
    async with App("bank", store=url, write=[pots]) as app:
        calls = [app.execute(Put("a", 13 if n in (3, 8) else 1)) for n in range(20)]
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert sum(isinstance(result, LookupError) for result in results) == 2
        receipts = [result for result in results if not isinstance(result, BaseException)]
        assert len(receipts) == await app.log.head() == 18
        await asyncio.wait_for(app.execute(Put("a", 1), seen=receipts[-1]), 3)


async def test_a_boundary_does_not_store_it_either(url: str) -> None:
    async with App("bank", store=url, write=[shared]) as app:
        await app.execute(Put("a", 1))
        with pytest.raises(LookupError):
            await app.execute(Put("a", 13))
        assert await app.log.head() == 1
        await asyncio.wait_for(app.execute(Put("a", 1)), 3)


async def test_where_evolve_wants_positions_nobody_hangs(url: str) -> None:
    async with App("bank", store=url, write=[pots_with_facts]) as app:
        await app.execute(Put("a", 1))
        for amount in (13, 1, 1):
            await asyncio.wait_for(
                asyncio.gather(app.execute(Put("a", amount)), return_exceptions=True), 3
            )
        calls = [app.execute(Put("b", 1)) for _ in range(5)]
        await asyncio.wait_for(asyncio.gather(*calls), 5)
