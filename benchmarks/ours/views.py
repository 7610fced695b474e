"""The read side: a view that catches up, and a question that waits for a receipt."""

from __future__ import annotations

import asyncio
import time

from benchmarks.measuring import Measured, Settings, median
from benchmarks.ours.domain import Deposit, TotalOf, accounts, app, deposit
from benchmarks.place import new_place


def catch_up(settings: Settings) -> Measured:
    """20,000 events of 2,000 accounts, written beforehand without the view."""
    count = settings.size(20_000, 2_000)
    place = new_place(settings)

    async def main() -> Measured:
        async with app(place.url, write=[accounts]) as bench:
            commands = iter([deposit(f"acc-{i % 2000}") for i in range(count)])

            async def caller() -> None:
                for command in commands:
                    await bench.execute(command)

            await asyncio.gather(*(caller() for _ in range(256)))
        start = time.perf_counter()
        async with app(place.url, write=[accounts], view=True) as bench:
            opened = time.perf_counter() - start
            await bench.settled(timeout=120)
            took = time.perf_counter() - start
            await place.assert_durable()
            each = (count - 1) // 2000 + 1 if count >= 2000 else 1
            total = await bench.ask(TotalOf("acc-0"))
            if total != each * 1250:
                raise RuntimeError(f"the view shows {total}, not {each * 1250}")
        return Measured(count / took, {"open_ms": opened * 1e3})

    return settings.run(main())


def receipt_to_answer(settings: Settings) -> Measured:
    """p50 in ms from the receipt to the answer; with the command itself beside it."""

    async def main() -> Measured:
        place = new_place(settings)
        waits: list[float] = []
        wholes: list[float] = []
        async with app(place.url, write=[accounts], view=True) as bench:
            command: Deposit = deposit("a0")
            for turn in range(settings.size(210, 25)):
                start = time.perf_counter()
                receipt = await bench.execute(command)
                answered = time.perf_counter()
                total = await bench.ask(TotalOf("a0"), after=receipt)
                end = time.perf_counter()
                if total != (turn + 1) * 1250:
                    raise RuntimeError(f"an answer after the receipt showed {total}")
                if turn >= 10:
                    waits.append((end - answered) * 1e3)
                    wholes.append((end - start) * 1e3)
            await place.assert_durable()
        p99 = sorted(waits)[int(len(waits) * 0.99)]
        return Measured(median(waits), {"p99": p99, "with_command": median(wholes)})

    return settings.run(main())
