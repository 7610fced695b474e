"""Reads the store's tables with plain sqlite3: the checkers' own eyes, no import of diptych."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.history import Entry


@dataclass(frozen=True)
class Stored:
    """One event of tests.faults.ledger as it lies in the file."""

    position: int
    stream: str
    version: int
    entry: str
    line: int
    number: int
    cause: str

    @property
    def id(self) -> str:
        return f"{self.entry}#{self.line}"

    def as_entry(self) -> Entry:
        return Entry(self.position, self.stream, self.version, self.id)


def read(file: Path, sql: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def stored_entries(file: Path) -> list[Stored]:
    """All events in order of position."""
    rows = read(
        file,
        "select position, stream, version, data, causation from diptych_events order by position",
    )
    found: list[Stored] = []
    for position, stream, version, data, cause in rows:
        event = json.loads(data)
        found.append(
            Stored(position, stream, version, event["entry"], event["line"], event["number"], cause)
        )
    return found


def stored_positions(file: Path) -> list[int]:
    rows = read(file, "select position from diptych_events order by position")
    return [position for (position,) in rows]
