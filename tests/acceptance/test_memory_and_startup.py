"""Memory stays flat while a view catches up, and an app opens as fast over a long log as over none.

The figures come from a process of its own (`python -m tests.acceptance.test_memory_and_startup`),
so that nothing else is in them. 100,000 events must need no more memory
than 50,000; with `-m long` it is 1,000,000, and the evidence is written down.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sqlite3
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from benchmarks.environment import environment
from diptych import App, Decider, EventSourced, Query, View, Views

ROOT = Path(__file__).parents[2]
KEYS = 1_000
PER_COMMAND = 100
MIB = 1 << 20


@dataclass(frozen=True)
class Post:
    account: str
    count: int


@dataclass(frozen=True)
class Posted:
    account: str
    amount: int
    note: str


@dataclass(frozen=True)
class Account: ...


def decide(command: Post, account: Account) -> list[Posted]:
    return [Posted(command.account, n, "x" * 100) for n in range(command.count)]


def evolve(account: Account, event: Posted) -> Account:
    return account


@dataclass(frozen=True)
class Total:
    account: str
    total: int
    events: int


def project(row: Total | None, event: Posted) -> Total | None:
    before = row or Total(event.account, 0, 0)
    return Total(event.account, before.total + event.amount, before.events + 1)


accounts = EventSourced("account", Decider(Account(), decide, evolve), key="account")
totals = View(Total, project, key="account", version=1)


@dataclass(frozen=True)
class EventsOf(Query[int]):
    account: str


async def events_of(query: EventsOf, views: Views) -> int:
    row = await views.get(Total, query.account)
    return 0 if row is None else row.events


def app(file: Path, *, view: bool) -> App:
    return App(
        "memory",
        store=f"sqlite:///{file}",
        write=[accounts],
        read=[totals] if view else [],
        answer=[events_of] if view else [],
    )


# --- the process that is measured ---------------------------------------------------------------


def peak() -> int:
    """Peak resident bytes of this program; getrusage would count what its parent had at the fork."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("no VmHWM in /proc/self/status")


async def fill(file: Path, events: int) -> dict[str, Any]:
    commands = iter(range(events // PER_COMMAND))
    async with app(file, view=False) as log:

        async def caller() -> None:
            for n in commands:
                await log.execute(Post(f"a{n % KEYS}", PER_COMMAND))

        await asyncio.gather(*(caller() for _ in range(16)))
    return {"events": events}


async def catch_up(file: Path, events: int) -> dict[str, Any]:
    start, before = time.perf_counter(), peak()
    async with app(file, view=True) as log:
        await log.settled(timeout=1_200)
        took = time.perf_counter() - start
        seen = await log.ask(EventsOf("a0"))
    commands = events // PER_COMMAND
    expected = PER_COMMAND * ((commands - 1) // KEYS + 1)
    if seen != expected:
        raise RuntimeError(f"the view shows {seen} events of a0, not {expected}")
    return {
        "events": events,
        "peak_mib": round(peak() / MIB, 1),
        "before_mib": round(before / MIB, 1),
        "seconds": round(took, 2),
        "events_per_second": round(events / took),
    }


async def hoard(file: Path, events: int) -> dict[str, Any]:
    """The control: everything that was read is kept, as a careless projection would."""
    async with app(file, view=False) as log:
        kept = [recorded async for recorded in log.log.read(after=0)]
    return {"events": len(kept), "peak_mib": round(peak() / MIB, 1)}


class Work:
    """Counts what SQLite does, in units of 10 steps of its virtual machine, on all connections."""

    def __init__(self) -> None:
        self.units = 0
        connect = sqlite3.connect

        def counted(database: Any, *arguments: Any, **named: Any) -> sqlite3.Connection:
            connection = connect(database, *arguments, **named)
            connection.set_progress_handler(self._count, 10)
            return connection

        sqlite3.connect = counted  # type: ignore[assignment]

    def _count(self) -> int:
        self.units += 1
        return 0


async def open_app(file: Path, view: bool) -> dict[str, Any]:
    work = Work()
    times: list[float] = []
    for _ in range(5):
        start = time.perf_counter()
        async with app(file, view=view):
            times.append((time.perf_counter() - start) * 1e3)
    return {"units": work.units, "p50_ms": round(sorted(times)[2], 2)}


async def scan(file: Path) -> dict[str, Any]:
    """The control: an opening that reads the log once."""
    work = Work()
    connection = sqlite3.connect(file)
    connection.execute("select sum(length(data)) from diptych_events").fetchone()
    connection.close()
    return {"units": work.units}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("act", choices=["fill", "catch-up", "hoard", "open", "scan"])
    parser.add_argument("file", type=Path)
    parser.add_argument("--events", type=int, default=0)
    parser.add_argument("--view", action="store_true")
    asked = parser.parse_args()
    match asked.act:
        case "fill":
            act = fill(asked.file, asked.events)
        case "catch-up":
            act = catch_up(asked.file, asked.events)
        case "hoard":
            act = hoard(asked.file, asked.events)
        case "open":
            act = open_app(asked.file, asked.view)
        case _:
            act = scan(asked.file)
    print(json.dumps(asyncio.run(act)))


# --- the tests ----------------------------------------------------------------------------------


class Broken(Exception):
    """A bound does not hold; raised, not asserted, so that -O cannot drop it."""


def run(act: str, file: Path, *options: object) -> dict[str, Any]:
    words = [sys.executable, "-m", "tests.acceptance.test_memory_and_startup", act, str(file)]
    done = subprocess.run(
        [*words, *map(str, options)], cwd=ROOT, capture_output=True, text=True, timeout=1_500
    )
    if done.returncode:
        raise Broken(f"{act} failed:\n{done.stderr[-2000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Logs of 0, 50,000 and 100,000 events, written without a view."""
    folder = tmp_path_factory.mktemp("logs")
    found: dict[int, Path] = {}
    for events in (0, 50_000, 100_000):
        found[events] = folder / f"{events}.db"
        run("fill", found[events], "--events", events)
    return found


@pytest.mark.timeout(300)
def test_catching_up_with_twice_the_log_needs_no_more_memory(logs: dict[int, Path]) -> None:
    half, whole = (run("catch-up", logs[n], "--events", n) for n in (50_000, 100_000))
    grown = whole["peak_mib"] - half["peak_mib"]
    print(half, whole)
    if grown > 8 or whole["peak_mib"] > 200:
        raise Broken(f"50,000 events took {half['peak_mib']} MiB, 100,000 {whole['peak_mib']}")


@pytest.mark.timeout(300)
def test_a_reader_that_keeps_what_it_read_is_caught(logs: dict[int, Path]) -> None:
    half, whole = (run("hoard", logs[n], "--events", n) for n in (50_000, 100_000))
    if whole["peak_mib"] - half["peak_mib"] <= 8:
        raise Broken(f"the measure does not see 50,000 kept events: {half}, {whole}")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("view", [False, True], ids=["writing", "with a view that has caught up"])
def test_opening_does_not_read_the_log(logs: dict[int, Path], view: bool) -> None:
    """Compared is what SQLite did, not the time it took: this cannot flicker."""
    options = ("--view",) if view else ()
    for events in (0, 100_000):
        run("catch-up" if view and events else "open", logs[events], "--events", events, *options)
    empty, full = (run("open", logs[n], *options) for n in (0, 100_000))
    control = run("scan", logs[100_000])
    print(empty, full, control)
    if full["units"] > 1.5 * empty["units"] + 50:
        raise Broken(f"opening did {empty['units']} units over no log, {full['units']} over one")
    if control["units"] <= 1.5 * empty["units"] + 50:
        raise Broken(f"reading the whole log once would not be noticed: {control}")


@pytest.mark.long
@pytest.mark.timeout(1_800)
def test_a_view_over_a_million_events_catches_up_within_200_mib(tmp_path: Path) -> None:
    file, empty = tmp_path / "million.db", tmp_path / "empty.db"
    run("fill", file, "--events", 1_000_000)
    run("open", empty)
    found: dict[str, Any] = {
        **environment(tmp_path),
        "catch_up": run("catch-up", file, "--events", 1_000_000),
        "open_empty": run("open", empty),
        "open_million": run("open", file),
        "open_million_with_view": run("open", file, "--view"),
        "file_mib": round(file.stat().st_size / MIB),
    }
    (ROOT / "docs" / "evidence" / "memory-1m.json").write_text(json.dumps(found, indent=2) + "\n")
    if found["catch_up"]["peak_mib"] > 200:
        raise Broken(f"a million events took {found['catch_up']['peak_mib']} MiB")
    if found["open_million"]["p50_ms"] > 5 * found["open_empty"]["p50_ms"] + 50:
        raise Broken(f"opening takes longer over a long log: {found}")


if __name__ == "__main__":
    main()
