"""Replicas in whole apps: at every moment what the model's own fold says."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeAlias
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from diptych import (
    App,
    BadResult,
    Decider,
    EventSourced,
    Principal,
    Query,
    Refused,
    Stale,
    Views,
    replica,
)
from diptych.errors import ProjectionFailed, SchemaChanged
from tests.integration import model_pots
from tests.integration.copies import (
    AllPages,
    Numbers,
    Page,
    PageOf,
    Price,
    Shout,
    Wipe,
    Wiped,
    Write,
    Written,
    book,
    decider,
    pages,
    priced,
    refuse_other_pages,
    set_price,
    states,
    wipe,
    wiped,
    write,
)
from tests.integration.pots import file_url


@pytest.fixture(params=[False, True], ids=["async", "inline"])
def inline(request: pytest.FixtureRequest) -> bool:
    """How it is kept."""
    return bool(request.param)


@dataclass(frozen=True)
class Keys(Query[list[int]]): ...


async def keys(query: Keys, views: Views) -> list[int]:
    table = views.table(Page)
    return await views.all(int, select(table.c.number).order_by(table.c.number))


@dataclass(frozen=True)
class PotOf(Query[model_pots.Pot | None]):
    pot: str


async def pot_of(query: PotOf, views: Views) -> model_pots.Pot | None:
    return await views.get(model_pots.Pot, query.pot)


@dataclass(frozen=True)
class Torn(Page): ...


@dataclass(frozen=True)
class WriteText:
    page: str
    text: str


def write_text(command: WriteText, page: Page) -> list[Written]:
    return [Written(command.text)]


@dataclass(frozen=True)
class Wider(Page):
    more: int = 0


def wider(page: Wider, event: Written) -> Wider:
    return page


async def test_a_state_is_there_under_its_key(url: str, inline: bool) -> None:
    async with book(url, read=[replica(pages, inline=inline)]) as app:
        await app.execute(Write(7, "one"))
        await app.execute(Price(7, Decimal("1.50")))
        await app.execute(Write(8, "two"))
        receipt = await app.execute(Wipe(8))
        page = await app.ask(PageOf(7), after=receipt)
        assert page is not None
        assert (page.text, page.price, page.version) == ("onecosts 1.50", Decimal("1.50"), 3)
        assert await app.ask(PageOf(9)) is None
        assert await app.ask(Numbers(0)) == [7, 8]
        assert await app.ask(Numbers(1)) == [8]
        assert await refuse_other_pages(app) == 2


async def test_an_inline_one_is_there_with_the_receipt(url: str) -> None:
    async with book(url, read=[replica(pages, inline=True)]) as app:
        for number in range(20):
            await app.execute(Write(1, str(number)))
            page = await app.ask(PageOf(1), timeout=0)
            assert page == (await states(app))[1]


async def test_only_the_streams_of_the_model_are_copied(url: str, inline: bool) -> None:
    async with book(url, read=[replica(pages, inline=inline)]) as app:
        await app.execute(Shout("not a page"))
        await app.execute(Write(1, "a page"))
        await app.execute(Shout("nor is this"))
        assert await refuse_other_pages(app) == 1


@pytest.mark.parametrize("place", ["memory://", "sqlite://", "sqlite:///"])
async def test_it_may_rest_elsewhere(file: str, tmp_path: Path, place: str) -> None:
    store = file_url(tmp_path / "pages.db") if place == "sqlite:///" else place
    async with book(file, read=[replica(pages, store=store)]) as app:
        for number in range(60):
            await app.execute(Write(number % 5, str(number)))
        assert await refuse_other_pages(app) == 5
    async with book(file, read=[replica(pages, store=store)]) as app:
        await app.execute(Wipe(3))
        assert await refuse_other_pages(app) == 5


async def test_a_key_column_may_be_named(url: str) -> None:
    async with book(url, read=[replica(pages, key="number")], answer=[keys]) as app:
        for number in (10, 9, 11):
            receipt = await app.execute(Write(number, "x"))
        assert await app.ask(Keys(), after=receipt) == [9, 10, 11]


@dataclass(frozen=True)
class Open:
    id: UUID


@dataclass(frozen=True)
class Opened: ...


@dataclass(frozen=True)
class Door:
    times: int = 0


@dataclass(frozen=True)
class DoorOf(Query[Door | None]):
    id: UUID


@dataclass(frozen=True)
class DoorByText(Query[Door | None]):
    id: str


async def door_of(query: DoorOf | DoorByText, views: Views) -> Door | None:
    return await views.get(Door, query.id)


def open_(command: Open, door: Door) -> list[Opened]:
    return [Opened()]


def opened(door: Door, event: Opened) -> Door:
    return Door(door.times + 1)


doors = EventSourced("door", Decider(Door(), open_, opened), key="id")


async def test_keys_are_what_the_commands_have(url: str) -> None:
    one, other = uuid4(), uuid4()
    async with App(
        "house", store=url, write=[doors], read=[replica(doors)], answer=[door_of]
    ) as app:
        await app.execute(Open(one))
        await app.execute(Open(other))
        receipt = await app.execute(Open(one))
        assert await app.ask(DoorOf(one), after=receipt) == Door(2)
        assert await app.ask(DoorOf(other)) == Door(1)
        with pytest.raises(BadResult, match="is str, not UUID"):
            await app.ask(DoorByText(str(one)))


async def test_states_of_pydantic_are_copied_too(url: str, inline: bool) -> None:
    async with App(
        "bank",
        store=url,
        write=[model_pots.pots],
        read=[replica(model_pots.pots, inline=inline)],
        answer=[pot_of],
    ) as app:
        await app.execute(model_pots.Put(pot="a", cents=5))
        receipt = await app.execute(model_pots.Take(pot="a", amount=2))
        pot = await app.ask(PotOf("a"), after=receipt)
        assert pot is not None
        assert (type(pot), pot.amount, pot.events) == (model_pots.Pot, 3, 2)


class TestFailing:
    async def test_a_state_of_another_class_is_refused(self, file: str) -> None:
        def tears(page: Page, event: Written) -> Page:
            return Torn() if event.text == "bad" else replace(page, text=event.text)

        torn = EventSourced(
            "page", Decider(Page(), [write, set_price, wipe], [tears, priced, wiped]), key="page"
        )
        async with book(file, write=[torn], read=[replica(torn)]) as app:
            receipt = await app.execute(Write(1, "good"))
            await app.ask(PageOf(1), after=receipt)
            receipt = await app.execute(Write(1, "bad"))
            with pytest.raises(Stale, match="evolve returned Torn, not Page"):
                await app.ask(PageOf(1), after=receipt, timeout=0.3)

    async def test_tenants_are_not_mixed(self, url: str) -> None:
        tenant = Principal("x", tenant="one")
        async with book(url, read=[replica(pages, inline=True)]) as app:
            await app.execute(Write(1, "ours"))
            with pytest.raises(ProjectionFailed, match="is one of tenant 'one'"):
                await app.execute(Write(1, "theirs"), principal=tenant)
            assert await refuse_other_pages(app) == 1

    async def test_a_key_of_another_type_in_the_log_is_told(self, file: str) -> None:
        evolves: Sequence[Callable[..., Page]] = [
            route.function for route in decider.evolves.values()
        ]
        before = EventSourced("page", Decider(Page(), write_text, evolves), key="page")
        async with book(file, write=[before]) as app:
            await app.execute(WriteText("007", "x"))
        async with book(file, write=[pages], read=[replica(pages)]) as app:
            answer = asyncio.create_task(app.ask(PageOf(7), timeout=0.3))
            with pytest.raises(Exception, match="has keys that are int, which 'page:007' has not"):
                await answer

    async def test_other_fields_need_another_version(self, file: str) -> None:
        model = EventSourced("page", Decider(Wider(), write, wider), key="page")
        async with book(file, read=[replica(pages)]):
            pass
        with pytest.raises(SchemaChanged, match="Give it version=2"):
            async with App(
                "book", store=file, write=[model], read=[replica(model)], names={"page": Wider}
            ):
                pass


Action: TypeAlias = Write | Price | Wipe | Shout | None
"""None leaves the app and enters another one over the same file."""

numbers_of_pages = st.integers(-2, 2)
decimals = st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-99, max_value=99)
actions: st.SearchStrategy[Action] = st.one_of(
    st.builds(Write, numbers_of_pages, st.text("ab'\U0001f58a\n", max_size=3)),
    st.builds(Price, numbers_of_pages, decimals),
    st.builds(Wipe, numbers_of_pages),
    st.builds(Shout, st.just("!")),
    st.none(),
)


async def go_through(url: str, history: Sequence[Action], *, inline: bool) -> None:
    """Carries a history out, in bursts, and looks at the replica wherever the app is left."""
    steps = iter(history)
    over = False
    while not over:
        async with book(url, read=[replica(pages, inline=inline)]) as app:
            calls: list[Coroutine[Any, Any, Any]] = []
            over = True
            for action in steps:
                if action is None:
                    over = False
                    break
                calls.append(app.execute(action))
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
            assert all(
                isinstance(outcome, Refused) or not isinstance(outcome, BaseException)
                for outcome in outcomes
            )
            if over:
                await refuse_other_pages(app)


@pytest.mark.parametrize("how", ["async", "inline"])
@given(history=st.lists(actions, max_size=25))
@settings(max_examples=40, deadline=None)
def test_it_is_the_fold_of_every_stream_whatever_happened(
    how: str, history: Sequence[Action]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        url = file_url(Path(folder) / "book.db")
        asyncio.run(go_through(url, history, inline=how == "inline"))


@given(history=st.lists(actions.filter(lambda action: action is not None), max_size=40))
@settings(max_examples=40, deadline=None)
def test_so_it_is_in_memory(history: Sequence[Action]) -> None:
    asyncio.run(go_through("memory://", history, inline=len(history) % 2 == 0))


async def test_all_pages_are_of_one_moment(url: str) -> None:
    async with book(url, read=[replica(pages)]) as app:
        await asyncio.gather(*[app.execute(Write(n, str(n))) for n in range(30)])
        await app.settled()
        assert sorted(page.text for page in await app.ask(AllPages())) == sorted(
            str(n) for n in range(30)
        )


def test_the_events_of_the_model_are_taken() -> None:
    assert Wiped in replica(pages).events
