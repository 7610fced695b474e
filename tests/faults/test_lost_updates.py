"""Two processes read, then write: no update is lost, whoever's session it is.

Handlers, joins with the user's own aiosqlite engine, and plain commands, on one file. The checker
knows the tables only (depot_check.py); planted bugs of the engine show that it would notice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.faults.depot_check import check_depot, look
from tests.faults.depot_rounds import run_together
from tests.faults.evidence import LONG, keep
from tests.faults.history import demand_none
from tests.faults.processes import replay_line

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]

EACH = 1_000 if LONG else 200
"""Calls of one process."""


KINDS = {
    "handlers": ("--handlers", 8),
    "joins": ("--joins", 8),
    "handlers, joins and plain commands": ("--handlers", 4, "--joins", 4, "--plain", 4),
}


@pytest.mark.parametrize("words", KINDS.values(), ids=KINDS)
def test_no_update_is_lost(tmp_path: Path, words: Sequence[object]) -> None:
    calls = run_together(tmp_path, *words, "--count", EACH)
    replay = replay_line("test_lost_updates", "none, real processes")
    demand_none(check_depot(tmp_path / "depot.db", calls), replay)
    told_ok = Counter(call.kind for call in calls if call.outcome == "ok")
    if told_ok.total() != 2 * EACH:
        raise RuntimeError(f"of {2 * EACH} calls only {told_ok} went well\nreplay: {replay}")
    takings = len(look(tmp_path / "depot.db").takings)
    if takings != told_ok["handler"] + told_ok["join"]:
        raise RuntimeError(f"{takings} takings of {told_ok}\nreplay: {replay}")
    keep("no-lost-update-" + "-".join(sorted(told_ok)), each=EACH, answered=dict(told_ok))


@pytest.mark.parametrize(
    ("bug", "words", "caught"),
    [
        ("second connection", ("--handlers", 8), {"lost update"}),
        ("begin deferred", ("--handlers", 8), {"fault"}),
        ("join late", ("--joins", 8), {"lost update"}),
    ],
)
def test_a_session_that_does_not_take_the_lock_first_is_caught(
    tmp_path: Path, bug: str, words: Sequence[object], caught: set[str]
) -> None:
    calls = run_together(tmp_path, *words, "--count", 80, "--bug", bug)
    found = {finding.kind for finding in check_depot(tmp_path / "depot.db", calls)}
    assert caught <= found
