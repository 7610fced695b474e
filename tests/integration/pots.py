"""A domain for whole apps: pots of money (streams) and nights in a hostel (a boundary).

Every event has a mark, and says which marks its decision knew of, so that a decision on any other
state than the one before its event shows.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta
from sqlalchemy import select

from diptych import (
    App,
    Boundary,
    Context,
    Decider,
    EventSourced,
    Query,
    Recorded,
    Refused,
    View,
    Views,
)

Amount = Annotated[int, Meta(gt=0)]


@dataclass(frozen=True)
class Put:
    pot: str
    amount: Amount


@dataclass(frozen=True)
class Take:
    pot: str
    amount: Amount


@dataclass(frozen=True)
class Look:
    """Gives no events."""

    pot: str


@dataclass(frozen=True)
class Break:
    """Its decision raises what nobody foresaw."""

    pot: str


@dataclass(frozen=True)
class Added:
    """`seen` events were there, the last of them marked `upon`."""

    pot: str
    amount: int
    seen: int = 0
    upon: str = ""
    mark: str = ""


@dataclass(frozen=True)
class Removed:
    pot: str
    amount: int
    seen: int = 0
    upon: str = ""
    mark: str = ""
    by: str = ""


@dataclass(frozen=True)
class Pot:
    amount: int = 0
    events: int = 0
    mark: str = ""


def put(command: Put, pot: Pot, context: Context) -> list[Added]:
    mark = context.new_id("event")
    return [Added(command.pot, command.amount, pot.events, pot.mark, mark)]


def take(command: Take, pot: Pot, context: Context) -> list[Removed]:
    if command.amount > pot.amount:
        raise Refused("too_little", f"{pot.amount} in the pot", there=pot.amount)
    mark = context.new_id("event")
    by = context.principal.id
    return [Removed(command.pot, command.amount, pot.events, pot.mark, mark, by)]


def look(command: Look, pot: Pot) -> list[Added]:
    return []


def break_(command: Break, pot: Pot) -> list[Added]:
    raise LookupError(command.pot)


def added(pot: Pot, event: Added) -> Pot:
    return replace(pot, amount=pot.amount + event.amount, events=event.seen + 1, mark=event.mark)


def removed(pot: Pot, event: Removed) -> Pot:
    return replace(pot, amount=pot.amount - event.amount, events=event.seen + 1, mark=event.mark)


pot_decider = Decider(Pot(), [put, take, look, break_], [added, removed])
pots = EventSourced("pot", pot_decider, key="pot")

BEDS = 3


@dataclass(frozen=True)
class Book:
    booking: str
    nights: tuple[int, ...]


@dataclass(frozen=True)
class Booked:
    """`seen` bookings were there for each night."""

    booking: str
    nights: tuple[int, ...]
    seen: dict[str, list[str]]


def night_tags(message: Book | Booked) -> list[str]:
    return [f"night:{night}" for night in message.nights]


Bookings = Mapping[int, tuple[str, ...]]


def book(command: Book, booked: Bookings) -> list[Booked]:
    if any(len(booked.get(night, ())) >= BEDS for night in command.nights):
        raise Refused("full", "no bed on one of the nights")
    seen = {str(night): list(booked.get(night, ())) for night in command.nights}
    return [Booked(command.booking, command.nights, seen)]


def was_booked(booked: Bookings, event: Booked) -> Bookings:
    more = {night: (*booked.get(night, ()), event.booking) for night in event.nights}
    return {**booked, **more}


no_nights: Bookings = {}
nights = Boundary("night", Decider(no_nights, book, was_booked), reads=night_tags, tags=night_tags)


@dataclass(frozen=True)
class Total:
    pot: str
    amount: int
    events: int
    position: int


def total(row: Total | None, event: Added | Removed, recorded: Recorded[Any]) -> Total | None:
    before = row or Total(event.pot, 0, 0, 0)
    sign = 1 if isinstance(event, Added) else -1
    amount = before.amount + sign * event.amount
    return Total(event.pot, amount, before.events + 1, recorded.position)


totals = View(Total, total, key="pot")


@dataclass(frozen=True)
class TotalOf(Query[Total | None]):
    pot: str


@dataclass(frozen=True)
class AllTotals(Query[list[Total]]): ...


async def total_of(query: TotalOf, views: Views) -> Total | None:
    return await views.get(Total, query.pot)


async def all_totals(query: AllTotals, views: Views) -> list[Total]:
    table = views.table(Total)
    return await views.all(Total, select(table).order_by(table.c.pot))


def bank(url: str, **more: Any) -> App:
    """An app of this domain; every call gives another one."""
    parts: dict[str, Any] = {
        "write": [pots, nights],
        "read": [totals],
        "answer": [total_of, all_totals],
    }
    return App("bank", store=url, **parts | more)


def file_url(path: Path) -> str:
    """The URL of a file."""
    return f"sqlite:///{path}"


async def refuse_old_states(app: App) -> int:
    """Fails where a decision was made on another state than the one before its events.

    Returns:
        How many events there are.
    """
    versions: Counter[str] = Counter()
    marks: dict[str, str] = {}
    booked: defaultdict[int, list[str]] = defaultdict(list)
    positions: list[int] = []
    async for recorded in app.log.read():
        positions.append(recorded.position)
        versions[recorded.stream] += 1
        assert recorded.version == versions[recorded.stream]
        match recorded.event:
            case Added(seen=seen, upon=upon, mark=mark) | Removed(seen=seen, upon=upon, mark=mark):
                assert seen == recorded.version - 1, recorded
                assert upon == marks.get(recorded.stream, ""), recorded
                marks[recorded.stream] = mark
            case Booked(booking=booking, nights=on, seen=seen_on):
                assert seen_on == {str(night): booked[night] for night in on}, recorded
                for night in on:
                    booked[night].append(booking)
            case _:
                pass
    assert positions == sorted(set(positions))
    assert all(len(bookings) <= BEDS for bookings in booked.values())
    return len(positions)
