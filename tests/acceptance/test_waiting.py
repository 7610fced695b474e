"""Ten thousand commands wait in bounded memory while the store stands still; those beyond are
refused at once and cost nothing; when it goes on, all that were taken are answered.

The figures come from a process of its own (`python -m tests.acceptance.test_waiting`).
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from diptych import App, Limits, Overloaded
from diptych.adapters.postgres.address import address
from tests.faults.evidence import keep
from tests.faults.ledger import Book, ledgers, url

ROOT = Path(__file__).parents[2]
MIB = 1 << 20
WAITING = 10_000
BEYOND = 20_000
ROOM = 50
"""MiB that the waiting commands may take: their tasks, messages, decisions and commits."""


# --- the process that is measured ---------------------------------------------------------------


def resident() -> float:
    """MiB of memory in use now."""
    gc.collect()
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no VmRSS in /proc/self/status")


@asynccontextmanager
async def standing_still(store: str) -> AsyncIterator[None]:
    """Somebody else has the store's lock."""
    if store.startswith("postgres"):
        session = await asyncpg.connect(store)
        lock = address(store).lock
        await session.execute(f"BEGIN; SELECT pg_advisory_xact_lock({lock[0]}, {lock[1]})")
        yield
        await session.close()
        return
    file = sqlite3.connect(store.removeprefix("sqlite:///"), isolation_level=None)
    file.execute("BEGIN IMMEDIATE")
    yield
    file.close()


async def wait(store: str, waiting: int, beyond: int) -> dict[str, Any]:
    limits = Limits(waiting=waiting)
    async with App("ledger", store=url(store), write=[ledgers], limits=limits) as app:
        await app.execute(Book("l0", "first", 1))
        started, before = time.perf_counter(), resident()
        async with standing_still(store):
            calls = [
                asyncio.ensure_future(app.execute(Book(f"l{n % 500}", f"e{n}", 1)))
                for n in range(waiting)
            ]
            await asyncio.sleep(1)  # each has read and decided, as far as it gets
            answered = sum(call.done() for call in calls)
            filled, refused = resident(), 0
            for n in range(beyond):
                try:
                    await app.execute(Book("l0", f"b{n}", 1))
                except Overloaded:
                    refused += 1
            after = resident()
        receipts = await asyncio.gather(*calls)
        took = time.perf_counter() - started
        head = await app.log.head()
    return {
        "waiting": waiting,
        "answered_meanwhile": answered,
        "waiting_mib": round(filled - before, 1),
        "beyond": beyond,
        "refused": refused,
        "beyond_mib": round(after - filled, 1),
        "receipts": len({receipt.position for receipt in receipts}),
        "head": head,
        "seconds": round(took, 1),
    }


# --- the tests ----------------------------------------------------------------------------------


class Broken(Exception):
    """A bound does not hold; raised, not asserted, so that -O cannot drop it."""


def run(store: str, waiting: int, beyond: int) -> dict[str, Any]:
    words = [
        sys.executable,
        "-m",
        "tests.acceptance.test_waiting",
        store,
        str(waiting),
        str(beyond),
    ]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=200)
    if done.returncode:
        raise Broken(f"it ended with {done.returncode}:\n{done.stderr[-2000:]}")
    found = dict(json.loads(done.stdout.splitlines()[-1]))
    return found


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgres":
        dsn: str = request.getfixturevalue("postgres")
        return dsn
    return f"sqlite:///{tmp_path / 'ledger.db'}"


@pytest.mark.timeout(240)
def test_ten_thousand_wait_in_bounded_memory_and_more_are_refused(store: str) -> None:
    found = run(store, WAITING, BEYOND)
    keep(f"waiting-{store.partition(':')[0]}", **found)
    if found["waiting_mib"] > ROOM or found["beyond_mib"] > 8:
        raise Broken(f"they took too much: {found}")
    if found["answered_meanwhile"] or found["refused"] != BEYOND:
        raise Broken(f"not all were waiting, or not all beyond them refused: {found}")
    if found["receipts"] != WAITING or found["head"] != WAITING + 1:
        raise Broken(f"something was lost: {found}")


@pytest.mark.timeout(240)
def test_without_a_bound_the_same_measure_finds_it(store: str) -> None:
    """The control: a limit that is three times as high."""
    found = run(store, 3 * WAITING, 0)
    if found["waiting_mib"] <= ROOM:
        raise Broken(f"the measure does not see {3 * WAITING} that wait: {found}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("store")
    parser.add_argument("waiting", type=int)
    parser.add_argument("beyond", type=int)
    asked = parser.parse_args()
    print(json.dumps(asyncio.run(wait(asked.store, asked.waiting, asked.beyond))))


if __name__ == "__main__":
    main()
