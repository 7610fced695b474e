"""Reads what a proof left, with plain SQL: the checker's own eyes. Nothing of the engine is in here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from diptych.ops.prove.checking import Call, Sighting, Stored
from diptych.ops.prove.notes import read


class Fetches(Protocol):
    """A connection of the driver's."""

    async def fetch(self, sql: str, /) -> Sequence[Sequence[Any]]: ...


async def head(connection: Fetches, schema: str) -> int:
    """The highest position that is there; 0 where there is none."""
    ((position,),) = await connection.fetch(f"SELECT max(position) FROM {schema}.diptych_events")
    return position or 0


async def log(connection: Fetches, schema: str) -> list[Stored]:
    """All events, in order of position."""
    rows = await connection.fetch(
        f"SELECT position, stream, version, data FROM {schema}.diptych_events ORDER BY position"
    )
    found: list[Stored] = []
    for position, stream, version, data in rows:
        event = json.loads(data)
        number = event.get("number")
        found.append(Stored(position, stream, version, event["call"], event["line"], number))
    return found


async def rows(connection: Fetches, table: str) -> list[str]:
    """The calls that left a row."""
    return [call for (call,) in await connection.fetch(f"SELECT call FROM {table}")]


async def counters(connection: Fetches, table: str) -> dict[str, int]:
    """By key, what the rows of the state-stored model say."""
    found = await connection.fetch(f"SELECT key, count FROM {table}")
    return {row[0]: row[1] for row in found}


def calls(file: Path, process: int) -> tuple[list[Call], list[Call]]:
    """What a writing process did; and apart from that, the transaction that it held open."""
    told: dict[str, dict[str, Any]] = {}
    for line in read(file):
        if "id" in line:
            told.setdefault(line["id"], {}).update(line)
    usual: list[Call] = []
    held: list[Call] = []
    for call in told.values():
        where = held if call.pop("held", False) else usual
        call.pop("error", None)
        where.append(Call(process=process, **call))
    return usual, held


def errors(file: Path) -> list[str]:
    """What a writing process was told where something failed."""
    return [line["error"] for line in read(file) if "error" in line]


def cpu_wait(file: Path) -> float:
    """For which share of the time a writing process waited for a CPU."""
    return max((line["cpu_wait"] for line in read(file) if "cpu_wait" in line), default=0.0)


def sightings(file: Path) -> list[Sighting]:
    """What a reader saw, in the order in which it saw it."""
    return [Sighting(*line) for line in read(file) if line.__class__ is list]


def stops(file: Path, end: float) -> list[tuple[float, float]]:
    """From when till when a writing process was stopped."""
    found: list[tuple[float, float]] = []
    stopped: float | None = None
    for line in read(file):
        if "stopped" in line:
            stopped = line["stopped"]
        elif "woke" in line and stopped is not None:
            found.append((stopped, line["woke"]))
            stopped = None
    return found if stopped is None else [*found, (stopped, end)]
