"""Two processes on one file: what one carries out, the other's views show."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.integration.pots import (
    AllTotals,
    Put,
    TotalOf,
    bank,
    refuse_old_states,
)

ROOT = Path(__file__).parents[2]

WORK = """
import asyncio, sys
from diptych import Limits, Refused
from tests.integration.pots import Book, Put, TotalOf, bank

async def one(app, name, number):
    receipt = await app.execute(Put("shared", 1), id=f"{name}-{number}")
    row = await app.ask(TotalOf("shared"), after=receipt)
    assert row.position >= receipt.position, (row, receipt)
    try:
        await app.execute(Book(f"{name}-{number}", (number // 4,)))
    except Refused:
        pass

async def main(url, name, many):
    async with bank(url, limits=Limits(attempts=200)) as app:
        await asyncio.gather(*[one(app, name, number) for number in range(many)])

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


async def work(url: str, name: str, many: int) -> asyncio.subprocess.Process:
    """A process that carries out commands and asks for what it did."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", WORK, url, name, str(many), cwd=ROOT
    )


async def test_processes_that_share_a_file_agree_on_everything(file: str) -> None:
    async with bank(file) as app:
        workers = [await work(file, name, 60) for name in ("x", "y")]
        async with asyncio.timeout(60):
            seen = 0
            while any(worker.returncode is None for worker in workers):
                row = await app.ask(TotalOf("shared"))
                amount = row.amount if row else 0
                assert amount >= seen
                seen = amount
                await app.execute(Put("shared", 1))
                await asyncio.sleep(0.02)
            assert [await worker.wait() for worker in workers] == [0, 0]
        head = await refuse_old_states(app)
        (row,) = await app.ask(AllTotals(), after=head, timeout=10)
        events = [one async for one in app.log.read(stream="pot:shared")]
        assert (row.amount, row.events) == (len(events), len(events))
        ids = [one.causation_id for one in events]
        assert len(set(ids)) == len(ids) >= 120
        assert {f"{name}-{n}" for name in "xy" for n in range(60)} <= set(ids)


async def test_an_id_that_another_process_used_is_known(file: str) -> None:
    worker = await work(file, "x", 3)
    assert await worker.wait() == 0
    async with bank(file) as app:
        head = await app.log.head()
        again = await app.execute(Put("shared", 1), id="x-1")
        assert again.command_id == "x-1"
        assert await app.log.head() == head
