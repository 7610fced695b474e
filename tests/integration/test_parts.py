"""Parts of an app: features wired together, commands prepared, things provided."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import pytest

from diptych import (
    App,
    BadResult,
    Decider,
    EventSourced,
    Part,
    Principal,
    Query,
    View,
    Views,
    WiringError,
)
from diptych.errors import IdReused
from diptych.testing import given
from tests.integration.pots import Added, Put, Total, TotalOf, nights, pots, total, total_of


@dataclass(frozen=True)
class Register:
    email: str
    name: str


@dataclass(frozen=True)
class Registered:
    email: str
    name: str


@dataclass(frozen=True)
class Guest:
    name: str = ""


def register(command: Register, guest: Guest) -> list[Registered]:
    return [] if guest.name else [Registered(command.email, command.name)]


def registered(guest: Guest, event: Registered) -> Guest:
    return Guest(event.name)


def normal(command: Register) -> Register:
    return replace(command, email=command.email.strip().lower())


guests = EventSourced(
    "guest", Decider(Guest(), register, registered), key="email", prepare=[normal]
)

totals = View(Total, total, key="pot")
money = Part(write=[pots], read=[totals], answer=[total_of], names={"pot.added": Added})
people = Part(write=[guests])


async def test_an_app_is_the_sum_of_its_parts(url: str) -> None:
    async with App("bank", store=url, write=[nights], parts=[money, people]) as app:
        receipt = await app.execute(Put("a", 1))
        await app.execute(Register("ann@x", "Ann"))
        assert await app.ask(TotalOf("a"), after=receipt) is not None
        names = [recorded.name async for recorded in app.log.read()]
        assert names == ["pot.added", "registered"]


async def test_one_part_serves_several_apps() -> None:
    async with App("a", parts=[money]) as one, App("b", parts=[money]) as two:
        await one.execute(Put("a", 1))
        assert (await one.log.head(), await two.log.head()) == (1, 0)


def test_what_two_parts_claim_is_said() -> None:
    with pytest.raises(WiringError, match="two models are named 'pot'"):
        App("bank", parts=[money, Part(write=[EventSourced("pot", guests.decider, key="email")])])
    with pytest.raises(WiringError, match=r"two parts give 'pot\.added'"):
        App("bank", parts=[money, Part(write=[guests], names={"pot.added": Registered})])


async def test_a_command_is_prepared_before_it_is_decided_and_finds_its_stream(url: str) -> None:
    async with App("bank", store=url, parts=[people]) as app:
        receipt = await app.execute(Register(" Ann@X.org ", "Ann"))
        assert receipt.stream == "guest:ann@x.org"
        assert receipt.events == (Registered("ann@x.org", "Ann"),)
        again = await app.execute(Register("ANN@x.org", "Ann"))
        assert again.events == ()


async def test_the_fingerprint_is_of_what_was_sent(url: str) -> None:
    async with App("bank", store=url, parts=[people]) as app:
        first = await app.execute(Register(" A@x", "Ann"), id="r")
        assert await app.execute(Register(" A@x", "Ann"), id="r") == first
        with pytest.raises(IdReused):
            await app.execute(Register("a@x", "Ann"), id="r")


def other(command: Register) -> Register:
    return Guest("x")  # type: ignore[return-value]


def broken(command: Register) -> Register:
    return replace(command, name=5)  # type: ignore[arg-type]


@pytest.mark.parametrize("prepare", [other, broken])
async def test_a_prepare_that_returns_something_else_is_named(prepare: object) -> None:
    model = EventSourced("guest", guests.decider, key="email", prepare=[prepare])  # type: ignore[list-item]
    async with App("bank", write=[model]) as app:
        with pytest.raises(BadResult, match=prepare.__name__):  # type: ignore[attr-defined]
            await app.execute(Register("a@x", "Ann"))
        assert await app.log.head() == 0


def test_a_prepare_for_a_command_of_another_model_is_a_wiring_error() -> None:
    def stray(command: Put) -> Put:
        return command

    with pytest.raises(WiringError, match="no command of this model"):
        EventSourced("guest", guests.decider, key="email", prepare=[stray])


def test_the_test_kit_prepares_as_the_app_does() -> None:
    given(guests).when(Register(" Ann@X.org ", "Ann")).then(Registered("ann@x.org", "Ann"))


class Rates:
    """Stands for a client of somebody else's service, opened once."""

    def __init__(self) -> None:
        self.open = True

    def of(self, currency: str) -> int:
        assert self.open
        return {"EUR": 2}[currency]


opened: list[Rates] = []


@asynccontextmanager
async def open_rates() -> AsyncIterator[Rates]:
    rates = Rates()
    opened.append(rates)
    try:
        yield rates
    finally:
        rates.open = False


@dataclass(frozen=True)
class Worth(Query[tuple[int, str]]):
    pot: str


async def worth(query: Worth, views: Views, rates: Rates, principal: Principal) -> tuple[int, str]:
    row = await views.get(Total, query.pot)
    return (0 if row is None else row.amount) * rates.of("EUR"), principal.id


async def test_answerers_get_what_the_app_provides_and_who_asks(url: str) -> None:
    opened.clear()
    app = App("bank", store=url, parts=[money], answer=[worth], provide={Rates: open_rates})
    for entry in range(1, 3):
        async with app:
            receipt = await app.execute(Put("a", 5))
            asked = await app.ask(Worth("a"), after=receipt, principal=Principal("ann"))
            assert asked[1] == "ann"
            assert asked[0] >= 10
            assert len(opened) == entry
            assert opened[-1].open
        assert not opened[-1].open


async def test_an_opener_that_fails_leaves_nothing_open(tmp_path: object) -> None:
    @asynccontextmanager
    async def fails() -> AsyncIterator[Rates]:
        raise LookupError("no rates today")
        yield Rates()

    app = App("bank", parts=[money], answer=[worth], provide={Rates: fails})
    with pytest.raises(LookupError):
        await app.__aenter__()
    with pytest.raises(LookupError):
        await app.__aenter__()


def test_what_nobody_provides_is_a_wiring_error() -> None:
    with pytest.raises(WiringError, match=r"nothing provides 'rates'"):
        App("bank", parts=[money], answer=[worth])
