"""The app of a proof: a command for every way in which events get into the log."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from diptych.app import App
from diptych.errors import Refused
from diptych.ops.prove.plan import Plan
from diptych.write.boundary import Boundary
from diptych.write.decider import Decider
from diptych.write.event_sourced import EventSourced
from diptych.write.handlers import Handlers
from diptych.write.model import WriteModel
from diptych.write.state_stored import Rows, StateStored

CONTEXT = "diptych-prove"

KEYS = ("1", "2")
"""Few, so that writers meet: two streams each of events, boundary, state and handlers."""


class Base(DeclarativeBase):
    """The tables of the user's part; they are in the schema of the store."""


class Row(Base):
    """What a handler, or a transaction of the user's own, writes before its events."""

    __tablename__ = "prove_rows"
    call: Mapped[str] = mapped_column(primary_key=True)
    path: Mapped[str]


class Counter(Base):
    """The row of a state-stored model."""

    __tablename__ = "prove_counters"
    key: Mapped[str] = mapped_column(primary_key=True)
    count: Mapped[int]


@dataclass(frozen=True)
class Noted:
    """`number` is one more than the decision knew of."""

    key: str
    call: str
    line: int
    number: int


@dataclass(frozen=True)
class Counted:
    """The same, of a model whose state is a row."""

    key: str
    call: str
    line: int
    number: int


@dataclass(frozen=True)
class Handled:
    """Of a handler, or of a transaction of the user's own."""

    key: str
    call: str
    line: int


@dataclass(frozen=True)
class Linked:
    """An event of a boundary: it counts for two keys."""

    key: str
    other: str
    call: str
    line: int


@dataclass(frozen=True)
class Note:
    """For events; refused where the writer gives up."""

    key: str
    call: str
    lines: int
    give_up: bool = False


@dataclass(frozen=True)
class Link:
    """For a boundary."""

    key: str
    other: str
    call: str
    lines: int
    give_up: bool = False


@dataclass(frozen=True)
class Count:
    """For a model whose state is a row."""

    key: str
    call: str
    lines: int
    give_up: bool = False


@dataclass(frozen=True)
class Handle:
    """For a handler, which writes a row first and then takes its time."""

    key: str
    call: str
    lines: int
    give_up: bool = False
    pause: float = 0.0


def decide_note(command: Note, count: int) -> list[Noted]:
    """As many events as there are lines."""
    _give_up(command)
    lines = range(command.lines)
    return [Noted(command.key, command.call, line, count + 1 + line) for line in lines]


def evolve_note(count: int, event: Noted) -> int:
    """How many there are."""
    return count + 1


def decide_count(command: Count, count: int) -> list[Counted]:
    """The same, upon a row."""
    _give_up(command)
    lines = range(command.lines)
    return [Counted(command.key, command.call, line, count + 1 + line) for line in lines]


def evolve_count(count: int, event: Counted) -> int:
    """How many there are."""
    return count + 1


def decide_link(command: Link, count: int) -> list[Linked]:
    """The same, of a boundary."""
    _give_up(command)
    return [Linked(command.key, command.other, command.call, line) for line in range(command.lines)]


def evolve_link(count: int, event: Linked) -> int:
    """How many there are."""
    return count + 1


def _give_up(command: Note | Link | Count | Handle) -> None:
    if command.give_up:
        raise Refused("given_up", command.call)


def events_of(call: str, key: str, lines: int) -> list[Handled]:
    """The events of a handler, or of a transaction of the user's own."""
    return [Handled(key, call, line) for line in range(lines)]


async def handle(command: Handle, session: AsyncSession) -> list[Handled]:
    """A row, a pause, and the events; or nothing at all."""
    await write_row(session, command.call, "handler")
    await session.execute(text("SELECT pg_sleep(:seconds)"), {"seconds": command.pause})
    _give_up(command)
    return events_of(command.call, command.key, command.lines)


async def write_row(session: AsyncSession, call: str, path: str) -> None:
    """In the session's transaction, now."""
    session.add(Row(call=call, path=path))
    await session.flush()


def build(plan: Plan) -> App:
    """The app of one process."""
    models: list[WriteModel] = [
        EventSourced("account", Decider(0, decide_note, evolve_note), key="key"),
        Boundary(
            "link",
            Decider(0, decide_link, evolve_link),
            reads=_tags,
            tags=_tags,
            key="key",
        ),
    ]
    if "state" in plan.paths:
        rows = Rows(
            Counter,
            to_state=lambda row: row.count,
            to_row=lambda key, count: Counter(key=key, count=count),
        )
        models.append(
            StateStored("counter", Decider(0, decide_count, evolve_count), key="key", rows=rows)
        )
    if "handler" in plan.paths:
        models.append(Handlers("desk", handle, key="key", tables=Base.metadata))
    joined = [] if "handler" in plan.paths else [Handled]
    return App(CONTEXT, store=plan.url, write=models, events=joined)


def _tags(message: Link | Linked) -> list[str]:
    return [f"key:{message.key}", f"key:{message.other}"]
