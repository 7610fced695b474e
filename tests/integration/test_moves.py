"""Projections that are interrupted: apps left and processes killed in the middle of their work."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text

from diptych import Overloaded, Views
from diptych.adapters.sqlite.views import SqliteViews
from diptych.read import projecting
from tests.integration.moves import Ask, asking, ledger_bank, moves, refuse_other_moves
from tests.integration.pots import Put, bank

ROOT = Path(__file__).parents[2]

WORK = """
import asyncio, sys
from tests.integration.moves import ledger_bank
from tests.integration.pots import Put, Take

async def main(url, name):
    async with ledger_bank(url) as app:
        print("open", flush=True)
        while True:
            await asyncio.gather(*[app.execute(Put(name, 1 + n % 4)) for n in range(20)])
            await app.execute(Take(name, 3))

asyncio.run(main(sys.argv[1], sys.argv[2]))
"""


async def work(url: str, name: str) -> asyncio.subprocess.Process:
    """A process that carries out commands and fills the tables, for as long as it lives."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WORK, url, name, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"open\n"
    return process


async def test_processes_that_are_killed_double_and_lose_nothing(file: str) -> None:
    for turn in range(3):
        workers = [await work(file, f"{name}{turn}") for name in "xy"]
        async with ledger_bank(file) as app, asyncio.timeout(30):
            head = await app.log.head()
            while await app.log.head() < head + 150:
                await asyncio.sleep(0.01)
            for worker in workers:
                worker.kill()
                await worker.wait()
    async with ledger_bank(file) as app:
        assert await refuse_other_moves(app) >= 300


@pytest.mark.parametrize("asked", [False, True], ids=["between-batches", "in-a-commit"])
async def test_an_app_that_is_left_doubles_and_loses_nothing(
    file: str, asked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the second case a commit is on its way, and nobody hears of it."""
    async with bank(file, read=[], answer=[]) as app:
        await asyncio.gather(*[app.execute(Put("a", 1 + n % 5)) for n in range(100)])
    execute = SqliteViews.execute
    calls = 0
    left = asyncio.Event()

    async def executing(self_: SqliteViews, *args: Any, **more: Any) -> bool:
        nonlocal calls
        calls += 1
        if calls % 4:
            return await execute(self_, *args, **more)
        commit = asyncio.ensure_future(execute(self_, *args, **more)) if asked else None
        await asyncio.sleep(0)
        left.set()
        await asyncio.Event().wait()
        return commit is not None

    with monkeypatch.context() as patch:
        patch.setattr(projecting, "STATEMENTS_OF", 7)
        patch.setattr(SqliteViews, "execute", executing)
        for _ in range(3):
            left.clear()
            async with ledger_bank(file):
                await left.wait()
    async with ledger_bank(file) as app:
        assert await refuse_other_moves(app) == 100


async def test_a_log_that_is_longer_than_a_transaction_is_taken_whole(file: str) -> None:
    count = 2 * projecting.STATEMENTS_OF + 7
    async with ledger_bank(file) as app:
        await asyncio.gather(*[app.execute(Put("a", 1 + n % 5)) for n in range(count)])
        assert await refuse_other_moves(app) == count


async def test_a_store_with_too_much_to_do_is_no_events_fault(
    file: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    execute = SqliteViews.execute
    refusals = 1

    async def executing(self_: SqliteViews, *args: Any, **more: Any) -> bool:
        nonlocal refusals
        if refusals:
            refusals -= 1
            raise Overloaded(1)
        return await execute(self_, *args, **more)

    monkeypatch.setattr(SqliteViews, "execute", executing)
    async with ledger_bank(file) as app:
        await app.execute(Put("a", 1))
        assert await refuse_other_moves(app) == 1
    assert "Overloaded" in caplog.text
    assert "ProjectionFailed" not in caplog.text


@pytest.mark.parametrize("how", ["text", "session"])
async def test_what_may_read_any_table_waits_for_it(file: str, how: str) -> None:
    async def by_text(views: Views) -> int:
        return await views.scalar(int, text("SELECT count(*) FROM moves"))

    async def by_session(views: Views) -> int:
        return await views.run(lambda session: len(session.execute(select(moves)).all()))

    function: Callable[[Views], Any] = by_text if how == "text" else by_session
    async with ledger_bank(file, answer=[asking(function)]) as app:
        for _ in range(20):
            receipt = await app.execute(Put("a", 1))
            assert await app.ask(Ask(), after=receipt) == receipt.position
