"""Runs a proof: a schema of its own, processes that write and read, disturbances, and the verdict."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress

import msgspec
from msgspec.structs import replace

from diptych.errors import StoreUnavailable
from diptych.ops.prove import looking
from diptych.ops.prove.disturbing import Disturbances
from diptych.ops.prove.judging import judge
from diptych.ops.prove.notes import last
from diptych.ops.prove.plan import EVENTS, ROWS, Plan, Task
from diptych.ops.prove.proof import Proof
from diptych.ops.prove.server import Server, look
from diptych.ops.prove.workload import build

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
    paths: Sequence[str] = (*EVENTS, *ROWS),
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
            async with build(plan):
                pass  # the tables are there before the processes come
            run = Run(plan, server)
            async with run.processes():
                began = time.monotonic()
                async for events in run.write():
                    yield replace(running, elapsed=time.monotonic() - began, events=events)
            verdict = await judge(running, plan, server, run.disturbances)
        yield verdict


class Run:
    """One run of a proof."""

    def __init__(self, plan: Plan, server: Server) -> None:
        self._plan = plan
        self._server = server
        self._writing: list[asyncio.subprocess.Process] = []
        self._reading: list[asyncio.subprocess.Process] = []
        self.disturbances = Disturbances(plan, server)

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
            self._refuse_dead()
            if time.monotonic() > until:
                raise StoreUnavailable(
                    f"{self._server.address.where}: after {STARTING:.0f} s, not all processes of "
                    "the proof have opened the store. Look at the server's load, and at its "
                    "max_connections."
                )
            await asyncio.sleep(0.05)

    def _refuse_dead(self) -> None:
        for process in (*self._writing, *self._reading):
            if process.returncode:
                said = self._plan.errors.read_text(errors="replace").strip()[-2000:]
                raise StoreUnavailable(
                    f"{self._server.address.where}: a process of the proof ended with "
                    f"{process.returncode}. It said: {said}"
                )

    async def write(self) -> AsyncGenerator[int, None]:
        """Lets them write, and disturbs them; gives the head of the log, once a second."""
        plan, disturbances = self._plan, self.disturbances
        tasks = [
            asyncio.create_task(disturbances.probe()),
            asyncio.create_task(disturbances.hold_elsewhere()),
            asyncio.create_task(disturbances.end_connections()),
            asyncio.create_task(disturbances.watch_stopped()),
        ]
        try:
            plan.go.touch()
            until = time.monotonic() + plan.seconds + ENDING
            while any(process.returncode is None for process in self._writing):
                if time.monotonic() > until:
                    break
                await asyncio.sleep(1)
                self._refuse_dead()
                yield disturbances.probes[-1][1] if disturbances.probes else 0
            await self._caught_up()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

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


async def _start(module: str, plan: Plan, number: int) -> asyncio.subprocess.Process:
    with plan.errors.open("ab") as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            f"diptych.ops.prove.{module}",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,  # Ctrl-C is for this process, which then ends them
        )
    assert process.stdin is not None
    # not as an argument, which everybody on this machine can see: there is a password in it
    process.stdin.write(msgspec.json.encode(Task(plan=plan, number=number)))
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
