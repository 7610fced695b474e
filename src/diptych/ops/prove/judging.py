"""The verdict: the rows of the log against what writers and readers noted."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from msgspec.structs import replace

from diptych.ops.prove import looking, workload
from diptych.ops.prove.checking import (
    Call,
    Violation,
    check_counters,
    check_log,
    check_reader,
    check_rows,
    longest_delay,
    longest_wait,
)
from diptych.ops.prove.disturbing import Disturbances
from diptych.ops.prove.plan import EVENTS, ROWS, Plan
from diptych.ops.prove.proof import (
    READER_STALL,
    SHOWN,
    STARVED,
    WRITER_STALL,
    Broken,
    Proof,
    Written,
)
from diptych.ops.prove.server import Server


async def judge(begun: Proof, plan: Plan, server: Server, disturbances: Disturbances) -> Proof:
    """What came out, by the rows of the log and the notes."""
    end = disturbances.probes[-1][0] if disturbances.probes else time.monotonic()
    own = server.address.schema
    connection = await server.connect()
    try:
        stored = await looking.log(connection, own)
        rows: list[str] = []
        counters: Mapping[str, int] = {}
        if set(ROWS) & set(plan.paths):
            rows = await looking.rows(connection, f"{own}.{workload.Row.__tablename__}")
            counters = await looking.counters(connection, f"{own}.{workload.Counter.__tablename__}")
    finally:
        await connection.close(timeout=2)
    files = {number: plan.written(number) for number in range(plan.processes)}
    calls: list[Call] = []
    held: list[Call] = []
    for number, file in files.items():
        usual, long = looking.calls(file, number)
        calls += usual
        held += long
    stops = {number: looking.stops(file, end) for number, file in files.items()}
    seen = [looking.sightings(plan.read(number)) for number in range(plan.readers)]
    found = check_log(stored, [*calls, *held])
    for number, sightings in enumerate(seen):
        found += check_reader(f"reader {number}", sightings, stored)
    if set(ROWS) & set(plan.paths):
        found += check_rows(rows, stored, [*calls, *held], ("handler", "join"))
    if "state" in plan.paths:
        found += check_counters(counters, stored)
    if not stored:
        found.append(Violation("lost", "nothing was written at all"))
    wait, waited = longest_wait(calls, stops, end)
    delay, delayed = max(
        (longest_delay(sightings, disturbances.probes) for sightings in seen),
        default=(0.0, ""),
    )
    counted = Counter(violation.kind for violation in found)
    cpu_wait = max(map(looking.cpu_wait, files.values()))
    stalled = cpu_wait <= STARVED and (
        delay > READER_STALL + disturbances.lag or wait > WRITER_STALL + disturbances.lag
    )
    return replace(
        begun,
        state="refuted" if found or stalled else "proved",
        elapsed=plan.seconds,
        events=len(stored),
        written=tuple(written(path, [*calls, *held]) for path in plan.paths),
        lost=counted["lost"],
        doubled=counted["doubled"],
        out_of_order=counted["out of order"],
        broken=len(found),
        violations=tuple(Broken(kind=v.kind, about=v.about) for v in found[:SHOWN]),
        reader_stall=round(delay, 3),
        writer_stall=round(wait, 3),
        machine_stall=round(disturbances.lag, 3),
        cpu_wait=cpu_wait,
        slowest=tuple(text for text in (delayed, waited) if text),
        failures=_failures(files.values()),
        disturbances=_done(plan, disturbances, held),
        omitted=_omitted(plan, disturbances, cpu_wait),
    )


def written(path: str, calls: Sequence[Call]) -> Written:
    """What became of the calls on a path."""
    outcomes = Counter(call.outcome for call in calls if call.path == path)
    return Written(
        path=path,
        accepted=outcomes["ok"],
        refused=outcomes["refused"],
        failed=outcomes["failed"],
        unknown=outcomes["unknown"],
    )


def _failures(files: Iterable[Path]) -> tuple[str, ...]:
    counted = Counter(error for file in files for error in looking.errors(file))
    return tuple(f"{count} times {error}" for error, count in counted.most_common(SHOWN))


def _done(plan: Plan, disturbances: Disturbances, held: Sequence[Call]) -> tuple[str, ...]:
    found: list[str] = []
    for call in held:
        what = "committed" if call.outcome == "ok" else call.outcome
        found.append(f"a transaction held open for {plan.hold:.1f} s ({what})")
    if disturbances.elsewhere is not None:
        found.append(f"a transaction that writes open in database {disturbances.elsewhere}")
    found.append(f"{disturbances.ended} connections of writers ended by the server")
    if disturbances.stopped:
        found.append(
            f"{disturbances.stopped} processes stopped for {plan.stop:.1f} s, "
            "between their append and COMMIT"
        )
    return tuple(found)


def _omitted(plan: Plan, disturbances: Disturbances, cpu_wait: float) -> tuple[str, ...]:
    found: list[str] = []
    if disturbances.elsewhere is None:
        found.append(
            "the open transaction in another database: this user can connect to no other one"
        )
    if not disturbances.stopped:
        found.append("the stopped process: none came to a COMMIT of its own in time")
    if not disturbances.ended:
        found.append("ending connections of writers: none was met, or this user may not")
    if missing := [path for path in (*EVENTS, *ROWS) if path not in plan.paths]:
        found.append(f"paths: {', '.join(missing)}")
    if cpu_wait > STARVED:
        found.append(
            f"the judgement of stalls: a writing process waited for a CPU of this machine for "
            f"{cpu_wait:.0%} of the time"
        )
    return tuple(found)
