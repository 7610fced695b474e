"""Judges what a run left in a log of tests.faults.ledger, whichever store it is in."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from diptych import App, Refused
from tests.faults.history import HistoryBroken, check_log, demand_none
from tests.faults.ledger import command_of
from tests.faults.processes import Told, operations
from tests.faults.tables import Stored

AT_ONCE = 200


def demand(holds: bool, what: str, replay: str) -> None:
    if not holds:
        raise HistoryBroken(f"{what}\nreplay: {replay}")


def check_entries(
    entries: Sequence[Stored], history: Sequence[Told], ledgers: int, replay: str
) -> None:
    """What was acknowledged is there, nothing twice, and no half of a command."""
    calls = operations(history, ledgers)
    demand_none(check_log(calls, [entry.as_entry() for entry in entries]), replay)
    for entry in entries:
        demand(entry.version == entry.number, f"{entry.id} was decided on another state", replay)
    for id, count in Counter(entry.entry for entry in entries).items():
        whole = command_of(id, ledgers).lines
        demand(count == whole, f"{id} left {count} of {whole} events", replay)


async def send_again(
    app: App,
    history: Sequence[Told],
    ledgers: int,
    stored: Callable[[], Awaitable[Sequence[Stored]]],
    replay: str,
) -> None:
    """Every command twice: acknowledged ones answer as before, the others happen now, once."""

    async def twice(call: Told) -> None:
        message = command_of(call.id, ledgers)
        positions: list[int | None] = [call.position] * (call.position is not None)
        for _ in range(2):
            try:
                positions.append((await app.execute(message, id=call.id)).position)
            except Refused as refused:
                demand(message.lines == 0, f"{call.id} is refused: {refused.code}", replay)
                positions.append(None)
        demand(len(set(positions)) == 1, f"{call.id} was answered by {positions}", replay)

    for first in range(0, len(history), AT_ONCE):
        await asyncio.gather(*map(twice, history[first : first + AT_ONCE]))
    ids = [entry.id for entry in await stored()]
    demand(len(ids) == len(set(ids)), "a repeated command happened twice", replay)
    expected = {
        f"{call.id}#{line}"
        for call in history
        for line in range(command_of(call.id, ledgers).lines)
    }
    demand(set(ids) == expected, f"{len(expected ^ set(ids))} events too many or missing", replay)
