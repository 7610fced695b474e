"""What type checkers must conclude about models, views and the test kit. Checked, never run."""

from dataclasses import dataclass
from typing import assert_type

from sqlalchemy import insert
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.sql.dml import Insert

from diptych import (
    Context,
    Decider,
    EventSourced,
    Projection,
    Recorded,
    Rows,
    StateStored,
    View,
    replica,
)
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


class Base(DeclarativeBase): ...


class DoorRow(Base):
    __tablename__ = "doors"
    name: Mapped[str] = mapped_column(primary_key=True)
    is_open: Mapped[bool]


def to_door(row: DoorRow) -> Door:
    return Door(row.is_open)


def to_row(name: str, door: Door) -> DoorRow | None:
    return DoorRow(name=name, is_open=door.is_open) if door.is_open else None


plain = Decider(Door(), [open_, close], closed)
by_lambdas = Rows(
    DoorRow,
    to_state=lambda row: Door(row.is_open),
    to_row=lambda name, door: DoorRow(name=name, is_open=door.is_open),
)
by_functions = Rows(DoorRow, to_state=to_door, to_row=to_row)
rows_of_doors: Rows[Door, DoorRow] = by_lambdas
kept: StateStored[Door] = StateStored("door", plain, key="name", rows=by_functions)
owned = StateStored("door", plain, key="name", rows=by_lambdas, owned=True)

given(kept, Opened("front")).when(Close("front")).then(Closed("front"))
given(kept).when(Open("front")).leaves(DoorRow(name="front", is_open=True))
given(kept).when(Close("front")).leaves(None)


def count(opened: int, event: Opened) -> int:
    return opened + 1


# The rows hold another state than the decider.
numbers: Decider[int] = Decider(0, [], count)
StateStored("door", numbers, key="name", rows=by_functions)  # type: ignore[misc]

# A replica has the model's state for its rows.
assert_type(replica(doors), View[Door])


def doors_seen(event: Opened, recorded: Recorded[Opened]) -> list[Insert]:
    return [insert(DoorRow).values(name=event.name, is_open=True)]


seen = Projection("seen", doors_seen, tables=Base.metadata, version=2)
