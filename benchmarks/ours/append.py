"""Deciding and appending: callers are tasks in a closed loop, each over streams of its own."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterable, Iterator

from benchmarks.measuring import Measure, Measured, Settings, durability
from benchmarks.ours.domain import accounts, app, deposit, transfers
from diptych import App

STREAMS = 1000


class _Meter:
    """Time and processor time since its making: the second one says more on a busy machine."""

    def __init__(self) -> None:
        self._start, self._cpu = time.perf_counter(), time.process_time()
        self.took = self.cpu = 0.0

    def stop(self) -> None:
        """Adds what has passed since the making or the last stop."""
        now, cpu = time.perf_counter(), time.process_time()
        self.took += now - self._start
        self.cpu += cpu - self._cpu

    def go_on(self) -> None:
        self._start, self._cpu = time.perf_counter(), time.process_time()

    def rate(self, done: int) -> Measured:
        return Measured(done / self.took, {"cpu_us": self.cpu / done * 1e6})


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


def warm(callers: int) -> Measure:
    """1000 streams of 10+ events, all states cached by the commands that wrote them."""

    def measure(settings: Settings) -> Measured:
        streams = settings.size(STREAMS, 100)
        file = settings.fresh("ours") / "bench.db"

        async def main() -> Measured:
            async with app(file, write=[accounts]) as bench:
                await _drain(bench, iter(_named(streams, 10)), 64)
                names = [f"a{i}" for i in range(streams)]
                meter, end = _Meter(), time.perf_counter() + settings.seconds
                done = await _drain(bench, itertools.cycle(names), callers, end)
                meter.stop()
                durability.assert_full()
                return meter.rate(done)

        return settings.run(main())

    return measure


def cold(callers: int) -> Measure:
    """Every command meets a stream of 10 or a few more events whose state no cache holds."""

    def measure(settings: Settings) -> Measured:
        streams = settings.size(2 * STREAMS, 100)
        file = settings.fresh("ours") / "bench.db"

        async def main() -> Measured:
            async with app(file, write=[accounts]) as bench:
                await _drain(bench, iter(_named(streams, 10)), 64)
            done, meter = 0, _Meter()
            while meter.took < settings.seconds:
                async with app(file, write=[accounts]) as bench:
                    others = (f"other{i}" for i in range(64))
                    await _drain(bench, others, callers)  # threads and connections are up
                    meter.go_on()
                    done += await _drain(bench, iter(_named(streams)), callers)
                    meter.stop()
                    durability.assert_full()
            return meter.rate(done)

        return settings.run(main())

    return measure


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
                meter.stop()
                durability.assert_full()
                return meter.rate(done)

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
