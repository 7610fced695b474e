"""Handlers and rows behind a pooler that hands each transaction to another of its two connections."""

from __future__ import annotations

import asyncio

import pytest

from diptych import Receipt, Refused, StreamConflict
from tests.integration.other_program import look
from tests.integration.pots import Put, Take, refuse_old_states
from tests.integration.shop import Deliver, PlaceOrder, TakeOne, shop, shop_handlers
from tests.integration.tables import table_bank


async def test_many_handlers_of_two_apps_lose_nothing(postgres: str, pooled: str) -> None:
    handlers = shop_handlers(seconds=30)
    async with shop(pooled, write=[handlers]) as one, shop(pooled, write=[handlers]) as two:
        await one.execute(Deliver("tea", 100))
        calls = [app.execute(TakeOne("tea")) for _ in range(40) for app in (one, two)]
        calls += [app.execute(Deliver(str(n), 1)) for n in range(40) for app in (one, two)]
        await asyncio.gather(*calls)
        await one.execute(PlaceOrder("o1", (("tea", 3),)), id="o1")
        with pytest.raises(Refused):
            await two.execute(PlaceOrder("o1", (("tea", 3),)), id="o2")
    assert look(postgres, "SELECT stock FROM articles WHERE sku = 'tea'") == [(17,)]
    assert look(postgres, "SELECT DISTINCT stock FROM articles WHERE sku <> 'tea'") == [(2,)]


async def test_many_who_saw_the_same_screen_wait_for_no_second_connection(pooled: str) -> None:
    async with shop(pooled, write=[shop_handlers(seconds=30)]) as app:
        seen = await app.execute(Deliver("tea", 100))
        await asyncio.gather(*[app.execute(Deliver(str(n), 1), seen=seen) for n in range(40)])
        calls = [app.execute(TakeOne("tea"), seen=seen) for _ in range(10)]
        found = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 60)
        kinds = [type(one) for one in found]
        assert kinds.count(Receipt) == 1
        assert kinds.count(StreamConflict) == 9


async def test_states_in_a_table_are_kept(postgres: str, pooled: str) -> None:
    async with table_bank(pooled) as one, table_bank(pooled) as two:
        for number in range(10):
            calls = [app.execute(Put(str(number), 2)) for _ in range(5) for app in (one, two)]
            await asyncio.gather(*calls)
            await two.execute(Take(str(number), 5))
        assert await refuse_old_states(one) == 110
    assert look(postgres, "SELECT DISTINCT amount FROM pots") == [(15,)]
