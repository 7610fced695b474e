"""Carries a timeline out, many bookings in flight at once, no day before the one before it."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import groupby

from diptych import App, Receipt, Refused
from reservation.bookings.timeline import Step
from reservation.house import HouseClock

IN_FLIGHT = 128


@dataclass
class Replayed:
    """What came back: how many commands were done, and which were refused, by code."""

    commands: int = 0
    refusals: Counter[str] = field(default_factory=Counter[str])
    last: Receipt | None = None


async def replay(
    app: App,
    clock: HouseClock,
    steps: Sequence[Step],
    *,
    in_flight: int = IN_FLIGHT,
    progress: Callable[[int], None] = lambda done: None,
) -> Replayed:
    """Day by day. Within a day bookings start in the order of their rows, and each booking's own
    steps wait for one another; a booking whose request was refused has no further steps.
    """
    replayed = Replayed()
    refused: set[int] = set()

    async def carry_out(chains: Iterator[list[Step]]) -> None:
        # the workers of a day share one iterator, so that chains start in its order
        for chain in chains:
            for step in chain:
                replayed.commands += 1
                if step.row in refused:
                    continue
                try:
                    receipt = await app.execute(step.command, id=step.id)
                except Refused as refusal:
                    replayed.refusals[refusal.code] += 1
                    if step.step == 1:
                        refused.add(step.row)
                else:
                    if replayed.last is None or receipt.position > replayed.last.position:
                        replayed.last = receipt
            progress(replayed.commands)

    for day, chains in _days(steps):
        clock.reach(day)
        shared = iter(chains)
        async with asyncio.TaskGroup() as workers:
            for _ in range(min(in_flight, len(chains))):
                workers.create_task(carry_out(shared))
    return replayed


def _days(steps: Sequence[Step]) -> Iterator[tuple[date, list[list[Step]]]]:
    """For each day the chains of its bookings, by row."""
    for day, of_day in groupby(steps, key=lambda step: step.day):
        yield day, [list(chain) for _, chain in groupby(of_day, key=lambda step: step.row)]
