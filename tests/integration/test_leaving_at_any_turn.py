"""An app may be left at any turn of the loop, wherever its views rest: nothing hangs or is left."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from diptych import App, View
from tests.integration.pots import Put, Total, bank, file_url, total, total_of


@pytest.mark.parametrize("place", [None, "memory://", "sqlite://", "file"])
async def test_an_app_is_left_at_any_turn_while_its_views_fill(
    place: str | None, tmp_path: Path
) -> None:
    log = file_url(tmp_path / "log.db")
    store = file_url(tmp_path / "views.db") if place == "file" else place

    def app() -> App:
        view = View(Total, total, key="pot", store=store)
        return bank(log, read=[view], answer=[total_of])

    async with bank(log, read=[], answer=[]) as writing:
        for n in range(20):
            await writing.execute(Put("a", n + 1))
    threads = set(threading.enumerate())
    async with asyncio.timeout(60):
        for turns in range(60):
            async with app():
                for _ in range(turns):
                    await asyncio.sleep(0)
    assert set(threading.enumerate()) <= threads
