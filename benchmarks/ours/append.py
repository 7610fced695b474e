"""Deciding and appending: callers are tasks in a closed loop, each over streams of its own."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable

from benchmarks.measuring import Measure, Measured, Settings
from benchmarks.ours.domain import (
    Account,
    Deposited,
    accounts,
    app,
    decide,
    evolve,
    transfers,
)
from benchmarks.ours.driving import Meter, drain
from benchmarks.place import new_place
from diptych import Decider, EventSourced

STREAMS = 1000


def _named(count: int, rounds: int = 1) -> Iterable[str]:
    return (f"a{i}" for _ in range(rounds) for i in range(count))


def warm(callers: int, *, inline: bool = False) -> Measure:
    """1000 streams of 10+ events, all states cached by the commands that wrote them.

    Args:
        inline: With a view of one row per stream, kept in each command's commit.
    """

    def measure(settings: Settings) -> Measured:
        streams = settings.size(STREAMS, 100)
        place = new_place(settings)

        async def main() -> Measured:
            async with app(place.url, write=[accounts], inline=inline) as bench:
                await drain(bench, iter(_named(streams, 10)), 64)
                names = [f"a{i}" for i in range(streams)]
                meter, end = Meter(), time.perf_counter() + settings.seconds
                done = await drain(bench, itertools.cycle(names), callers, end)
                measured = meter.rate(done)
                await place.assert_durable()
                return measured

        return settings.run(main())

    return measure


def cold(callers: int) -> Measure:
    """1000 streams of 10+ events, and room for the states of 100: each command reads its stream."""

    def measure(settings: Settings) -> Measured:
        streams = settings.size(STREAMS, 300)
        place = new_place(settings)
        names = [f"a{i}" for i in range(streams)]

        async def main() -> Measured:
            async with app(place.url, write=[accounts], states=100) as bench:
                await drain(bench, iter(_named(streams, 10)), 64)
            await _demand_reads(place.url, names, callers)
            async with app(place.url, write=[accounts], states=100) as bench:
                await drain(bench, iter(names), callers)
                meter, end = Meter(), time.perf_counter() + settings.seconds
                done = await drain(bench, itertools.cycle(names), callers, end)
                measured = meter.rate(done)
                await place.assert_durable()
                return measured

        return settings.run(main())

    return measure


async def _demand_reads(store: str, names: list[str], callers: int) -> None:
    """Counts what is evolved in one round, so that no cache can turn cold into warm unseen."""
    evolved = 0

    def counting(account: Account, event: Deposited) -> Account:
        nonlocal evolved
        evolved += 1
        return evolve(account, event)

    counted = EventSourced("account", Decider(Account(), decide, counting), key="account_id")
    async with app(store, write=[counted], states=100) as bench:
        await drain(bench, iter(names), callers)
        evolved = 0
        await drain(bench, iter(names), callers)
    if evolved < 10 * len(names):
        raise RuntimeError(f"{evolved} events were read for {len(names)} commands: not cold")


def boundary(callers: int) -> Measure:
    """Each command reads and writes one tag that nothing else carries, under its condition."""

    def measure(settings: Settings) -> Measured:
        place = new_place(settings)

        async def main() -> Measured:
            async with app(place.url, write=[transfers]) as bench:
                keys = (f"t{i}" for i in itertools.count())
                await drain(bench, itertools.islice(keys, 256), callers)
                meter, end = Meter(), time.perf_counter() + settings.seconds
                done = await drain(bench, keys, callers, end)
                measured = meter.rate(done)
                await place.assert_durable()
                return measured

        return settings.run(main())

    return measure


def memory(settings: Settings) -> Measured:
    """Microseconds per execute of one caller, over 100 streams in memory."""

    async def main() -> float:
        async with app("memory://", write=[accounts]) as bench:
            names = [f"a{i}" for i in range(100)]
            await drain(bench, iter(names * 5), 1)
            start = time.perf_counter()
            done = await drain(bench, itertools.cycle(names), 1, start + settings.seconds)
            return (time.perf_counter() - start) / done * 1e6

    return Measured(settings.run(main()))
