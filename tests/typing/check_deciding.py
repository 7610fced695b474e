"""What type checkers must conclude about models, views and the test kit. Checked, never run."""

from dataclasses import dataclass

from diptych import Context, Decider, EventSourced, Recorded, View
from diptych.testing import given


@dataclass(frozen=True)
class Open:
    name: str


@dataclass(frozen=True)
class Close:
    name: str


@dataclass(frozen=True)
class Opened:
    name: str


@dataclass(frozen=True)
class Closed:
    name: str


@dataclass(frozen=True)
class Door:
    is_open: bool = False


def open_(command: Open, door: Door, context: Context) -> list[Opened]:
    return [] if door.is_open else [Opened(command.name)]


def close(command: Close, door: Door) -> list[Closed]:
    return [Closed(command.name)] if door.is_open else []


def opened(door: Door, event: Opened, recorded: Recorded[Opened]) -> Door:
    return Door(is_open=True)


def closed(door: Door, event: Closed) -> Door:
    return Door()


@dataclass(frozen=True)
class Row:
    name: str
    times: int


def project(row: Row | None, event: Opened) -> Row | None:
    return Row(event.name, 1 if row is None else row.times + 1)


lists_of_functions = Decider(Door(), [open_, close], [opened, closed])
doors = EventSourced("door", lists_of_functions, key="name")
rows = View(Row, project, key="name", version=1)
by_name_and_times = View(Row, [project], key=("name", "times"), version=1)

given(doors).when(Open("front")).then(Opened("front"))
given(doors, Opened("front")).when(Open("front")).then()
given(rows, Opened("front")).shows(Row("front", 1))
