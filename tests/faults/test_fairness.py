"""Four processes on one file: who wants to write waits for few others, whatever he writes with.

A wait is counted in commits, not in milliseconds: how many transactions of anybody were committed
between the call and the moment in which its own function runs under the write lock, by the counter
that SQLite keeps of them itself (commits.py). Handlers, joins on the user's own engine, plain
commands whose inline view is folded, and an asynchronous view beside them in each process.
DIPTYCH_SOAK=1 runs 30 seconds instead of 4.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.faults.depot_check import check_depot
from tests.faults.depot_rounds import run_together
from tests.faults.evidence import LONG, keep
from tests.faults.history import Finding, demand_none
from tests.faults.processes import Told, replay_line

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]

PROCESSES = 4
SECONDS = 30 if LONG else 4
CALLERS = ("--handlers", 3, "--joins", 2, "--plain", 8) if LONG else (
    "--handlers", 2, "--joins", 1, "--plain", 4
)  # fmt: skip

PATIENCE = 50
"""Commits that may go before, at most, for 99 of 100 calls of each kind."""

ENOUGH = 50
"""Calls of each kind that mean something."""


def waits(calls: Sequence[Told]) -> dict[str, list[int]]:
    """Of each kind, sorted."""
    found: defaultdict[str, list[int]] = defaultdict(list)
    for call in calls:
        if call.waited is not None:
            found[call.kind].append(call.waited)
    return {kind: sorted(waited) for kind, waited in found.items()}


def p99(waited: Sequence[int]) -> int:
    return waited[len(waited) * 99 // 100]


def check_waits(calls: Sequence[Told]) -> list[Finding]:
    return [
        Finding("unfair", f"p99 of a {kind} is {p99(waited)} commits, of {len(waited)} calls")
        for kind, waited in waits(calls).items()
        if p99(waited) > PATIENCE
    ]


def test_nobody_waits_for_more_than_fifty_commits_and_nobody_hears_of_the_lock(
    tmp_path: Path,
) -> None:
    calls = run_together(tmp_path, *CALLERS, "--seconds", SECONDS, processes=PROCESSES)
    replay = replay_line("test_fairness", "none, real processes")
    demand_none(check_depot(tmp_path / "depot.db", calls), replay)
    counted = waits(calls)
    if set(counted) != {"handler", "join", "plain"} or min(map(len, counted.values())) < ENOUGH:
        raise RuntimeError(
            f"too few calls to mean anything: { {k: len(counted[k]) for k in counted} }"
        )
    demand_none(check_waits(calls), replay)
    keep(
        "fairness",
        seconds=SECONDS,
        processes=PROCESSES,
        callers=list(CALLERS),
        waited_in_commits={
            kind: {
                "calls": len(waited),
                "p50": waited[len(waited) // 2],
                "p99": p99(waited),
                "longest": waited[-1],
            }
            for kind, waited in sorted(counted.items())
        },
    )


def test_without_a_queue_the_same_check_finds_that_some_starve(tmp_path: Path) -> None:
    """The control: SQLite's own way of waiting, in which the quickest has the lock."""
    words = (*CALLERS, "--seconds", SECONDS, "--bug", "no queue")
    calls = run_together(tmp_path, *words, processes=PROCESSES)
    found = check_waits(calls) + check_depot(tmp_path / "depot.db", calls)
    assert {finding.kind for finding in found} & {"unfair", "fault"}
