"""What the fault tests write: entries of a ledger, numbered by the state they were decided on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from diptych import App, Decider, EventSourced, Query, Refused, View, Views


@dataclass(frozen=True)
class Book:
    """`lines` events at once, so that half a command would show; 0 lines are refused."""

    ledger: str
    entry: str
    lines: int


@dataclass(frozen=True)
class Booked:
    """`number` is one more than the state knew: another version shows a decision on old state."""

    ledger: str
    entry: str
    line: int
    number: int


@dataclass(frozen=True)
class Ledger:
    booked: int = 0


def decide(command: Book, ledger: Ledger) -> list[Booked]:
    if command.lines == 0:
        raise Refused("nothing_to_book", f"entry {command.entry} has no lines")
    return [
        Booked(command.ledger, command.entry, line, ledger.booked + 1 + line)
        for line in range(command.lines)
    ]


def evolve(ledger: Ledger, event: Booked) -> Ledger:
    return replace(ledger, booked=ledger.booked + 1)


ledgers = EventSourced("ledger", Decider(Ledger(), decide, evolve), key="ledger")


@dataclass(frozen=True)
class Length:
    ledger: str
    booked: int


def project(row: Length | None, event: Booked) -> Length | None:
    return Length(event.ledger, (0 if row is None else row.booked) + 1)


@dataclass(frozen=True)
class LengthOf(Query[int]):
    ledger: str


async def length_of(query: LengthOf, views: Views) -> int:
    row = await views.get(Length, query.ledger)
    return 0 if row is None else row.booked


def url(store: Path | str) -> str:
    """Of a file, or of what is a URL already."""
    return str(store) if "://" in str(store) else f"sqlite:///{store}"


def app(store: Path | str, *, view: bool = False, place: str | None = None) -> App:
    """The app.

    Args:
        place: Where the view rests; None for beside the log.
    """
    return App(
        "ledger",
        store=url(store),
        write=[ledgers],
        read=[View(Length, project, key="ledger", version=1, store=place)] if view else [],
        answer=[length_of] if view else [],
    )


def command(name: str, number: int, ledgers: int) -> tuple[str, Book]:
    """The n-th command of a writer and its id: the same again for whoever repeats it."""
    id = f"{name}-{number}"
    lines = 0 if number % 10 == 9 else 3 if number % 10 == 4 else 1
    return id, Book(f"l{(number * 7 + len(name)) % ledgers}", id, lines)


def command_of(id: str, ledgers: int) -> Book:
    name, _, number = id.rpartition("-")
    return command(name, int(number), ledgers)[1]
