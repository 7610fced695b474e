"""Peak resident memory of a process with an app, in MiB."""

from __future__ import annotations

import asyncio

from benchmarks.filling import fill
from benchmarks.measuring import Measure, Measured, Settings, peak
from benchmarks.ours.domain import TotalOf, accounts, app, deposit
from benchmarks.place import new_place
from diptych import Overloaded

WAITING = 10_000
BEYOND = 100


def idle(settings: Settings) -> Measured:
    """An app that is open, and has carried one command out."""
    place = new_place(settings)

    async def main() -> None:
        async with app(place.url, write=[accounts]) as bench:
            await bench.execute(deposit("a0"))
            await asyncio.sleep(settings.size(1, 0))

    settings.run(main())
    return Measured(peak())


def waiting(settings: Settings) -> Measured:
    """As many commands as may wait at once, and 100 more, which are refused."""
    place = new_place(settings)

    async def main() -> int:
        async with app(place.url, write=[accounts]) as bench:
            names = [f"a{n % 1000}" for n in range(WAITING + BEYOND)]
            answers = await asyncio.gather(
                *(bench.execute(deposit(name)) for name in names), return_exceptions=True
            )
        refused = sum(isinstance(answer, Overloaded) for answer in answers)
        if refused != BEYOND:
            raise RuntimeError(f"{refused} were refused, not {BEYOND}")
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(answer, Overloaded):
                raise answer
        return refused

    refused = settings.run(main())
    return Measured(peak(), {"refused": refused})


def catch_up(events: int) -> Measure:
    """A view that takes in a whole log, which another process has written."""

    def measure(settings: Settings) -> Measured:
        count = settings.size(events, max(events // 100, 10_000))
        place = new_place(settings)
        fill(place.url, count)

        async def main() -> None:
            async with app(place.url, write=[accounts], view=True) as bench:
                await bench.settled(timeout=280)
                total = await bench.ask(TotalOf("a00000000"))
                if total != 10 * 1250:
                    raise RuntimeError(f"the view shows {total}, not {10 * 1250}")

        settings.run(main())
        return Measured(peak(), {"events": count})

    return measure
