"""Handlers: the user's statements, the events and the outcome are one transaction, or nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from diptych import App, BadResult, Handlers, InvalidMessage, Principal, Refused, StreamConflict
from diptych.errors import DeadlineExceeded, HandlerTooSlow, IdReused, NestedCall, WiringError
from tests.integration.other_program import look
from tests.integration.shop import (
    ConfirmOrder,
    Deliver,
    Delivered,
    Misbehave,
    OneTaken,
    OrderConfirmed,
    OrderPlaced,
    PlaceOrder,
    TakeOne,
    shop,
    shop_handlers,
)


@pytest.fixture
async def app(database: str) -> AsyncIterator[App]:
    async with shop(database) as app:
        yield app


async def events(app: App) -> list[object]:
    return [recorded.event async for recorded in app.log.read()]


async def test_rows_events_and_receipt_tell_of_one_commit(app: App, database: str) -> None:
    await app.execute(Deliver("tea", 10))
    clerk = Principal("ann")
    receipt = await app.execute(PlaceOrder("o1", (("tea", 3),)), principal=clerk)
    assert receipt.events == (OrderPlaced("o1", "ann"),)
    assert (receipt.stream, receipt.version, receipt.position) == ("shop:o1", 1, 2)
    confirmed = await app.execute(ConfirmOrder("o1"))
    assert confirmed.events == (OrderConfirmed("o1", 1),)
    assert confirmed.version == 2
    assert look(database, "SELECT id, status, placed_by FROM orders") == [
        ("o1", "confirmed", "ann")
    ]
    assert look(database, "SELECT sku, stock FROM articles") == [("tea", 7)]
    assert await events(app) == [Delivered("tea", 10, 10), *receipt.events, *confirmed.events]


async def test_a_refusal_leaves_no_row(app: App, database: str) -> None:
    await app.execute(Deliver("tea", 2))
    for id in (None, "kept"):
        with pytest.raises(Refused) as refused:
            await app.execute(PlaceOrder("o1", (("tea", 3),)), id=id)
        assert refused.value.code == "too_few"
        assert refused.value.position == 1
    assert look(database, "SELECT * FROM orders") == look(database, "SELECT * FROM lines") == []
    assert look(database, "SELECT stock FROM articles") == [(2,)]


async def test_the_same_id_gives_the_first_outcome_and_runs_nothing(
    app: App, database: str
) -> None:
    first = await app.execute(Deliver("tea", 2), id="d")
    assert await app.execute(Deliver("tea", 2), id="d") == first
    assert look(database, "SELECT stock FROM articles") == [(2,)]
    with pytest.raises(Refused) as no:
        await app.execute(PlaceOrder("o", (("tea", 3),)), id="o")
    await app.execute(Deliver("tea", 5))
    with pytest.raises(Refused) as again:
        await app.execute(PlaceOrder("o", (("tea", 3),)), id="o")
    assert again.value.values == no.value.values == {"sku": "tea"}
    with pytest.raises(IdReused):
        await app.execute(Deliver("tea", 3), id="d")


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ("raise", LookupError),
        ("duplicate", IntegrityError),
        ("commit", BadResult),
        ("rollback", BadResult),
        ("bad event", BadResult),
    ],
)
async def test_a_handler_that_breaks_leaves_nothing(
    app: App, database: str, how: str, error: type[Exception]
) -> None:
    await app.execute(Deliver("tea", 2))
    with pytest.raises(error):
        await app.execute(Misbehave("tea", how))
    assert look(database, "SELECT stock FROM articles") == [(2,)]
    assert len(await events(app)) == 1
    await app.execute(TakeOne("tea"))


async def test_a_slow_handler_is_cut_off_and_the_next_one_goes_on(database: str) -> None:
    async with shop(database, write=[shop_handlers(seconds=0.1)]) as app:
        await app.execute(Deliver("tea", 2))
        slow = asyncio.ensure_future(app.execute(Misbehave("tea", "sleep")))
        await asyncio.sleep(0.01)
        receipt = await app.execute(TakeOne("tea"))
        assert receipt.events == (OneTaken("tea", 1),)
        with pytest.raises(HandlerTooSlow, match=r"misbehave held .* 0\.1 s"):
            await slow


async def test_a_cancelled_handler_leaves_nothing_wherever_it_is(app: App, database: str) -> None:
    await app.execute(Deliver("tea", 1000))
    taken = 0
    for steps in range(60):
        call = asyncio.ensure_future(app.execute(TakeOne("tea")))
        for _ in range(steps):
            await asyncio.sleep(0)
        if steps > 30:
            await asyncio.sleep((steps - 30) * 0.0001)
        call.cancel()
        with suppress(asyncio.CancelledError):
            await call
    await app.settled()
    recorded = await events(app)
    taken = sum(isinstance(event, OneTaken) for event in recorded)
    assert look(database, "SELECT stock FROM articles") == [(1000 - taken,)]
    left = [event.left for event in recorded if isinstance(event, OneTaken)]
    assert left == [999 - n for n in range(taken)]
    await app.execute(TakeOne("tea"))


async def test_handlers_and_other_commands_take_turns(app: App, database: str) -> None:
    await app.execute(Deliver("tea", 100))
    await asyncio.gather(*(app.execute(TakeOne("tea")) for _ in range(100)))
    with pytest.raises(Refused):
        await app.execute(TakeOne("tea"))
    assert look(database, "SELECT stock FROM articles") == [(0,)]
    lefts = [event.left for event in await events(app) if isinstance(event, OneTaken)]
    assert lefts == list(range(99, -1, -1))


async def test_the_app_cannot_be_called_from_inside_a_handler(database: str) -> None:
    async def nested(command: TakeOne, session: Any) -> list[OneTaken]:
        await app.execute(Deliver("tea", 1))
        return []

    from sqlalchemy.ext.asyncio import AsyncSession

    nested.__annotations__["session"] = AsyncSession
    handlers = Handlers("nested", [nested], key="sku")
    async with App("shop", store=database, write=[handlers, shop_handlers_less()]) as app:
        with pytest.raises(NestedCall):
            await app.execute(TakeOne("tea"))


def shop_handlers_less() -> Handlers:
    from tests.integration.shop import Base, deliver

    return Handlers("deliveries", [deliver], key="sku", tables=Base.metadata)


async def test_a_screen_that_has_not_seen_the_last_event_conflicts(app: App) -> None:
    first = await app.execute(Deliver("tea", 10))
    await app.execute(TakeOne("tea"))
    with pytest.raises(StreamConflict):
        await app.execute(TakeOne("tea"), seen=first)


async def test_what_is_wrong_at_the_door_never_takes_a_turn(app: App) -> None:
    from datetime import UTC, datetime

    with pytest.raises(InvalidMessage):
        await app.execute(Deliver("", 1))
    with pytest.raises(DeadlineExceeded):
        await app.execute(Deliver("tea", 1), deadline=datetime(2020, 1, 1, tzinfo=UTC))
    assert await events(app) == []


async def test_memory_lends_no_session() -> None:
    with pytest.raises(WiringError, match="sqlite:///"):
        App("shop", store="memory://", write=[shop_handlers()])


def test_a_handler_says_what_it_takes_and_returns() -> None:
    async def no_return(command: TakeOne, session: Any): ...  # type: ignore[no-untyped-def]

    def not_async(command: TakeOne, session: Any) -> list[OneTaken]: ...

    async def no_events(command: TakeOne, session: int) -> list[int | object]: ...

    for function, match in (
        (no_return, "does not say what it returns"),
        (not_async, "is not async"),
        (no_events, "no event class"),
    ):
        with pytest.raises(WiringError, match=match):
            Handlers("shop", [function], key="sku")
