"""Judges the rows of a log by what writers and readers noted. Nothing of the engine is in here.

Positions are the order of an append-only log, so no search is needed: O(n log n).
"""

from __future__ import annotations

import bisect
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Outcome = Literal["ok", "refused", "failed", "unknown"]
"""Both refused and failed promise that nothing happened."""

Kind = Literal[
    "lost",
    "doubled",
    "out of order",
    "half",
    "undone",
    "misplaced",
    "stale decision",
    "nobody's",
    "row without event",
    "event without row",
]


@dataclass(frozen=True)
class Stored:
    """A row of the log.

    Attributes:
        call: Which call of a writer it comes from.
        line: Which of that call's events it is, from 0.
        number: The version that the decision expected it to get; None where it did not look.
    """

    position: int
    stream: str
    version: int
    call: str
    line: int
    number: int | None = None


@dataclass(frozen=True)
class Call:
    """What a writer did, as it saw it itself. Times are those of one clock, in seconds.

    Attributes:
        path: The way in which it wrote.
        events: How many it meant to write.
        returned: None where no answer came.
        position: Of the last event, as it was answered.
        process: Which of the writing processes it was.
    """

    id: str
    path: str
    events: int
    called: float
    process: int = 0
    returned: float | None = None
    outcome: Outcome = "unknown"
    position: int | None = None


@dataclass(frozen=True)
class Sighting:
    """An event as a reader saw it."""

    position: int
    stream: str
    version: int
    call: str
    line: int
    time: float


@dataclass(frozen=True)
class Violation:
    """Something that must not be."""

    kind: Kind
    about: str


def check_log(stored: Sequence[Stored], calls: Sequence[Call]) -> list[Violation]:
    """What is wrong with the log, given what the writers were told.

    Args:
        stored: In order of position.
    """
    found: list[Violation] = []
    heads: dict[str, int] = {}
    events: dict[str, list[Stored]] = defaultdict(list)
    for event in stored:
        head = heads.get(event.stream, 0)
        if event.version != head + 1:
            found.append(Violation("out of order", f"{_named(event)} comes after version {head}"))
        heads[event.stream] = max(head, event.version)
        if event.number is not None and event.number != event.version:
            about = f"{_named(event)} was decided as number {event.number}"
            found.append(Violation("stale decision", about))
        events[event.call].append(event)
    known = {call.id for call in calls}
    found += [
        Violation("nobody's", _named(its[0])) for id, its in events.items() if id not in known
    ]
    for call in calls:
        found += _check_call(call, events.get(call.id, []))
    return [*found, *_check_time(calls, events)]


def _check_call(call: Call, its: Sequence[Stored]) -> Iterable[Violation]:
    lines = Counter(event.line for event in its)
    for line, count in lines.items():
        if count > 1:
            yield Violation("doubled", f"{call.path} {call.id} line {line} is there {count} times")
    if call.outcome == "ok" and not its:
        yield Violation("lost", f"{call.path} {call.id}, answered as position {call.position}")
    elif its and call.outcome in ("refused", "failed"):
        yield Violation("undone", f"{_named(its[0])} is there, and {call.id} was {call.outcome}")
    elif its and len(lines) != call.events:
        yield Violation("half", f"{call.path} {call.id}: {len(lines)} of {call.events} events")
    elif call.outcome == "ok" and its[-1].position != call.position:
        yield Violation("misplaced", f"{_named(its[-1])}, answered as position {call.position}")


def _check_time(
    calls: Sequence[Call], events: Mapping[str, Sequence[Stored]]
) -> Iterable[Violation]:
    """A call that was answered before another began stands before it."""
    returned: list[float] = []
    furthest: list[int] = []  # the highest position among the calls that had been answered by then
    answered = [
        (c.returned, c.id) for c in calls if c.outcome == "ok" and c.returned and c.id in events
    ]
    for at, id in sorted(answered):
        returned.append(at)
        furthest.append(max(events[id][-1].position, furthest[-1] if furthest else 0))
    for call in calls:
        its = events.get(call.id)
        before = bisect.bisect_left(returned, call.called) - 1
        if its and before >= 0 and furthest[before] > its[0].position:
            about = f"{_named(its[0])} began after position {furthest[before]} was answered"
            yield Violation("out of order", about)


def check_reader(name: str, seen: Sequence[Sighting], stored: Sequence[Stored]) -> list[Violation]:
    """What is wrong with what a reader saw, in the order in which it saw it."""
    found: list[Violation] = []
    there = {event.position: event for event in stored}
    counted: set[int] = set()
    heads: dict[str, int] = {}
    furthest = 0
    for sighting in seen:
        about = f"{name}: {_named(sighting)}"
        event = there.get(sighting.position)
        if sighting.position in counted:
            found.append(Violation("doubled", about))
            continue
        counted.add(sighting.position)
        if event is None or _facts(event) != _facts(sighting):
            found.append(Violation("nobody's", f"{about} is not what is stored"))
        head = heads.get(sighting.stream, 0)
        if sighting.version < head:
            found.append(Violation("out of order", f"{about} came after version {head}"))
        elif sighting.position < furthest:
            found.append(Violation("out of order", f"{about} came after position {furthest}"))
        heads[sighting.stream] = max(head, sighting.version)
        furthest = max(furthest, sighting.position)
    return found + [
        Violation("lost", f"{name}: {_named(event)}")
        for event in stored
        if event.position not in counted
    ]


def check_rows(
    rows: Collection[str], stored: Sequence[Stored], calls: Sequence[Call], paths: Collection[str]
) -> list[Violation]:
    """Whether the rows that were written with events are there where those are, and nowhere else.

    Args:
        rows: The ids of the calls that left a row.
        paths: Those that leave one.
    """
    wrote = {event.call for event in stored}
    ours = {call.id for call in calls if call.path in paths}
    return [
        *[Violation("row without event", id) for id in sorted(set(rows) - wrote)],
        *[Violation("event without row", id) for id in sorted((wrote & ours) - set(rows))],
    ]


def check_counters(counters: Mapping[str, int], stored: Sequence[Stored]) -> list[Violation]:
    """Whether each row that is a state says how many events made it: those of `counter:key`."""
    there = Counter(
        event.stream.removeprefix("counter:")
        for event in stored
        if event.stream.startswith("counter:")
    )
    return [
        Violation("event without row", f"counter {key} says {said}, the log has {there[key]}")
        for key in sorted({*counters, *there})
        if (said := counters.get(key, 0)) != there[key]
    ]


def longest_wait(
    calls: Iterable[Call], stops: Mapping[int, Sequence[tuple[float, float]]], end: float
) -> tuple[float, str]:
    """For how many seconds a writer waited for an answer at most, and for which.

    Args:
        stops: By process, from when till when it was stopped: it did not wait then.
        end: For calls without an answer.
    """
    longest, which = 0.0, ""
    for call in calls:
        returned = end if call.returned is None else call.returned
        own = stops.get(call.process, ())
        if any(call.called < woke and returned > stopped for stopped, woke in own):
            continue
        if returned - call.called > longest:
            longest, which = returned - call.called, f"{call.path} {call.id}"
    return longest, which


def longest_delay(
    seen: Iterable[Sighting], probes: Sequence[tuple[float, int]]
) -> tuple[float, str]:
    """How many seconds after an event was there a reader saw it, at most, and which.

    Args:
        probes: When a plain query had found the log at which position, ascending.
    """
    heads = [head for _, head in probes]
    longest, which = 0.0, ""
    for sighting in seen:
        first = bisect.bisect_left(heads, sighting.position)
        if first < len(probes) and sighting.time - probes[first][0] > longest:
            longest, which = sighting.time - probes[first][0], _named(sighting)
    return longest, which


def _facts(event: Stored | Sighting) -> tuple[object, ...]:
    return event.position, event.stream, event.version, event.call, event.line


def _named(event: Stored | Sighting) -> str:
    return (
        f"position {event.position}, {event.stream} version {event.version} "
        f"(call {event.call}, line {event.line})"
    )
