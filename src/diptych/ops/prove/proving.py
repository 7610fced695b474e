"""Runs a proof: a schema of its own, processes that write and read, disturbances, and the verdict."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress

from msgspec.structs import replace

from diptych.errors import StoreUnavailable
from diptych.ops.prove import looking
from diptych.ops.prove.checking import (
    Call,
    Stored,
    Violation,
    check_log,
    check_reader,
    check_rows,
    longest_delay,
    longest_wait,
)
from diptych.ops.prove.disturbing import Disturbances
from diptych.ops.prove.notes import last
from diptych.ops.prove.plan import EVENTS, ROWS, Plan, Task, send
from diptych.ops.prove.proof import READER_STALL, SHOWN, WRITER_STALL, Broken, Proof, Written
from diptych.ops.prove.server import Server, look
from diptych.ops.prove.workload import COUNTERS_TABLE, ROWS_TABLE, Tables, build

STARTING = 60.0
"""Seconds that the processes may take until all have opened the store."""

ENDING = 30.0
"""Seconds that they may take to end, after their time is over."""

CATCHING_UP = 15.0
"""Seconds in which readers must have seen the last event."""


async def prove(
    dsn: str,
    *,
    seconds: float,
    writers: int,
    processes: int,
    readers: int,
    dry_run: bool = False,
    paths: Sequence[str] = EVENTS,
) -> AsyncGenerator[Proof, None]:
    """How it goes, once a second, and at last what came out.

    Raises:
        StoreUnavailable: The server cannot be used for it, or a process did not do its work.
    """
    processes = min(processes, writers)
    server = await look(dsn)
    begun = Proof(
        state="planned",
        server=server.address.where,
        version=f"PostgreSQL {server.version}",
        schema=server.address.schema,
        seconds=seconds,
        writers=writers,
        processes=processes,
        readers=readers,
    )
    if dry_run:
        yield begun
        return
    with _terminated_as_interrupted(), tempfile.TemporaryDirectory(prefix="diptych-prove-") as at:
        plan = Plan(
            url=server.url,
            schema=server.address.schema,
            seconds=seconds,
            writers=writers,
            processes=processes,
            readers=readers,
            folder=at,
            seed=int.from_bytes(os.urandom(4)),
            paths=tuple(paths),
        )
        running = replace(begun, state="running")
        verdict = begun
        async with server.schema():
            async with build(plan, Tables(plan.schema)):
                pass  # the tables are there before the processes come
            run = Run(plan, server)
            async with run.processes():
                began = time.monotonic()
                async for events in run.write():
                    yield replace(running, elapsed=time.monotonic() - began, events=events)
            verdict = await run.judge(running)
        yield verdict


class Run:
    """One run of a proof."""

    def __init__(self, plan: Plan, server: Server) -> None:
        self._plan = plan
        self._server = server
        self._writing: list[asyncio.subprocess.Process] = []
        self._reading: list[asyncio.subprocess.Process] = []
        self._disturbances: Disturbances | None = None

    @asynccontextmanager
    async def processes(self) -> AsyncGenerator[None, None]:
        """Starts them all; afterwards none is left."""
        plan = self._plan
        try:
            for number in range(plan.readers):
                self._reading.append(await _start("reading", plan, number))
            for number in range(plan.processes):
                self._writing.append(await _start("writing", plan, number))
            await self._opened()
            yield
        finally:
            for process in (*self._writing, *self._reading):
                if process.returncode is None:
                    with suppress(ProcessLookupError):
                        process.kill()
                    await process.wait()

    async def _opened(self) -> None:
        """Returns when all have opened the store."""
        plan = self._plan
        files = [plan.written(n) for n in range(plan.processes)]
        files += [plan.read(n) for n in range(plan.readers)]
        until = time.monotonic() + STARTING
        while not all(file.exists() and file.stat().st_size for file in files):
            await self._refuse_dead()
            if time.monotonic() > until:
                raise StoreUnavailable(
                    f"{self._server.address.where}: after {STARTING:.0f} s, not all processes of "
                    "the proof have opened the store. Look at the server's load and its max_connections."
                )
            await asyncio.sleep(0.05)

    async def _refuse_dead(self) -> None:
        for process in (*self._writing, *self._reading):
            if process.returncode:
                _, errors = await process.communicate()
                said = errors.decode().strip()[-2000:]
                raise StoreUnavailable(
                    f"{self._server.address.where}: a process of the proof ended with "
                    f"{process.returncode}. It said: {said}"
                )

    async def write(self) -> AsyncGenerator[int, None]:
        """Lets them write, and disturbs them; gives the head of the log, once a second."""
        plan = self._plan
        pids = {number: process.pid for number, process in enumerate(self._writing)}
        disturbances = self._disturbances = Disturbances(plan, self._server, pids)
        lasting = [
            asyncio.create_task(disturbances.probe()),
            asyncio.create_task(disturbances.hold_elsewhere()),
        ]
        passing = [
            asyncio.create_task(disturbances.end_connections()),
            asyncio.create_task(disturbances.wake_stopped()),
        ]
        try:
            plan.go.touch()
            until = time.monotonic() + plan.seconds + ENDING
            while any(process.returncode is None for process in self._writing):
                if time.monotonic() > until:
                    break
                await asyncio.sleep(1)
                await self._refuse_dead()
                yield disturbances.probes[-1][1] if disturbances.probes else 0
            await self._caught_up()
        finally:
            for task in (*passing, *lasting):
                task.cancel()
            await asyncio.gather(*passing, *lasting, return_exceptions=True)

    async def _caught_up(self) -> None:
        """Returns when all readers have seen the last event, or when they had time enough."""
        connection = await self._server.connect()
        try:
            end = await looking.head(connection, self._plan.schema)
        finally:
            await connection.close(timeout=2)
        until = time.monotonic() + CATCHING_UP
        for number in range(self._plan.readers):
            while time.monotonic() < until:
                line = last(self._plan.read(number))
                if isinstance(line, list) and line[0] >= end:
                    break
                await asyncio.sleep(0.05)

    async def judge(self, begun: Proof) -> Proof:
        """What came out, by the rows of the log and the notes."""
        plan, disturbances = self._plan, self._disturbances
        assert disturbances is not None
        end = disturbances.probes[-1][0] if disturbances.probes else time.monotonic()
        own = self._server.address.schema
        connection = await self._server.connect()
        try:
            stored = await looking.log(connection, own)
            rows: list[str] = []
            counters: Mapping[str, int] = {}
            if set(ROWS) & set(plan.paths):
                rows = await looking.rows(connection, f"{own}.{ROWS_TABLE}")
                counters = await looking.counters(connection, f"{own}.{COUNTERS_TABLE}")
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
        refuted = (
            bool(found)
            or delay > READER_STALL + disturbances.lag
            or wait > WRITER_STALL + disturbances.lag
        )
        return replace(
            begun,
            state="refuted" if refuted else "proved",
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
            slowest=tuple(text for text in (delayed, waited) if text),
            disturbances=_done(plan, disturbances, held),
            omitted=_omitted(plan, disturbances),
        )


def check_counters(counters: Mapping[str, int], stored: Sequence[Stored]) -> list[Violation]:
    """Whether each row of the state-stored model says how many events there are."""
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


def _omitted(plan: Plan, disturbances: Disturbances) -> tuple[str, ...]:
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
    return tuple(found)


async def _start(module: str, plan: Plan, number: int) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        f"diptych.ops.prove.{module}",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for this process, which then ends them
    )
    assert process.stdin is not None
    process.stdin.write(send(Task(plan=plan, number=number)))
    process.stdin.close()
    return process


@contextmanager
def _terminated_as_interrupted() -> Generator[None, None, None]:
    """SIGTERM cancels the proof, so that it cleans up."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    try:
        if task is not None:
            loop.add_signal_handler(signal.SIGTERM, task.cancel)
    except (NotImplementedError, RuntimeError):  # Windows, or another thread
        task = None
    try:
        yield
    finally:
        if task is not None:
            loop.remove_signal_handler(signal.SIGTERM)
