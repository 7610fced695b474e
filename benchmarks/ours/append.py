"""Deciding and appending: callers are tasks in a closed loop, each over streams of its own."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmarks.measuring import Measure, Measured, Settings, durability
from benchmarks.ours.domain import (
    Account,
    Deposited,
    accounts,
    app,
    decide,
    deposit,
    evolve,
    transfers,
)
from diptych import App, Decider, EventSourced

STREAMS = 1000


class _Meter:
    """Time and processor time since its making: the second one says more on a busy machine."""

    def __init__(self) -> None:
        self._start, self._cpu = time.perf_counter(), time.process_time()

    def rate(self, done: int) -> Measured:
        cpu = time.process_time() - self._cpu
        took = time.perf_counter() - self._start
        return Measured(done / took, {"cpu_us": cpu / done * 1e6})


async def _drain(bench: App, keys: Iterator[str], callers: int, end: float = float("inf")) -> int:
    """The callers take keys until there are none or the time is over; how many were executed."""
    done = 0

    async def caller() -> None:
        nonlocal done
        for key in keys:
            await bench.execute(deposit(key))
            done += 1
            if time.perf_counter() >= end:
                return

    await asyncio.gather(*(caller() for _ in range(callers)))
    return done


def _named(count: int, rounds: int = 1) -> Iterable[str]:
    return (f"a{i}" for _ in range(rounds) for i in range(count))


def warm(callers: int, *, inline: bool = False) -> Measure:
    """1000 streams of 10+ events, all states cached by the commands that wrote them.

    Args:
        inline: With a view of one row per stream, kept in each command's commit.
    """

    def measure(settings: Settings) -> Measured:
        streams = settings.size(STREAMS, 100)
        file = settings.fresh("ours") / "bench.db"

        async def main() -> Measured:
            async with app(file, write=[accounts], inline=inline) as bench:
                await _drain(bench, iter(_named(streams, 10)), 64)
                names = [f"a{i}" for i in range(streams)]
                meter, end = _Meter(), time.perf_counter() + settings.seconds
                done = await _drain(bench, itertools.cycle(names), callers, end)
                measured = meter.rate(done)
                durability.assert_full()
                return measured

        return settings.run(main())

    return measure


def cold(callers: int) -> Measure:
    """1000 streams of 10+ events, and room for the states of 100: each command reads its stream."""

    def measure(settings: Settings) -> Measured:
        streams = settings.size(STREAMS, 300)
        file = settings.fresh("ours") / "bench.db"
        names = [f"a{i}" for i in range(streams)]

        async def main() -> Measured:
            async with app(file, write=[accounts], states=100) as bench:
                await _drain(bench, iter(_named(streams, 10)), 64)
            await _demand_reads(file, names, callers)
            async with app(file, write=[accounts], states=100) as bench:
                await _drain(bench, iter(names), callers)
                meter, end = _Meter(), time.perf_counter() + settings.seconds
                done = await _drain(bench, itertools.cycle(names), callers, end)
                measured = meter.rate(done)
                durability.assert_full()
                return measured

        return settings.run(main())

    return measure


async def _demand_reads(file: Path, names: list[str], callers: int) -> None:
    """Counts what is evolved in one round, so that no cache can turn cold into warm unseen."""
    evolved = 0

    def counting(account: Account, event: Deposited) -> Account:
        nonlocal evolved
        evolved += 1
        return evolve(account, event)

    counted = EventSourced("account", Decider(Account(), decide, counting), key="account_id")
    async with app(file, write=[counted], states=100) as bench:
        await _drain(bench, iter(names), callers)
        evolved = 0
        await _drain(bench, iter(names), callers)
    if evolved < 10 * len(names):
        raise RuntimeError(f"{evolved} events were read for {len(names)} commands: not cold")


def boundary(callers: int) -> Measure:
    """Each command reads and writes one tag that nothing else carries, under its condition."""

    def measure(settings: Settings) -> Measured:
        file = settings.fresh("ours") / "bench.db"

        async def main() -> Measured:
            async with app(file, write=[transfers]) as bench:
                keys = (f"t{i}" for i in itertools.count())
                await _drain(bench, itertools.islice(keys, 256), callers)
                meter, end = _Meter(), time.perf_counter() + settings.seconds
                done = await _drain(bench, keys, callers, end)
                measured = meter.rate(done)
                durability.assert_full()
                return measured

        return settings.run(main())

    return measure


def memory(settings: Settings) -> Measured:
    """Microseconds per execute of one caller, over 100 streams in memory."""

    async def main() -> float:
        async with app(None, write=[accounts]) as bench:
            names = [f"a{i}" for i in range(100)]
            await _drain(bench, iter(names * 5), 1)
            start = time.perf_counter()
            done = await _drain(bench, itertools.cycle(names), 1, start + settings.seconds)
            return (time.perf_counter() - start) / done * 1e6

    return Measured(settings.run(main()))
