"""The app of a proof: a command for every way in which events get into the log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, Column, MetaData, String, Table, insert, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import registry

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

ROWS_TABLE = "prove_rows"
COUNTERS_TABLE = "prove_counters"

KEYS = ("1", "2")
"""Few, so that writers meet: two streams each of events, boundary, state and handlers."""


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


class Tables:
    """The tables of the user's part, in the schema of the proof."""

    def __init__(self, schema: str) -> None:
        self.metadata = MetaData(schema=schema)
        self.rows = Table(
            ROWS_TABLE,
            self.metadata,
            Column("call", String, primary_key=True),
            Column("path", String, nullable=False),
        )
        counters = Table(
            COUNTERS_TABLE,
            self.metadata,
            Column("key", String, primary_key=True),
            Column("count", BigInteger, nullable=False),
        )
        # a class of its own: one is mapped to one table, and each proof has another schema
        self.counter: type[Any] = type("Counter", (), {})
        registry(metadata=self.metadata).map_imperatively(self.counter, counters)

    async def write(self, session: AsyncSession, call: str, path: str) -> None:
        """A row, before the events."""
        await session.execute(insert(self.rows).values(call=call, path=path))


def build(plan: Plan, tables: Tables) -> App:
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
        rows: Rows[int, Any] = Rows(
            tables.counter,
            to_state=lambda row: row.count,
            to_row=lambda key, count: tables.counter(key=key, count=count),
        )
        models.append(
            StateStored("counter", Decider(0, decide_count, evolve_count), key="key", rows=rows)
        )
    if "handler" in plan.paths:

        async def handle(command: Handle, session: AsyncSession) -> list[Handled]:
            await tables.write(session, command.call, "handler")
            if command.pause:
                await session.execute(text("SELECT pg_sleep(:s)"), {"s": command.pause})
            _give_up(command)
            return events_of(command.call, command.key, command.lines)

        models.append(Handlers("desk", handle, key="key", tables=tables.metadata))
    return App(
        CONTEXT, store=plan.url, write=models, events=[] if "handler" in plan.paths else [Handled]
    )


def _tags(message: Link | Linked) -> list[str]:
    return [f"key:{message.key}", f"key:{message.other}"]
