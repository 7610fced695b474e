"""The checker of `diptych prove`: silent about a clean run, loud about each planted fault."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from diptych.ops.prove.checking import (
    Call,
    Outcome,
    Sighting,
    Stored,
    check_counters,
    check_log,
    check_reader,
    check_rows,
    longest_delay,
    longest_wait,
)

Run = tuple[list[Call], list[Stored]]


def clean(seed: int = 1, count: int = 500) -> Run:
    """Overlapping calls of one to three events on 8 streams, each between its call and its return."""
    chance = random.Random(seed)
    versions: dict[str, int] = {}
    calls: list[Call] = []
    stored: list[Stored] = []
    for n in range(count):
        stream, now = f"s{chance.randrange(8)}", n + chance.random()
        lines = 0 if n % 7 == 6 else chance.randrange(1, 4)
        for line in range(lines):
            version = versions.get(stream, 0) + 1
            versions[stream] = version
            stored.append(Stored(len(stored) + 1, stream, version, str(n), line, version))
        called, returned = now - chance.random() * 8, now + chance.random() * 8
        outcome: Outcome = "ok" if lines else "refused"
        position = stored[-1].position if lines else None
        calls.append(Call(str(n), "path", lines or 1, called, n % 4, returned, outcome, position))
    return calls, stored


def seen(stored: list[Stored]) -> list[Sighting]:
    return [
        Sighting(e.position, e.stream, e.version, e.call, e.line, time=float(e.position))
        for e in stored
    ]


def kinds(calls: list[Call], stored: list[Stored]) -> set[str]:
    return {violation.kind for violation in check_log(stored, calls)}


@pytest.mark.parametrize("seed", range(5))
def test_a_clean_run_has_no_violations(seed: int) -> None:
    calls, stored = clean(seed)
    assert check_log(stored, calls) == []
    assert check_reader("r", seen(stored), stored) == []


def test_an_answered_call_that_is_gone_is_lost() -> None:
    calls, stored = clean()
    assert "lost" in kinds(calls, [event for event in stored if event.call != "200"])


def test_an_event_that_is_there_twice_is_found() -> None:
    calls, stored = clean()
    head = max(event.version for event in stored if event.stream == stored[9].stream)
    again = replace(stored[9], position=len(stored) + 1, version=head + 1, number=head + 1)
    assert kinds(calls, [*stored, again]) >= {"doubled"}


def test_half_a_call_is_found() -> None:
    calls, stored = clean()
    calls[0] = replace(calls[0], events=calls[0].events + 1)
    assert kinds(calls, stored) == {"half"}


def test_a_call_that_failed_and_is_there_is_found() -> None:
    calls, stored = clean()
    calls[42] = replace(calls[42], outcome="failed", position=None)
    assert kinds(calls, stored) == {"undone"}


def test_a_call_that_nobody_knows_of_may_be_there_or_not_but_whole() -> None:
    calls, stored = clean()
    last = stored[-1].call
    calls = [replace(c, outcome="unknown", position=None) if c.id == last else c for c in calls]
    assert check_log(stored, calls) == []
    assert check_log([event for event in stored if event.call != last], calls) == []
    calls = [replace(c, events=9) if c.id == last else c for c in calls]
    assert kinds(calls, stored) == {"half"}


def test_a_receipt_of_another_position_is_found() -> None:
    calls, stored = clean()
    calls[0] = replace(calls[0], position=10**6)
    assert kinds(calls, stored) == {"misplaced"}


def test_an_event_of_nobody_is_found() -> None:
    calls, stored = clean()
    assert kinds(calls[:-2], stored) >= {"nobody's"}


def test_a_hole_in_the_versions_of_a_stream_is_found() -> None:
    calls, stored = clean()
    version = stored[-1].version + 1
    stored[-1] = replace(stored[-1], version=version, number=version)
    assert kinds(calls, stored) == {"out of order"}


def test_a_decision_on_an_old_state_is_found() -> None:
    calls, stored = clean()
    stored[5] = replace(stored[5], number=stored[5].version - 1)
    assert kinds(calls, stored) == {"stale decision"}


def test_a_call_that_began_after_another_was_answered_stands_behind_it() -> None:
    calls, stored = clean()
    place = next(n for n, call in enumerate(calls) if call.id == stored[3].call)
    calls[place] = replace(calls[place], called=10_000.0, returned=10_001.0)
    assert kinds(calls, stored) == {"out of order"}


def test_a_reader_that_loses_doubles_invents_or_turns_round_is_found() -> None:
    _, stored = clean()
    all_of_it = seen(stored)

    def found(sightings: list[Sighting]) -> set[str]:
        return {violation.kind for violation in check_reader("r", sightings, stored)}

    assert found([*all_of_it[:50], *all_of_it[51:]]) == {"lost"}
    assert found([*all_of_it, all_of_it[7]]) == {"doubled"}
    assert found([*all_of_it, replace(all_of_it[-1], position=9_999)]) == {"nobody's"}
    assert found([replace(all_of_it[0], call="other"), *all_of_it[1:]]) == {"nobody's"}
    assert found([*all_of_it[:7], all_of_it[8], all_of_it[7], *all_of_it[9:]]) == {"out of order"}


def test_rows_and_events_that_are_not_together_are_found() -> None:
    calls, stored = clean()
    rows = {event.call for event in stored}
    assert check_rows(rows, stored, calls, ["path"]) == []
    assert check_rows(rows, stored, calls, []) == []
    (lacking,) = check_rows(rows - {"3"}, stored, calls, ["path"])
    (alone,) = check_rows(rows | {"refused"}, stored, calls, ["path"])
    assert (lacking.kind, lacking.about) == ("event without row", "3")
    assert (alone.kind, alone.about) == ("row without event", "refused")


def test_a_state_that_disagrees_with_its_events_is_found() -> None:
    stored = [Stored(n, "counter:1", n, str(n), 0) for n in (1, 2)]
    assert check_counters({"1": 2}, stored) == []
    assert len(check_counters({"1": 1}, stored)) == 1
    assert len(check_counters({}, stored)) == 1
    assert len(check_counters({"1": 2, "2": 1}, stored)) == 1


def test_the_longest_wait_is_found_and_not_that_of_a_stopped_process() -> None:
    calls = [
        Call("a", "path", 1, 0.0, process=0, returned=5.0),
        Call("b", "path", 1, 0.0, process=1, returned=2.0),
        Call("c", "path", 1, 9.0, process=1),
    ]
    assert longest_wait(calls, {0: [(1.0, 4.0)]}, end=10.0) == (2.0, "path b")
    assert longest_wait(calls, {}, end=10.0) == (5.0, "path a")
    assert longest_wait(calls, {0: [(6.0, 7.0)]}, end=20.0) == (11.0, "path c")


def test_the_longest_delay_is_from_when_anybody_could_see_an_event() -> None:
    probes = [(0.0, 0), (1.0, 5), (2.0, 9)]
    sightings = [
        Sighting(5, "s", 1, "a", 0, 1.5),
        Sighting(6, "s", 2, "b", 0, 4.0),
        Sighting(12, "s", 3, "c", 0, 99.0),
    ]
    delay, which = longest_delay(sightings, probes)
    assert delay == 2.0
    assert "position 6" in which
    assert longest_delay([], probes) == (0.0, "")
