"""Commands over a log that is long already: `python -m benchmarks.ours.growing WORK EVENTS`.

One JSON line out, as from `benchmarks.measure`; the store is one that `benchmarks.filling` has made.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks import filling
from benchmarks.durability import durability
from benchmarks.measuring import STORE, Measure, Measured, Settings
from benchmarks.ours.domain import accounts, app, deposit
from benchmarks.ours.driving import Meter, drain
from benchmarks.place import new_place

CALLERS = 64
BUSY = 1000


def warm(events: int) -> Measure:
    """1000 streams that lie anywhere in the log, their states cached."""

    def measure(settings: Settings) -> Measured:
        apart = filling.streams(events) // BUSY
        names = [filling.name(n * apart) for n in range(BUSY)]
        return _measure(settings, events, 10_000, iter(names), itertools.cycle(_shuffled(names)))

    return measure


def cold(events: int) -> Measure:
    """Any stream of the log, and room for the states of 100: each command reads its stream."""

    def measure(settings: Settings) -> Measured:
        # 7919 has no divisor with any power of ten in common: each stream comes once in a round
        count = filling.streams(events)
        start = time.time_ns()
        names = (filling.name((start + n * 7919) % count) for n in itertools.count())
        return _measure(settings, events, 100, itertools.islice(names, BUSY), names)

    return measure


def _shuffled(names: list[str]) -> list[str]:
    """As they come in life: those of one commit are no neighbours in the index."""
    return random.Random(7919).sample(names, len(names))


def _measure(
    settings: Settings, events: int, states: int, before: Iterator[str], names: Iterator[str]
) -> Measured:
    place = new_place(settings)

    async def main() -> Measured:
        async with app(place.url, write=[accounts], states=states) as bench:
            await drain(bench, before, CALLERS)
            first = await bench.execute(deposit(filling.name(0)))
            if first.position <= events or first.version <= filling.PER_STREAM:
                raise RuntimeError(f"{first} does not follow a log of {events} events")
            meter, end = Meter(), time.perf_counter() + settings.seconds
            measured = meter.rate(await drain(bench, names, CALLERS, end))
            await place.assert_durable()
            return measured

    return settings.run(main())


WORKS = {"warm": warm, "cold": cold}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("work", choices=list(WORKS))
    parser.add_argument("events", type=int)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--loop", default="asyncio")
    asked = parser.parse_args()
    settings = Settings(asked.seconds, Path(), loop=asked.loop, store=os.environ[STORE])
    durability.install(postgres=bool(settings.postgres))
    measured = WORKS[asked.work](asked.events)(settings)
    print(json.dumps({"value": measured.value, **measured.more}))


if __name__ == "__main__":
    main()
