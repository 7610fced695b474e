"""Two processes read, then write, on PostgreSQL: no update is lost, whatever keeps it safe."""

from __future__ import annotations

import asyncio
import json
import sys

import pytest

from tests.faults.evidence import LONG
from tests.faults.shelf_work import shelf
from tests.integration.other_program import look

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]

EACH = 1_000 if LONG else 200
"""Calls of one process."""


async def lost(url: str, *kinds: str) -> int:
    """How many updates two processes lose."""
    async with shelf(url):
        pass
    look(url, "INSERT INTO shelves (sku, stock) VALUES ('tea', 100000)")
    processes = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.faults.shelf_work", url, str(name), kind, str(EACH))
        )
        for name, kind in enumerate(kinds)
    ]
    assert [await process.wait() for process in processes] == [0] * len(kinds)
    ((stock,),) = look(url, "SELECT stock FROM shelves")
    events = look(url, "SELECT data FROM diptych_events ORDER BY position")
    assert len(events) == EACH * len(kinds)
    lefts = {json.loads(data)["left"] for (data,) in events}
    assert lefts <= set(range(100_000 - len(events), 100_000))
    missing = stock - (100_000 - len(events))
    assert (missing == 0) == (len(lefts) == len(events))
    return missing


@pytest.mark.parametrize(
    "kinds", [("turns", "turns"), ("rows", "rows"), ("join", "join"), ("rows", "join")]
)
async def test_no_update_is_lost(postgres: str, kinds: tuple[str, str]) -> None:
    assert await lost(postgres, *kinds) == 0


async def test_a_row_that_several_streams_share_needs_a_lock(postgres: str) -> None:
    """The control: the check notices what a handler loses that takes none."""
    assert await lost(postgres, "nothing", "nothing") > 0
