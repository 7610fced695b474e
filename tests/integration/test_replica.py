"""Replicas: the states of an event-sourced model, copied by its own evolve."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select

from diptych import (
    App,
    Decider,
    EventSourced,
    Query,
    Recorded,
    Stale,
    View,
    Views,
    WiringError,
    replica,
)
from diptych.testing import given
from tests.integration.pots import Pot, Put, Take, bank, file_url, nights, pots
from tests.integration.shop import shop_handlers


@dataclass(frozen=True)
class Ask(Query[Any]):
    """Whatever the test says."""

    pot: str = ""


def asking(function: Callable[[Views, str], Any]) -> Any:
    async def answer(query: Ask, views: Views) -> Any:
        return await function(views, query.pot)

    return answer


async def state_of(views: Views, pot: str) -> Pot | None:
    return await views.get(Pot, pot)


@pytest.fixture(params=["beside the log", "inline", "memory://", "sqlite://", "in a file"])
def copied(request: pytest.FixtureRequest, tmp_path: Path) -> View[Pot]:
    match request.param:
        case "beside the log":
            return replica(pots)
        case "inline":
            return replica(pots, inline=True)
        case "in a file":
            return replica(pots, store=file_url(tmp_path / "views.db"))
        case place:
            return replica(pots, store=place)


async def states_in_the_log(app: App) -> dict[str, Pot]:
    """What evolve makes of the log, folded here."""
    events: dict[str, list[Any]] = {}
    async for recorded in app.log.read():
        events.setdefault(recorded.stream.removeprefix("pot:"), []).append(recorded.event)
    return {pot: pots.decider.fold(of_pot) for pot, of_pot in events.items()}


async def test_it_has_exactly_the_states_of_the_model(url: str, copied: View[Pot]) -> None:
    async with bank(url, write=[pots], read=[copied], answer=[asking(state_of)]) as app:
        for turn in range(3):
            await asyncio.gather(
                *[app.execute(Put(f"p{n % 5}", n + 1)) for n in range(20)],
                *[app.execute(Take(f"p{n % 5}", 1)) for n in range(5 * turn, 5)],
                return_exceptions=True,
            )
            await app.settled()
            for pot, state in (await states_in_the_log(app)).items():
                assert await app.ask(Ask(pot)) == state
        assert await app.ask(Ask("never")) is None


async def test_all_of_them_are_listed_as_states(url: str, copied: View[Pot]) -> None:
    async def listed(views: Views, pot: str) -> list[Pot]:
        return sorted(await views.all(Pot), key=lambda state: state.amount)

    async with bank(url, write=[pots], read=[copied], answer=[asking(listed)]) as app:
        await app.execute(Put("a", 1))
        receipt = await app.execute(Put("b", 2))
        found = await app.ask(Ask(), after=receipt)
        assert [(type(state), state.amount) for state in found] == [(Pot, 1), (Pot, 2)]


async def test_the_key_is_a_column_though_it_is_no_field_of_the_state(url: str) -> None:
    @dataclass(frozen=True)
    class Named:
        pot: str
        amount: int

    async def large(views: Views, pot: str) -> Any:
        table = views.table(Pot)
        states = await views.all(Pot, select(table).where(table.c.amount > 1))
        named = await views.all(Named, select(table.c.pot, table.c.amount).order_by(table.c.pot))
        total = await views.scalar(int, select(func.sum(table.c.amount)))
        return [state.amount for state in states], named, total

    async with bank(url, write=[pots], read=[replica(pots)], answer=[asking(large)]) as app:
        await app.execute(Put("a", 1))
        receipt = await app.execute(Put("b", 2))
        assert await app.ask(Ask(), after=receipt) == ([2], [Named("a", 1), Named("b", 2)], 3)


@dataclass(frozen=True)
class Open:
    id: UUID
    number: int


@dataclass(frozen=True)
class Opened:
    id: UUID
    number: int


NOBODY = UUID(int=0)


@dataclass(frozen=True)
class Account:
    id: UUID = NOBODY
    number: int = 0
    opened: str = ""


def open_(command: Open, account: Account) -> list[Opened]:
    return [Opened(command.id, command.number)]


def opened(account: Account, event: Opened, recorded: Recorded[Opened]) -> Account:
    return replace(account, id=event.id, number=event.number, opened=recorded.stream)


accounts = EventSourced("account", Decider(Account(), open_, opened), key="id")


async def test_a_key_that_is_a_field_of_the_state_keeps_its_type(url: str) -> None:
    async def one(views: Views, pot: str) -> Any:
        table = views.table(Account)
        assert list(table.c.keys()) == ["id", "number", "opened"]
        return await views.get(Account, UUID(int=7)), await views.all(Account, select(table))

    async with App(
        "x", store=url, write=[accounts], read=[replica(accounts)], answer=[asking(one)]
    ) as app:
        receipt = await app.execute(Open(UUID(int=7), 3))
        expected = Account(UUID(int=7), 3, f"account:{UUID(int=7)}")
        assert await app.ask(Ask(), after=receipt) == (expected, [expected])


async def test_a_state_that_does_not_say_its_key_stops_before_the_event(url: str) -> None:
    def forgetful(account: Account, event: Opened) -> Account:
        return Account(number=event.number)

    model = EventSourced("account", Decider(Account(), open_, forgetful), key="id")

    async def one(views: Views, pot: str) -> Any:
        return await views.get(Account, UUID(int=7))

    async with App(
        "x", store=url, write=[model], read=[replica(model)], answer=[asking(one)]
    ) as app:
        receipt = await app.execute(Open(UUID(int=7), 3))
        with pytest.raises(Stale, match=r"left 'id' at .*the stream's key is"):
            await app.ask(Ask(), after=receipt, timeout=0.2)

    async def beside(views: Views, pot: str) -> Any:
        return await views.get(Account, UUID(int=7))

    copied = replica(model, key="account_id")
    async with App("x", write=[model], read=[copied], answer=[asking(beside)]) as app:
        receipt = await app.execute(Open(UUID(int=7), 3))
        assert await app.ask(Ask(), after=receipt) == Account(number=3)


async def test_it_lives_on_after_a_restart_and_rises_by_versions(kept: str) -> None:
    for version in (1, 1, 2):
        copied = replica(pots, version=version)
        async with bank(kept, write=[pots], read=[copied], answer=[asking(state_of)]) as app:
            receipt = await app.execute(Put("a", 1))
            await app.settled()
            state = await app.ask(Ask("a"), after=receipt)
            assert state == (await states_in_the_log(app))["a"]


class TestWiring:
    def test_a_boundary_has_no_state_of_its_own(self) -> None:
        with pytest.raises(WiringError, match=r"keeps no state of its own.*View"):
            replica(nights)  # type: ignore[arg-type]

    def test_handlers_keep_theirs_in_tables(self) -> None:
        with pytest.raises(WiringError, match=r"in tables of yours.*read=\[Tables\(metadata\)\]"):
            replica(shop_handlers())  # type: ignore[type-var]

    def test_what_is_no_model_is_named(self) -> None:
        with pytest.raises(WiringError, match="only an EventSourced model"):
            replica(pots.decider)  # type: ignore[arg-type]

    def test_a_computed_key_needs_a_name(self) -> None:
        model = EventSourced("pot", pots.decider, key=lambda command: command.pot)
        with pytest.raises(WiringError, match="names no column"):
            replica(model)
        assert replica(model, key="pot").key == ("pot",)

    def test_a_state_without_fields_is_named(self) -> None:
        def decide(command: Open, state: int) -> list[Opened]:
            return []

        def evolve(state: int, event: Opened) -> int:
            return state + 1

        with pytest.raises(WiringError, match=r"the state .*int"):
            replica(EventSourced("count", Decider(0, decide, evolve), key="id"))

    def test_its_fold_is_tested_with_the_model(self) -> None:
        with pytest.raises(WiringError, match="evolve of its model"):
            given(replica(pots))
