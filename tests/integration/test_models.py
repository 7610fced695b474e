"""Whole apps whose commands, events, queries and rows are pydantic models."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from diptych import (
    App,
    BadResult,
    Decider,
    EventSourced,
    Handlers,
    IdReused,
    InvalidMessage,
    Query,
    Refused,
    Stale,
    View,
    Views,
    WiringError,
)
from diptych.errors import WrongRows
from diptych.testing import given
from tests.integration import pots
from tests.integration.dumps import dump
from tests.integration.model_pots import (
    Added,
    AllTotals,
    Pot,
    Put,
    Removed,
    Take,
    Total,
    TotalOf,
    all_totals,
    changed,
    model_bank,
    total,
    total_of,
    totals,
)
from tests.integration.model_pots import pots as model


class Sum(BaseModel):
    model_config = ConfigDict(frozen=True)

    name: str = Field(alias="pot")
    cents: int = Field(ge=0)


class Sums(BaseModel, Query[list[Sum]]):
    columns: tuple[str, ...] = ("pot", "amount")


async def sums(query: Sums, views: Views) -> list[Sum]:
    c = views.table(Total).c
    names = {"pot": "name", "amount": "cents", "events": "events", "wrong": "name"}
    columns = [
        (c.amount if column == "wrong" else c[column]).label(names[column])
        for column in query.columns
    ]
    return await views.all(Sum, select(*columns).order_by(c.pot))


class HowMany(BaseModel, Query[int]):
    pass


async def how_many(query: HowMany, views: Views) -> int:
    return await views.scalar(int, select(func.count()).select_from(views.table(Total)))


@pytest.fixture
async def app(url: str) -> AsyncIterator[App]:
    async with model_bank(url, answer=[total_of, all_totals, sums, how_many]) as app:
        yield app


class TestApps:
    async def test_commands_events_queries_and_rows_are_models(self, app: App) -> None:
        receipt = await app.execute(Put(pot="a", cents=5))
        (added,) = receipt.events
        assert isinstance(added, Added)
        assert (added.pot, added.amount, added.seen) == ("a", 5, 0)
        receipt = await app.execute(Take(pot="a", amount=2))
        assert await app.ask(TotalOf(pot="a"), after=receipt) == Total(
            pot="a", amount=3, events=2, position=receipt.position
        )
        assert await app.ask(TotalOf(pot="b")) is None
        await app.execute(Put(pot="b", cents=7))
        await app.settled()
        assert [row.amount for row in await app.ask(AllTotals())] == [3, 7]
        events = [recorded.event async for recorded in app.log.read()]
        assert [type(event) for event in events] == [Added, Removed, Added]
        assert events[0] == added

    async def test_refusals_and_repetitions_are_as_for_dataclasses(self, app: App) -> None:
        first = await app.execute(Put(pot="a", cents=5), id="c-1")
        again = await app.execute(Put(pot="a", cents=5), id="c-1")
        assert (first, first.events) == (again, again.events)
        with pytest.raises(IdReused):
            await app.execute(Put(pot="a", cents=6), id="c-1")
        with pytest.raises(Refused) as refused:
            await app.execute(Take(pot="a", amount=9))
        assert refused.value.values == {"there": 5}

    async def test_a_refusal_may_carry_models(self, url: str) -> None:
        def refuse(command: Put, pot: Pot) -> list[Added]:
            raise Refused("no", there=[Total(pot="a", amount=1, events=2, position=3)], count=1)

        refusing = EventSourced("pot", Decider(Pot(), refuse, changed), key="pot")
        async with model_bank(url, write=[refusing]) as app:
            for _ in range(2):
                with pytest.raises(Refused) as refused:
                    await app.execute(Put(pot="a", cents=1), id="c-1")
            assert refused.value.values == {
                "there": [{"pot": "a", "amount": 1, "events": 2, "position": 3}],
                "count": 1,
            }

    async def test_what_breaks_its_constraint_is_refused_and_changes_nothing(
        self, app: App
    ) -> None:
        for command, field in [
            (Put.model_construct(pot="a", amount=0), "amount"),
            (Put.model_construct(pot=5, amount=1), "pot"),
            (Take(pot="a", amount=1).model_copy(update={"amount": "two"}), "amount"),
        ]:
            with pytest.raises(InvalidMessage) as error:
                await app.execute(command)
            assert error.value.field == field
        with pytest.raises(InvalidMessage) as error:
            await app.ask(TotalOf.model_construct(pot=""))
        assert (error.value.message_name, error.value.field) == ("total-of", "pot")
        assert await app.log.head() == 0

    async def test_many_at_once_stand_on_each_other(self, app: App) -> None:
        await asyncio.gather(*(app.execute(Put(pot="a", cents=1)) for _ in range(50)))
        events = [recorded.event async for recorded in app.log.read()]
        assert [event.seen for event in events] == list(range(50))

    async def test_columns_of_a_statement_become_models_by_the_names_of_their_fields(
        self, app: App
    ) -> None:
        await app.execute(Put(pot="a", cents=5))
        await app.settled()
        assert await app.ask(Sums()) == [Sum(pot="a", cents=5)]
        assert await app.ask(HowMany()) == 1
        for columns, words in [
            (("pot",), r"Sum \(Field required - at `\$\.cents`\)"),
            (("pot", "amount", "events"), r"do not fit Sum \(it has no field 'events'\)"),
            (("wrong", "amount"), r"Sum \(Input should be a valid string - at `\$\.name`\)"),
        ]:
            with pytest.raises(WrongRows, match=words):
                await app.ask(Sums(columns=columns))

    async def test_a_row_that_breaks_its_constraint_stops_the_view_before_its_event(
        self, url: str
    ) -> None:
        class Positive(BaseModel):
            pot: str
            amount: int = Field(gt=0)

        def last(row: Positive | None, event: Added | Removed) -> Positive | None:
            sign = 1 if isinstance(event, Added) else -1
            return Positive.model_construct(pot=event.pot, amount=sign * event.amount)

        async def ask(query: TotalOf, views: Views) -> Any:
            return await views.get(Positive, query.pot)

        view = View(Positive, last, key="pot")
        async with model_bank(url, read=[view], answer=[ask]) as app:
            await app.execute(Put(pot="a", cents=3))
            assert await app.ask(TotalOf(pot="a"), after=1) == Positive(pot="a", amount=3)
            await app.execute(Take(pot="a", amount=1))
            with pytest.raises(Stale, match="greater than 0"):
                await app.ask(TotalOf(pot="a"), after=2, timeout=0.3)

    async def test_an_inline_view_keeps_models_in_the_command_s_commit(self, url: str) -> None:
        inline = View(Total, total, key="pot", inline=True)
        async with model_bank(url, read=[inline]) as app:
            receipt = await app.execute(Put(pot="a", cents=5))
            answer = await app.answer(TotalOf(pot="a"))
            assert answer.value == Total(pot="a", amount=5, events=1, position=receipt.position)

    async def test_what_prepare_gives_is_checked_as_well(self, url: str) -> None:
        def even(command: Put) -> Put:
            return command.model_copy(update={"amount": command.amount // 2 * 2})

        prepared = EventSourced("pot", model.decider, key="pot", prepare=even)
        async with model_bank(url, write=[prepared]) as app:
            receipt = await app.execute(Put(pot="a", cents=3))
            assert receipt.events[0].amount == 2
            with pytest.raises(BadResult, match="greater than 0"):
                await app.execute(Put(pot="a", cents=1))

    async def test_a_handler_takes_and_gives_models(self, file: str) -> None:
        async def put(command: Put, session: AsyncSession) -> list[Added]:
            return [Added(pot=command.pot, amount=command.amount)]

        async with model_bank(
            file, write=[Handlers("pot", put, key="pot")], read=[], answer=[]
        ) as app:
            receipt = await app.execute(Put(pot="a", cents=3))
            assert receipt.events == (Added(pot="a", amount=3),)
            with pytest.raises(InvalidMessage, match="'amount'"):
                await app.execute(Put.model_construct(pot="a", amount=0))

    async def test_a_decide_that_changes_the_state_changes_it_for_nobody(self, url: str) -> None:
        class Purse(BaseModel):
            amounts: list[int] = []

        def put(command: Put, purse: Purse) -> list[Added]:
            if command.amount == 13:
                purse.amounts.append(command.amount)
            return [Added(pot=command.pot, amount=sum(purse.amounts))]

        def added(purse: Purse, event: Added) -> Purse:
            return Purse(amounts=[*purse.amounts, 1])

        greedy = EventSourced("pot", Decider(Purse(), put, added), key="pot")
        async with model_bank(url, write=[greedy], read=[], answer=[]) as app:
            await app.execute(Put(pot="a", cents=1))
            with pytest.raises(BadResult, match="changed what it was given"):
                await app.execute(Put(pot="a", cents=13))
            receipt = await app.execute(Put(pot="a", cents=1))
            assert receipt.events == (Added(pot="a", amount=1),)


async def test_fastapi_takes_commands_as_bodies_and_gives_rows(url: str) -> None:
    site = FastAPI()
    async with model_bank(url) as app:

        @site.post("/put")
        async def put(command: Put) -> int:
            return (await app.execute(command)).position

        @site.get("/total/{pot}")
        async def show(pot: str, after: int) -> Total | None:
            return await app.ask(TotalOf(pot=pot), after=after)

        transport = httpx.ASGITransport(site)
        async with httpx.AsyncClient(transport=transport, base_url="http://site") as visitor:
            position = (await visitor.post("/put", json={"pot": "a", "cents": 5})).json()
            shown = await visitor.get("/total/a", params={"after": position})
            assert shown.json() == {"pot": "a", "amount": 5, "events": 1, "position": position}
            assert (await visitor.post("/put", json={"pot": "a", "cents": 0})).status_code == 422


class TestMoving:
    async def test_a_store_of_dataclasses_is_opened_by_models_and_the_other_way_round(
        self, file: str
    ) -> None:
        plain: dict[str, Any] = {"write": [pots.pots]}
        async with pots.bank(file, **plain) as before:
            first = await before.execute(pots.Put("a", 5), id="c-1")
            await before.execute(pots.Take("a", 2))
            await before.settled()
        names = dump(file)["diptych_names"]
        async with model_bank(file) as after:
            again = await after.execute(Put(pot="a", cents=5), id="c-1")
            assert again == first
            assert isinstance(again.events[0], Added)
            receipt = await after.execute(Take(pot="a", amount=1))
            assert receipt.version == 3
            row = await after.ask(TotalOf(pot="a"), after=receipt)
            assert row == Total(pot="a", amount=2, events=3, position=3)
        assert dump(file)["diptych_names"] == names
        async with pots.bank(file, **plain) as before:
            assert await before.execute(pots.Put("a", 5), id="c-1") == first
            assert await pots.refuse_old_states(before) == 3


class TestKit:
    def test_given_when_then_takes_models(self) -> None:
        once = Added(pot="a", amount=5, mark="m")
        given(model, once).when(Take(pot="a", amount=6)).refused("too_little")
        given(model).when(Put.model_construct(pot="a", amount=0)).invalid("amount")
        decided = given(model, once).when(Take(pot="a", amount=2), id="c")
        with pytest.raises(AssertionError, match="seen=1, upon='m'"):
            decided.then(Removed(pot="a", amount=2))
        with pytest.raises(AssertionError, match="seen=1, upon='m'"):
            decided.then()

    def test_views_show_models(self) -> None:
        shown = given(totals, Added(pot="b", amount=5), Removed(pot="b", amount=2))
        shown.shows(Total(pot="b", amount=3, events=2, position=2))
        with pytest.raises(AssertionError, match="other rows than expected"):
            shown.shows(Total(pot="b", amount=3, events=2, position=1))


def test_an_event_without_the_row_s_key_is_named() -> None:
    with pytest.raises(WiringError, match=r"Added has no field 'events'"):
        View(Total, total, key="events")
