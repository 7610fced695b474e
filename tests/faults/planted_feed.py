"""Feeds on PostgreSQL that are deliberately wrong, and one that is right: for the proof's checker.

Each writer writes a row first, takes its time, appends, takes its time, and commits or rolls back.
"""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

import asyncpg

from diptych.ops.prove.checking import Call, Sighting, Stored

Order = Literal["naive", "xid", "lock"]
"""naive: a position from a sequence, and readers who go on after the last one that they saw. xid:
readers who go by (xid, position) and stop before the oldest transaction that is still open. lock: a
position from a sequence, under a lock that is held until the commit."""

TABLES = """
CREATE SEQUENCE positions;
CREATE TABLE streams (stream text PRIMARY KEY, version bigint NOT NULL);
CREATE TABLE rows (call text PRIMARY KEY);
CREATE TABLE feed (
    position bigint PRIMARY KEY DEFAULT nextval('positions'),
    stream text NOT NULL, version bigint NOT NULL, call text NOT NULL,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    UNIQUE (stream, version)
);
INSERT INTO streams SELECT 's' || n, 0 FROM generate_series(0, 7) n;
"""

EVENT = "SELECT position, stream, version, call, xid::text FROM feed"

NEXT = {
    "naive": f"{EVENT} WHERE position > $1 ORDER BY position",
    "lock": f"{EVENT} WHERE position > $1 ORDER BY position",
    "xid": f"{EVENT} WHERE (xid, position) > ($2::text::xid8, $1) "
    "AND xid < pg_snapshot_xmin(pg_current_snapshot()) ORDER BY feed.xid, position",
}

PAUSE = 0.01


@dataclass
class Feed:
    """One run.

    Attributes:
        probes: As the checker wants them.
    """

    dsn: str
    order: Order
    calls: list[Call] = field(default_factory=list)
    stored: list[Stored] = field(default_factory=list)
    seen: list[list[Sighting]] = field(default_factory=list)
    probes: list[tuple[float, int]] = field(default_factory=list)

    async def run(self, seconds: float, *, writers: int = 12, readers: int = 3) -> None:
        """Writes and reads for a while, then lets the readers see all that they ever would."""
        async with self._connected(1) as (first,):
            await first.execute(TABLES)
        self.seen = [[] for _ in range(readers)]
        async with self._connected(readers + 1) as (probing, *reading):
            tasks = [asyncio.create_task(self._probe(probing))]
            tasks += [
                asyncio.create_task(self._read(connection, seen))
                for connection, seen in zip(reading, self.seen, strict=True)
            ]
            async with self._connected(writers) as writing:
                end = time.monotonic() + seconds
                await asyncio.gather(*(self._write(n, c, end) for n, c in enumerate(writing)))
            await asyncio.sleep(0.3)
            for task in tasks:
                task.cancel()
            for task in tasks:
                with suppress(asyncio.CancelledError):
                    await task
        async with self._connected(1) as (last,):
            rows = await last.fetch(f"{EVENT} ORDER BY position")
            self.stored = [Stored(row[0], row[1], row[2], row[3], 0) for row in rows]

    def _connected(self, count: int) -> _Connected:
        return _Connected(self.dsn, count)

    async def _write(self, number: int, connection: Any, end: float) -> None:
        chance = random.Random(number)
        turn = 0
        while time.monotonic() < end:
            turn += 1
            id = f"w{number}-{turn}"
            called = time.monotonic()
            transaction = connection.transaction()
            await transaction.start()
            await connection.execute("INSERT INTO rows VALUES ($1)", id)
            await asyncio.sleep(chance.random() * PAUSE)
            if self.order == "lock":
                await connection.execute("SELECT pg_advisory_xact_lock(1)")
            position = await connection.fetchval(
                "WITH s AS (UPDATE streams SET version = version + 1 WHERE stream = $1 "
                "RETURNING version) INSERT INTO feed (stream, version, call) "
                "SELECT $1, version, $2 FROM s RETURNING position",
                f"s{chance.randrange(8)}",
                id,
            )
            if self.order != "lock":
                await asyncio.sleep(chance.random() * PAUSE)
            if chance.random() < 0.15:
                await transaction.rollback()
                call = Call(id, "planted", 1, called, 0, time.monotonic(), "refused")
            else:
                await transaction.commit()
                call = Call(id, "planted", 1, called, 0, time.monotonic(), "ok", position)
            self.calls.append(call)

    async def _read(self, connection: Any, seen: list[Sighting]) -> None:
        position, xid = 0, "0"
        while True:
            after = (position, xid) if self.order == "xid" else (position,)
            for row in await connection.fetch(NEXT[self.order], *after):
                position, xid = row[0], row[4]
                seen.append(Sighting(row[0], row[1], row[2], row[3], 0, time.monotonic()))
            await asyncio.sleep(0.002)

    async def _probe(self, connection: Any) -> None:
        while True:
            head = await connection.fetchval("SELECT coalesce(max(position), 0) FROM feed")
            self.probes.append((time.monotonic(), head))
            await asyncio.sleep(0.01)


class _Connected:
    """Some connections."""

    def __init__(self, dsn: str, count: int) -> None:
        self._dsn = dsn
        self._count = count
        self._connections: list[Any] = []

    async def __aenter__(self) -> list[Any]:
        for _ in range(self._count):
            self._connections.append(await asyncpg.connect(self._dsn))
        return self._connections

    async def __aexit__(self, *_: object) -> None:
        for connection in self._connections:
            connection.terminate()
