"""What is done to a proof meanwhile: connections ended, processes stopped, a transaction elsewhere."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import suppress

from diptych.adapters.postgres.connection import ERRORS, Connection
from diptych.errors import StoreFault
from diptych.ops.prove.looking import head
from diptych.ops.prove.plan import HELD, Plan
from diptych.ops.prove.server import Server, lock_of

PROBE = 0.02
"""Seconds between two plain looks at where the log ends."""

_END_ONE_WITH_THE_LOCK = """
SELECT pg_terminate_backend(pid) FROM (
    SELECT pid FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE locktype = 'advisory' AND datname = current_database()
        AND database = datid AND classid = $1::bigint::oid AND objid = $2::bigint::oid
        AND application_name <> $3::text
    ORDER BY random() LIMIT 1) one
"""
"""One that has the store's lock, or waits for it."""

_END_ONE_THAT_WRITES = """
SELECT pg_terminate_backend(pid) FROM (
    SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
        AND (position($1::text || '.diptych_write' IN query) > 0
            OR position($1::text || '.prove_rows' IN query) > 0)
        AND application_name <> $2::text
    ORDER BY random() LIMIT 1) one
"""
"""One that has just written, or is about to."""


class Disturbances:
    """Runs beside the writers.

    Attributes:
        probes: When a plain query had found the log at which position.
        lag: Seconds that this machine let this idle program wait at most.
        ended: Connections.
        stopped: Processes.
        elsewhere: The other database in which a transaction was open.
    """

    def __init__(self, plan: Plan, server: Server) -> None:
        self._plan = plan
        self._server = server
        self.probes: list[tuple[float, int]] = []
        self.lag = 0.0
        self.ended = 0
        self.stopped = 0
        self.elsewhere: str | None = None
        self._calm = asyncio.Event()
        """Not while a process is stopped: ending its connection would help the others."""
        self._calm.set()

    async def probe(self) -> None:
        """Until it is cancelled."""
        while True:
            with suppress(StoreFault, *ERRORS):
                connection = await self._server.connect()
                try:
                    while True:
                        position = await head(connection, self._plan.schema)
                        self.probes.append((time.monotonic(), position))
                        asked = time.monotonic()
                        await asyncio.sleep(PROBE)
                        self.lag = max(self.lag, time.monotonic() - asked - PROBE)
                finally:
                    connection.terminate()
            await asyncio.sleep(0.1)

    async def end_connections(self) -> None:
        """Until it is cancelled."""
        chance = random.Random(self._plan.seed)
        lock = lock_of(self._server.address)
        while True:
            with suppress(StoreFault, *ERRORS):
                connection = await self._server.connect()
                try:
                    while True:
                        await asyncio.sleep(0.2 + chance.random() * 0.6)
                        await self._calm.wait()
                        rows = await connection.fetch(_END_ONE_WITH_THE_LOCK, *lock, HELD)
                        if not rows or chance.random() < 0.5:
                            rows = await connection.fetch(
                                _END_ONE_THAT_WRITES, self._plan.schema, HELD
                            )
                        self.ended += len(rows)
                finally:
                    connection.terminate()
            await asyncio.sleep(0.1)

    async def watch_stopped(self) -> None:
        """Lets connections alone while a process is stopped; until it is cancelled."""
        running = {*range(self._plan.processes)}
        while True:
            for number in [*running]:
                if self._plan.stopped(number).exists():
                    running.remove(number)
                    self.stopped += 1
                    self._calm.clear()
                    await asyncio.sleep(self._plan.stop)
                    self._calm.set()
            await asyncio.sleep(0.02)

    async def hold_elsewhere(self) -> None:
        """Keeps a transaction that writes open in another database, until it is cancelled."""
        held: Connection | None = None
        for database in self._server.others:
            with suppress(*ERRORS):
                held = await self._server.elsewhere(database)
                await held.execute("BEGIN; SET LOCAL idle_in_transaction_session_timeout = 0")
                # it counts as one that writes from here on, without a table to write to
                await held.fetch("SELECT pg_current_xact_id()")
                self.elsewhere = database
                break
        if held is not None:
            try:
                await asyncio.Event().wait()
            finally:
                held.terminate()
