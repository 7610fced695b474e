"""Checks a history of calls against the log they left: loss, doubles, gaps, order, false failures.

For an append-only log the position is the order, so no search is needed: O(n log n).
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Outcome = Literal["ok", "failed", "unknown"]


class HistoryBroken(Exception):
    """The log and the history do not agree; raised, not asserted, so that -O cannot drop it."""


@dataclass(frozen=True)
class Operation:
    """One call as its caller saw it; `returned` is None where no answer came (outcome unknown)."""

    id: str
    called: float
    returned: float | None
    outcome: Outcome
    stream: str
    expected: int | None = None


@dataclass(frozen=True)
class Entry:
    """One stored event, by whom (`id` of the operation) and where."""

    position: int
    stream: str
    version: int
    id: str


@dataclass(frozen=True)
class Finding:
    kind: Literal[
        "lost",
        "duplicate",
        "position order",
        "version gap",
        "failed but present",
        "wrong expected version",
        "real-time order",
        "unknown operation",
        "corrupt",
        "lost update",
        "row without event",
        "event without row",
        "outcome",
        "view",
        "fault",
        "unfair",
    ]
    about: str


def check_log(operations: Sequence[Operation], log: Sequence[Entry]) -> list[Finding]:
    """What is wrong with `log` (in the order in which a reader saw it), given what callers saw.

    One event per operation. An operation that is unknown may be there or not; one that failed may
    not; one that is ok must be there once. An operation that returned before another was called
    must stand before it.
    """
    found: list[Finding] = []
    place: dict[str, int] = {}
    heads: dict[str, int] = {}
    for k, entry in enumerate(log):
        if entry.id in place:
            found.append(Finding("duplicate", entry.id))
        place[entry.id] = k
        if k and entry.position <= log[k - 1].position:
            found.append(Finding("position order", str(entry.position)))
        if entry.version != heads.get(entry.stream, 0) + 1:
            found.append(Finding("version gap", f"{entry.stream} version {entry.version}"))
        heads[entry.stream] = entry.version
    known = {operation.id for operation in operations}
    found += [Finding("unknown operation", id) for id in place if id not in known]
    return found + _against_calls(operations, log, place)


def _against_calls(
    operations: Sequence[Operation], log: Sequence[Entry], place: dict[str, int]
) -> list[Finding]:
    found: list[Finding] = []
    returned: list[float] = []
    furthest: list[int] = []  # the highest place among the operations that had returned by then
    answered = [(o.returned, o) for o in operations if o.outcome == "ok" and o.returned is not None]
    for at, operation in sorted(answered, key=lambda pair: pair[0]):
        k = place.get(operation.id)
        if k is None:
            found.append(Finding("lost", operation.id))
            continue
        returned.append(at)
        furthest.append(max(k, furthest[-1] if furthest else -1))
    for operation in operations:
        k = place.get(operation.id)
        if k is None:
            continue
        if operation.outcome == "failed":
            found.append(Finding("failed but present", operation.id))
        if operation.expected is not None and log[k].version != operation.expected + 1:
            found.append(Finding("wrong expected version", operation.id))
        before = bisect.bisect_left(returned, operation.called) - 1
        if before >= 0 and furthest[before] > k:
            found.append(Finding("real-time order", operation.id))
    return found


def check_reader(seen: Sequence[int], stored: Sequence[int]) -> list[Finding]:
    """What is wrong with the positions a tailing reader saw, given those that are stored."""
    found = [
        Finding("position order", str(later))
        for earlier, later in itertools.pairwise(seen)
        if later < earlier
    ]
    counted: set[int] = set()
    for position in seen:
        if position in counted:
            found.append(Finding("duplicate", str(position)))
        counted.add(position)
    found += [Finding("lost", str(position)) for position in stored if position not in counted]
    there = set(stored)
    found += [Finding("unknown operation", str(p)) for p in seen if p not in there]
    return found


def demand_none(found: Iterable[Finding], replay: str) -> None:
    """Raises with the line that replays the run, if anything was found."""
    listed = list(found)
    if listed:
        some = "; ".join(f"{finding.kind}: {finding.about}" for finding in listed[:5])
        raise HistoryBroken(f"{len(listed)} findings ({some})\nreplay: {replay}")
