"""Callers in a closed loop, and the meter beside them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

from benchmarks.measuring import Measured
from benchmarks.ours.domain import deposit
from diptych import App


class Meter:
    """Time and processor time since its making: the second one says more on a busy machine."""

    def __init__(self) -> None:
        self._start, self._cpu = time.perf_counter(), time.process_time()

    def rate(self, done: int) -> Measured:
        cpu = time.process_time() - self._cpu
        took = time.perf_counter() - self._start
        return Measured(done / took, {"cpu_us": cpu / done * 1e6})


async def drain(bench: App, keys: Iterator[str], callers: int, end: float = float("inf")) -> int:
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
