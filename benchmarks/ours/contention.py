"""Callers who all want one stream, and callers who each have their own."""

from __future__ import annotations

import itertools
import time

from benchmarks.measuring import Measure, Measured, Settings
from benchmarks.ours.domain import accounts, app, deposit
from benchmarks.ours.driving import Meter, drain
from benchmarks.place import new_place


def callers_on_streams(callers: int, streams: int) -> Measure:
    """Commands per second; each stream gets each of its commands once, none is lost."""

    def measure(settings: Settings) -> Measured:
        place = new_place(settings)
        names = [f"a{i}" for i in range(streams)]

        async def main() -> Measured:
            async with app(place.url, write=[accounts]) as bench:
                before = await drain(bench, iter(names * (640 // streams)), callers)
                meter, end = Meter(), time.perf_counter() + settings.seconds
                done = await drain(bench, itertools.cycle(names), callers, end)
                measured = meter.rate(done)
                await place.assert_durable()
                last = await bench.execute(deposit("a0"))
                each = (before + done) / streams
                if not each - 1 <= last.version - 1 <= each + 1:
                    raise RuntimeError(f"a0 is at {last.version} after {each} commands")
                return measured

        return settings.run(main())

    return measure
