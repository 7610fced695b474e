"""Eight racers in four processes, round after round: every outcome is that of some serial order.

The oracle takes the events one after the other, in order of position, and decides again: each was
allowed, on exactly what its decision says that it knew; and whoever was refused, was refused where
the rule says no. It reads the tables, and knows nothing of diptych.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from diptych import Limits, Refused, StreamConflict
from diptych.log.commit import Commit, Committed
from tests.faults import race
from tests.faults.evidence import LONG, keep
from tests.faults.history import HistoryBroken
from tests.faults.postgres_tables import fetch
from tests.faults.processes import ROOT
from tests.faults.race import SEATS, TakeSeats
from tests.faults.tables import read

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600 if LONG else 120)]

ROUNDS = 200 if LONG else 40
PROCESSES, RACERS = 4, 2


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgres":
        dsn: str = request.getfixturevalue("postgres")
        return dsn
    return f"sqlite:///{tmp_path / 'race.db'}"


Row = tuple[int, list[str], str, list[int]]
"""Position, rooms, guest, taken before."""


def events(store: str) -> list[Row]:
    sql = "SELECT position, data FROM diptych_events ORDER BY position"
    if store.startswith("sqlite"):
        rows = read(Path(store.removeprefix("sqlite:///")), sql)
    else:
        rows = asyncio.run(fetch(store, sql))
    found: list[Row] = []
    for position, data in rows:
        event = json.loads(data)
        found.append((position, event["rooms"], event["guest"], event["before"]))
    return found


def run_rounds(store: str, rounds: int, *words: str) -> list[dict[str, Any]]:
    """What the racers were told, in all rounds; all of a round go at once."""
    said: list[dict[str, Any]] = []
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.faults.race", store, "--first", str(n * RACERS), *words],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for n in range(PROCESSES)
    ]

    def hear(process: subprocess.Popen[str], until: str) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            told = json.loads(line)
            if until in told:
                return
            said.append(told)
        raise RuntimeError(f"a racer ended with {process.wait()}")

    try:
        for process in processes:
            hear(process, "open")
        for round in range(rounds):
            for process in processes:
                assert process.stdin is not None
                process.stdin.write(f"{round}\n")
                process.stdin.flush()
            for process in processes:
                hear(process, "done")
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    return said


def violations(events: Sequence[Row], said: Iterable[dict[str, Any]]) -> Counter[str]:
    """What no serial order explains."""
    found: Counter[str] = Counter()
    taken: Counter[str] = Counter()
    history: dict[str, list[int]] = {}
    """Of each room: the positions at which a seat was taken."""
    for position, rooms, _, before in events:
        now = [taken[room] for room in rooms]
        found["too many"] += max(now) >= SEATS
        found["another state"] += now != before
        taken.update(rooms)
        for room in rooms:
            history.setdefault(room, []).append(position)
    places = {guest: position for position, _, guest, _ in events}
    found["twice"] += len(events) - len(places)
    for told in said:
        if "position" in told:
            found["lost"] += places.get(told["guest"]) != told["position"]
        elif "refused" in told:
            full = max(
                sum(at <= told["refused"] for at in history.get(room, ())) for room in told["rooms"]
            )
            found["refused without reason"] += full < SEATS or told["guest"] in places
        else:
            found[told["fault"]] += 1
    return +found


def test_every_outcome_is_that_of_a_serial_order(store: str) -> None:
    said = run_rounds(store, ROUNDS)
    there = events(store)
    found = violations(there, said)
    refused = sum("refused" in told for told in said)
    kind = store.partition(":")[0]
    keep(
        f"boundary-races-{kind}",
        rounds=ROUNDS,
        racers=PROCESSES * RACERS,
        accepted=len(there),
        refused=refused,
        violations=found,
    )
    if found:
        raise HistoryBroken(f"no serial order explains {found}")
    if len(said) != ROUNDS * PROCESSES * RACERS or not refused:
        raise RuntimeError(f"{len(said)} outcomes, {refused} refused: no test of anything")


def test_a_store_that_ignores_what_decisions_stood_on_is_caught(store: str) -> None:
    """The control."""
    run_rounds(store, 15, "--bug")
    found = violations(events(store), ())
    assert found["another state"]
    assert found["too many"]


@pytest.mark.parametrize("attempts", [1, 2])
async def test_a_decision_on_a_stale_read_is_refused(store: str, attempts: int) -> None:
    """Somebody else commits after a decision has read, and before it is committed."""
    limits = Limits(attempts=attempts)
    async with race.app(store, limits=limits) as one, race.app(store) as two:
        for n in range(SEATS - 1):
            await one.execute(TakeSeats(("a", "b"), f"g{n}"))
        inner = one._opened.store
        commit = inner.commit

        async def late(given: Commit) -> Committed:
            inner.commit = commit
            await two.execute(TakeSeats(("b", "c"), "other"))
            return await commit(given)

        inner.commit = late
        if attempts == 1:
            with pytest.raises(StreamConflict):
                await one.execute(TakeSeats(("a", "b"), "late"))
        else:
            with pytest.raises(Refused, match="full"):
                await one.execute(TakeSeats(("a", "b"), "late"))
        guests = [r.event.guest async for r in two.log.read()]
        assert guests == [*(f"g{n}" for n in range(SEATS - 1)), "other"]
