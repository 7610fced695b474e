"""Rows by key: many in one answer, and one in an answer of its own."""

from __future__ import annotations

import time
from dataclasses import dataclass

from benchmarks.comparators.by_key import ROWS
from benchmarks.measuring import Measure, Measured, Settings
from benchmarks.ours.domain import Total, accounts, project
from benchmarks.ours.driving import drain
from benchmarks.place import new_place
from diptych import App, Query, View, Views

AT_ONCE = 1000


@dataclass(frozen=True)
class Many(Query[int]):
    """The sum over many keys, read one by one."""

    start: int


@dataclass(frozen=True)
class One(Query[int]):
    account_id: str


async def many(query: Many, views: Views) -> int:
    total = 0
    for n in range(query.start, query.start + AT_ONCE):
        row = await views.get(Total, f"a{n % ROWS}")
        total += 0 if row is None else row.total
    return total


async def one(query: One, views: Views) -> int:
    row = await views.get(Total, query.account_id)
    return 0 if row is None else row.total


def get(*, dictionary: bool, alone: bool) -> Measure:
    """Microseconds for each row.

    Args:
        dictionary: The view rests in a dictionary, else beside the log.
        alone: Each row has an answer of its own.
    """

    def measure(settings: Settings) -> Measured:
        place = new_place(settings)
        view = View(Total, project, key="account_id", store="memory://" if dictionary else None)

        async def main() -> float:
            async with App(
                "bench",
                store=place.url,
                write=[accounts],
                read=[view],
                answer=[many, one],
            ) as bench:
                await drain(bench, (f"a{n}" for n in range(ROWS)), 64)
                await bench.settled()
                expected = 1250 * (1 if alone else AT_ONCE)
                done = 0
                start = time.perf_counter()
                while time.perf_counter() - start < settings.seconds:
                    query = One(f"a{done % ROWS}") if alone else Many(done)
                    if await bench.ask(query) != expected:
                        raise RuntimeError("a row is missing")
                    done += 1 if alone else AT_ONCE
                return (time.perf_counter() - start) / done * 1e6

        return Measured(settings.run(main()))

    return measure
