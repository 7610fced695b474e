"""Where nothing but handlers writes, and most of it on the spot, the file is tidied all the same."""

from __future__ import annotations

import asyncio
import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest

from diptych import Limits
from diptych.adapters.sqlite import writer
from tests.integration.shop import Deliver, TakeOne, shop

PAGE = 4096 + 24


@pytest.fixture
def prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk on which every commit may go without a thread, and little is left lying about."""
    monkeypatch.setattr(writer, "PROMPT", 60.0)
    monkeypatch.setattr(writer, "PROMPT_IN_A_ROW", 0)
    monkeypatch.setattr(writer, "ON_THE_SPOT", 16)
    monkeypatch.setattr(writer, "WAL_PAGES", 40)
    monkeypatch.setattr(writer, "SWEEP", 32)


@pytest.mark.usefixtures("prompt")
async def test_the_wal_is_copied_and_old_outcomes_are_forgotten(tmp_path: Path) -> None:
    file = tmp_path / "shop.db"
    async with shop(file, limits=Limits(retention=timedelta(0))) as app:
        await app.execute(Deliver("tea", 1000))
        for _ in range(400):
            await app.execute(TakeOne("tea"))
        assert (tmp_path / "shop.db-wal").stat().st_size < 400 * PAGE
        connection = sqlite3.connect(file)
        (outcomes,) = connection.execute("SELECT count(*) FROM diptych_outcomes").fetchone()
        connection.close()
        assert outcomes < 200


@pytest.mark.usefixtures("prompt")
async def test_whoever_waits_for_the_lock_and_is_cancelled_waits_no_longer(tmp_path: Path) -> None:
    file = tmp_path / "shop.db"
    async with shop(file) as app:
        await app.execute(Deliver("tea", 10))
        stranger = sqlite3.connect(file, isolation_level=None)
        stranger.execute("BEGIN IMMEDIATE")
        waiting = asyncio.ensure_future(app.execute(TakeOne("tea")))
        await asyncio.sleep(0.05)
        waiting.cancel()
        done, _ = await asyncio.wait([waiting], timeout=5)  # the lock is waited for twice as long
        stranger.execute("ROLLBACK")
        stranger.close()
        assert done == {waiting}
        receipt = await app.execute(TakeOne("tea"))
        assert receipt.position == 2
