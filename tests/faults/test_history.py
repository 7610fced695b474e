"""The history checker itself: silent about a clean history, loud about each planted fault."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from tests.faults.history import (
    Entry,
    HistoryBroken,
    Operation,
    check_log,
    check_reader,
    demand_none,
)


def clean(seed: int = 1, count: int = 2_000) -> tuple[list[Operation], list[Entry]]:
    """Overlapping calls on 50 streams, each of which takes effect between its call and return."""
    chance = random.Random(seed)
    versions: dict[str, int] = {}
    operations: list[Operation] = []
    log: list[Entry] = []
    for n in range(count):
        stream, now = f"s{chance.randrange(50)}", n + chance.random()
        version = versions.get(stream, 0)
        versions[stream] = version + 1
        log.append(Entry(n + 1, stream, version + 1, str(n)))
        called, returned = now - chance.random() * 8, now + chance.random() * 8
        operations.append(Operation(str(n), called, returned, "ok", stream, version))
    return operations, log


def kinds(operations: list[Operation], log: list[Entry]) -> set[str]:
    return {finding.kind for finding in check_log(operations, log)}


@pytest.mark.parametrize("seed", range(5))
def test_a_clean_history_has_no_findings(seed: int) -> None:
    assert check_log(*clean(seed)) == []


def test_an_acknowledged_event_that_is_gone_is_found() -> None:
    operations, log = clean()
    assert "lost" in kinds(operations, [entry for entry in log if entry.id != "777"])


def test_an_event_stored_twice_is_found() -> None:
    operations, log = clean()
    head = max(entry.version for entry in log if entry.stream == log[5].stream)
    again = Entry(len(log) + 1, log[5].stream, head + 1, "5")
    assert "duplicate" in kinds(operations, [*log, again])


def test_two_events_that_changed_places_are_found() -> None:
    operations, log = clean()
    first, second = log[100], log[150]
    log[100] = replace(second, position=first.position)
    log[150] = replace(first, position=second.position)
    assert "real-time order" in kinds(operations, log)


def test_positions_that_descend_are_found() -> None:
    operations, log = clean()
    log[10], log[11] = log[11], log[10]
    assert "position order" in kinds(operations, log)


def test_a_hole_in_the_versions_of_a_stream_is_found() -> None:
    operations, log = clean()
    log[-1] = replace(log[-1], version=log[-1].version + 1)
    assert {"version gap", "wrong expected version"} <= kinds(operations, log)


def test_a_call_that_failed_and_took_effect_is_found() -> None:
    operations, log = clean()
    operations[42] = replace(operations[42], outcome="failed")
    assert kinds(operations, log) == {"failed but present"}


def test_a_call_without_an_answer_may_have_taken_effect_or_not() -> None:
    operations, log = clean()
    last = len(log) - 1
    operations[last] = replace(operations[last], outcome="unknown", returned=None)
    assert check_log(operations, log) == []
    assert check_log(operations, log[:-1]) == []


def test_an_event_that_nobody_sent_is_found() -> None:
    operations, log = clean()
    assert kinds(operations, [*log, Entry(9_999, "nobody", 1, "x")]) == {"unknown operation"}


def test_a_reader_that_loses_doubles_or_turns_round_is_found() -> None:
    stored = list(range(1, 101))
    assert check_reader(stored, stored) == []
    assert {f.kind for f in check_reader(stored[:50] + stored[51:], stored)} == {"lost"}
    assert {f.kind for f in check_reader([*stored[:50], 50, *stored[50:]], stored)} == {"duplicate"}
    turned = [*stored[:10], 12, 11, *stored[12:]]
    assert {f.kind for f in check_reader(turned, stored)} == {"position order"}
    assert {f.kind for f in check_reader([*stored, 101], stored)} == {"unknown operation"}


def test_a_finding_is_raised_with_the_line_that_replays_it() -> None:
    operations, log = clean()
    demand_none(check_log(operations, log), "never needed")
    with pytest.raises(HistoryBroken, match="replay: seed=1"):
        demand_none(check_log(operations, log[:-1]), "seed=1")
