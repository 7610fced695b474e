"""Fills a store with a long log, in its own tables and by SQL: `python -m benchmarks.filling`.

What is written is what the app would have written: each stream has ten events of about 200 bytes,
each by a command of its own, with its outcome. A thousand streams are busy at a time.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.comparators.payload import NOTE, REFERENCE, WHEN
from benchmarks.measuring import STORE
from benchmarks.ours.domain import accounts, app

ROOT = Path(__file__).parent.parent

PER_STREAM = 10
BUSY = 1000
PART = 500_000
"""Events of one transaction."""

BYTES = 800
"""Of disk for an event, at most: with its outcome, the indexes, and the log of the database."""


def name(stream: int) -> str:
    """The key of a stream."""
    return f"a{stream:08d}"


def streams(events: int) -> int:
    """How many streams such a log has."""
    if events % (PER_STREAM * BUSY):
        raise ValueError(f"{events} events are no multiple of {PER_STREAM * BUSY}")
    return events // PER_STREAM


def fill(store: str, events: int) -> dict[str, Any]:
    """Fills an empty store in a process of its own.

    Returns:
        Seconds, and how many bytes it is.
    """
    words = [sys.executable, "-m", "benchmarks.filling", str(events)]
    done = subprocess.run(
        words, cwd=ROOT, env={**os.environ, STORE: store}, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"filling failed:\n{done.stderr[-2000:]}")
    seconds, size = done.stdout.split()[-2:]
    return {"seconds": float(seconds), "bytes": int(size)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("events", type=int)
    events = parser.parse_args().events
    store = os.environ[STORE]
    streams(events)
    start = time.perf_counter()
    fill_one = _fill_postgres if store.startswith("postgresql://") else _fill_sqlite
    size = asyncio.run(fill_one(store, events))
    print(round(time.perf_counter() - start, 1), size)


def _events(*, id: str, key: str) -> str:
    return (
        "INSERT INTO diptych_events (position, tenant, stream, version, name, schema, data, time, "
        "causation, principal) "
        f"SELECT i + 1, '', 'account:' || {key}, v, 'deposited', 1, "
        f'\'{{"account_id":"\' || {key} || \'","amount":1250,"currency":"EUR",'
        f'"note":"{NOTE}","reference":"{REFERENCE}","ts":"{WHEN}"}}\', '
        f"at, {id}, 'anonymous' FROM e"
    )


def _outcomes(*, id: str, key: str, fingerprint: str) -> str:
    return (
        "INSERT INTO diptych_outcomes (tenant, id, fingerprint, position, stream, version, count, "
        f"time) SELECT '', {id}, {fingerprint}, i + 1, 'account:' || {key}, v, 1, at FROM e"
    )


def _numbered(numbers: str, *, millisecond: str) -> str:
    """Of event i: stream s, version v, the time in two units: ten a millisecond, up to now."""
    return (
        f"e AS (SELECT i, i / {BUSY * PER_STREAM} * {BUSY} + i % {BUSY} AS s, "
        f"i % {BUSY * PER_STREAM} / {BUSY} + 1 AS v, {millisecond} AS t, "
        f"({{base}} + i / 10) * 1000 AS at FROM {numbers}) "
    )


# ids are UUIDs of version 7, as the app gives them
_ID = "substr(t, 1, 8) || '-' || substr(t, 9, 4) || '-7000-8000-' || {number}"


async def _fill_sqlite(store: str, events: int) -> int:
    async with app(store, write=[accounts]):
        pass
    file = Path(store.removeprefix("sqlite:///"))
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("PRAGMA cache_size = -500000")
    connection.execute("PRAGMA synchronous = OFF")  # of this connection alone
    key, id = "printf('a%08d', s)", _ID.format(number="printf('%012x', i)")
    numbered = (
        "WITH RECURSIVE n(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {end}),"
        + _numbered("n", millisecond="printf('%012x', {base} + i / 10)")
    )
    base = time.time_ns() // 1_000_000 - events // 10
    for first, end in _parts(events):
        these = numbered.format(first=first, end=end, base=base)
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(these + _events(id=id, key=key))
        connection.execute(these + _outcomes(id=id, key=key, fingerprint="randomblob(16)"))
        connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return _synced(file)


def _synced(file: Path) -> int:
    with file.open("rb") as written:
        os.fsync(written.fileno())
    return file.stat().st_size


async def _fill_postgres(store: str, events: int) -> int:
    import asyncpg

    async with app(store, write=[accounts]):
        pass
    connection = await asyncpg.connect(store)
    key = "'a' || lpad(s::text, 8, '0')"
    id = _ID.format(number="lpad(to_hex(i), 12, '0')")
    numbered = "WITH " + _numbered(
        "generate_series({first}::bigint, {end} - 1) AS n(i)",
        millisecond="lpad(to_hex({base} + i / 10), 12, '0')",
    )
    fingerprint = "decode(md5(i::text), 'hex')"
    base = time.time_ns() // 1_000_000 - events // 10
    for first, end in _parts(events):
        these = numbered.format(first=first, end=end, base=base)
        # an INSERT reads its WITH where it stands
        for insert in (
            _events(id=id, key=key),
            _outcomes(id=id, key=key, fingerprint=fingerprint),
        ):
            await connection.execute(these + insert)
    await connection.execute("UPDATE diptych_head SET position = $1, writes = writes + 1", events)
    # or the server would do it by itself, while a measurement is under way
    await connection.execute("VACUUM (ANALYZE) diptych_events")
    await connection.execute("VACUUM (ANALYZE) diptych_outcomes")
    await connection.execute("CHECKPOINT")
    size: int = await connection.fetchval("SELECT pg_database_size(current_database())")
    await connection.close()
    return size


def _parts(events: int) -> list[tuple[int, int]]:
    return [(first, min(first + PART, events)) for first in range(0, events, PART)]


if __name__ == "__main__":
    main()
