"""Judges a depot by its file alone, with plain sqlite3: rows, events, outcomes and views must agree.

What is compared is the user's own tables, the log, the outcomes, the inline view and the
asynchronous one, and what callers were told. Nothing of the engine's is used.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.history import Finding
from tests.faults.processes import Told
from tests.faults.tables import read

Row = tuple[int, int, int]
"""Taken, left and remarks of one SKU."""


@dataclass(frozen=True)
class Event:
    position: int
    stream: str
    version: int
    name: str
    data: dict[str, Any]
    cause: str

    @property
    def note(self) -> str:
        return str(self.data["note"])


@dataclass(frozen=True)
class Depot:
    """What lies in the file."""

    events: Sequence[Event]
    takings: Sequence[tuple[str, str, int]]
    stock: dict[str, int]
    outcomes: dict[str, tuple[int, int, str | None]]
    views: dict[str, dict[str, Row]]
    checkpoints: dict[str, int]

    @property
    def head(self) -> int:
        return self.events[-1].position if self.events else 0


def look(file: Path) -> Depot:
    """Reads all of it, of one moment."""
    connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True, isolation_level=None)
    try:
        connection.execute("begin")
        return _look(lambda sql: connection.execute(sql).fetchall())
    finally:
        connection.close()


def _look(read: Callable[[str], list[Any]]) -> Depot:
    events = read(
        "select position, stream, version, name, data, causation from diptych_events "
        "order by position"
    )
    outcomes = read("select id, position, count, refusal from diptych_outcomes")
    return Depot(
        [Event(p, s, v, n, json.loads(d), c) for p, s, v, n, d, c in events],
        read("select note, sku, left from takings"),
        dict(read("select sku, stock from shelves")),
        {id: (position, count, refusal) for id, position, count, refusal in outcomes},
        {
            view: {
                sku: (taken, left, remarks)
                for sku, taken, left, remarks in read(
                    f"select sku, taken, left, remarks from view_{view}_1"
                )
            }
            for view in ("tally", "diary")
        },
        dict(read("select name, position from diptych_checkpoints")),
    )


def fold(events: Iterable[Event]) -> dict[str, Row]:
    """What both views must show of these events."""
    rows: dict[str, Row] = {}
    for event in events:
        sku = event.data["sku"]
        taken, left, remarks = rows.get(sku, (0, 0, 0))
        match event.name:
            case "filled":
                left += event.data["quantity"]
            case "taken":
                taken, left = taken + 1, event.data["left"]
            case "remarked":
                remarks += 1
            case _:
                raise LookupError(event.name)
        rows[sku] = (taken, left, remarks)
    return rows


def check_depot(
    file: Path, calls: Sequence[Told] = (), *, faults: bool = False, settled: bool = True
) -> list[Finding]:
    """What is wrong with the file, given what callers were told.

    Args:
        faults: Whether a caller may have been told of a fault.
        settled: Whether the asynchronous view must have got to the end.
    """
    sound = read(file, "pragma integrity_check")
    if sound != [("ok",)]:
        return [Finding("corrupt", str(sound[0][0]))]
    depot = look(file)
    found = [
        *_check_order(depot),
        *_check_levels(depot),
        *_check_rows(depot),
        *_check_views(depot, settled=settled),
        *_check_outcomes(depot),
        *_check_calls(depot, calls),
    ]
    if not faults:
        found += [Finding("fault", f"{c.id}: {c.fault}: {c.message}") for c in calls if c.fault]
    return found


def _check_order(depot: Depot) -> Iterable[Finding]:
    last, versions = 0, Counter[str]()
    for event in depot.events:
        if event.position <= last:
            yield Finding("position order", str(event.position))
        last = event.position
        versions[event.stream] += 1
        if event.version != versions[event.stream]:
            yield Finding("version gap", f"{event.stream} version {event.version}")
        if event.name == "remarked" and event.data["number"] != event.version:
            yield Finding("wrong expected version", f"{event.stream} version {event.version}")


def _check_levels(depot: Depot) -> Iterable[Finding]:
    """Each taking leaves one less than there was: a permutation without gaps, and the exact stock."""
    levels: dict[str, int] = {}
    for event in depot.events:
        sku = event.data["sku"]
        if event.name == "filled":
            levels[sku] = levels.get(sku, 0) + event.data["quantity"]
        elif event.name == "taken":
            levels[sku] -= 1
            if event.data["left"] != levels[sku]:
                yield Finding(
                    "lost update", f"{event.note} left {event.data['left']}, not {levels[sku]}"
                )
    if depot.stock != levels:
        yield Finding("lost update", f"the shelves hold {depot.stock}, not {levels}")


def _check_rows(depot: Depot) -> Iterable[Finding]:
    taken = [(e.note, e.data["sku"], e.data["left"]) for e in depot.events if e.name == "taken"]
    for note, times in Counter(note for note, _, _ in taken).items():
        if times > 1:
            yield Finding("duplicate", note)
    rows = set(depot.takings)
    for row in rows - set(taken):
        yield Finding("row without event", str(row))
    for event in set(taken) - rows:
        yield Finding("event without row", str(event))


def _check_views(depot: Depot, *, settled: bool) -> Iterable[Finding]:
    at = depot.checkpoints.get("tally@1", 0)
    if at != depot.head:
        yield Finding("view", f"the inline view is at {at} of {depot.head}")
    if depot.views["tally"] != fold(depot.events):
        yield Finding("view", f"the inline view shows {depot.views['tally']}")
    at = depot.checkpoints.get("diary@1", 0)
    if settled and at != depot.head:
        yield Finding("view", f"the asynchronous view is at {at} of {depot.head}")
    if depot.views["diary"] != fold(event for event in depot.events if event.position <= at):
        yield Finding("view", f"the asynchronous view at {at} shows {depot.views['diary']}")


def _is_drawn(note: str) -> bool:
    """Whether the engine gave the id: a note of the checked calls says so itself."""
    return "-join-" in note or "-drawn-" in note


def _check_outcomes(depot: Depot) -> Iterable[Finding]:
    by_cause: defaultdict[str, list[Event]] = defaultdict(list)
    for event in depot.events:
        by_cause[event.cause].append(event)
        if not _is_drawn(event.note) and event.cause != event.note:
            yield Finding("unknown operation", f"{event.note} was caused by {event.cause}")
    notes = {note for note, _, _ in depot.takings}
    for id, (position, count, refusal) in depot.outcomes.items():
        events = by_cause[id]
        if len(events) != count or (count and events[-1].position != position):
            yield Finding("outcome", f"{id} has {len(events)} events, its outcome says {count}")
        if refusal is not None and (events or id in notes):
            yield Finding("failed but present", id)
    for cause, events in by_cause.items():
        if events and "-join-" not in events[0].note and cause not in depot.outcomes:
            yield Finding("outcome", f"{cause} has none")


def _check_calls(depot: Depot, calls: Sequence[Told]) -> Iterable[Finding]:
    """`failed` promises that nothing happened, `ok` that it is there, where the receipt says."""
    ends = {event.note: event.position for event in depot.events}
    for call in calls:
        match call.outcome:
            case "ok":
                if ends.get(call.id) != call.position:
                    yield Finding("lost", f"{call.id} at {call.position}: {ends.get(call.id)}")
            case "failed":
                if call.id in ends:
                    yield Finding("failed but present", call.id)
            case "unknown":
                pass
