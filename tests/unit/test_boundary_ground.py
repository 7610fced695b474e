"""On which commits on their way a boundary decides, and on which not any more."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from diptych import App, Boundary, Decider
from diptych.adapters.memory.store import MemoryStore
from diptych.log.commit import Appended, Cause, Committed, Conflict
from diptych.write.boundary_ground import BoundaryGround, BoundaryStanding


@dataclass(frozen=True)
class Reserve:
    nights: tuple[str, ...]
    by: str


@dataclass(frozen=True)
class Reserved:
    nights: tuple[str, ...]
    by: str


def decide(command: Reserve, guests: tuple[str, ...]) -> list[Reserved]:
    return [Reserved(command.nights, command.by)]


def evolve(guests: tuple[str, ...], event: Reserved) -> tuple[str, ...]:
    return (*guests, event.by)


def tags(message: Reserve | Reserved) -> list[str]:
    return [f"night:{night}" for night in message.nights]


class Hotel:
    """A boundary whose commits stay on their way until the test says what became of them."""

    def __init__(self, ground: BoundaryGround, app: App) -> None:
        self._ground = ground
        self._app = app
        self._flying: dict[str, BoundaryStanding] = {}

    async def send(self, by: str, *nights: str) -> tuple[tuple[str, ...], frozenset[str]]:
        """Who was there for the decision, and which of their commits it stands on."""
        command = Reserve(nights, by)
        standing = await self._ground.stand("", command, alone=False)
        events = decide(command, standing.state)
        new = tuple(self._app.wiring.codec.encode(event, decide)[1] for event in events)
        _, condition = standing.expectations(events, new)
        assert condition is not None
        standing.sent(Cause(by, by, "anonymous", "", 0), events, new)
        self._flying[by] = standing
        return standing.state, condition.besides

    def answer(self, by: str, committed: Committed | None) -> None:
        self._flying.pop(by).arrived(committed)


@pytest.fixture
async def hotel() -> AsyncIterator[Hotel]:
    model = Boundary("hotel", Decider((), decide, evolve), reads=tags, tags=tags)
    app = App("hotel", write=[model])
    store = MemoryStore()
    await store.open("hotel", app.wiring.stamps())
    yield Hotel(BoundaryGround(model, app.wiring.codec, store, 10), app)
    await store.close()


FELL_OUT = [Conflict("night:1", 0, None), None]


async def test_a_decision_stands_on_what_is_on_its_way_under_its_tags(hotel: Hotel) -> None:
    assert await hotel.send("a", "1") == ((), frozenset())
    assert await hotel.send("b", "1", "2") == (("a",), {"a"})
    assert await hotel.send("c", "3") == ((), frozenset())
    assert await hotel.send("d", "2") == (("b",), {"b"})


@pytest.mark.parametrize("committed", FELL_OUT)
async def test_nobody_stands_on_what_stands_on_a_commit_that_fell_out(
    hotel: Hotel, committed: Committed | None
) -> None:
    """Or they would fall out in turns for ever, each decided on the other's last attempt."""
    await hotel.send("a", "1")
    await hotel.send("b", "1", "2")
    await hotel.send("c", "2", "3")
    hotel.answer("a", committed)
    assert await hotel.send("a", "1") == ((), frozenset())
    assert await hotel.send("d", "3") == ((), frozenset())
    assert await hotel.send("e", "1", "2", "3") == (("a", "d"), {"a", "d"})


async def test_what_stands_on_a_commit_that_happened_is_stood_on(hotel: Hotel) -> None:
    await hotel.send("a", "1")
    await hotel.send("b", "1", "2")
    hotel.answer("a", Appended(1, (1,)))
    assert await hotel.send("c", "2") == (("b",), {"b"})
