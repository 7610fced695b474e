"""A process that has a store open says so, and what it keeps going; and when it goes."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest

from diptych import App
from diptych.adapters.opening import build_inspection
from diptych.errors import StoreUnavailable
from diptych.log.inspection import Process, Standing
from diptych.log.presence import SILENT, Followed
from diptych.subscription.presence import Presence
from tests.integration.dumps import path_of
from tests.integration.pots import Put, bank


async def seen(file: str) -> Standing:
    inspection = build_inspection(file)
    assert inspection is not None
    return await inspection.standing()


async def heard(file: str, ready: int = 1) -> Sequence[Process]:
    """The processes, once so many are there whose views are filled."""
    while True:
        found = (await seen(file)).processes
        if sum(p.left is None and all(v.filled for v in p.views) for p in found) >= ready:
            return found
        await asyncio.sleep(0.01)


async def opened(app: App) -> None:
    await app.execute(Put("a", 1))
    await app.settled()


async def test_an_open_app_is_there_with_its_views(file: str) -> None:
    async with bank(file) as app:
        await opened(app)
        (process,) = await heard(file)
        assert process.left is None
        assert [view.view for view in process.views] == ["total@1"]
        assert (await seen(file)).filled.keys() == {"total@1"}
    (process,) = (await seen(file)).processes
    assert process.left is not None


async def test_two_apps_are_two_processes(file: str) -> None:
    async with bank(file) as one, bank(file) as other:
        await opened(one)
        await opened(other)
        assert len(await heard(file, 2)) == 2


async def test_who_ended_is_forgotten_when_another_does_its_work(file: str) -> None:
    for _ in range(3):
        async with bank(file) as app:
            await opened(app)
            await heard(file)
    assert len((await seen(file)).processes) == 1


async def test_who_vanished_is_forgotten_only_when_another_does_its_work(file: str) -> None:
    async with bank(file) as app:
        await opened(app)
        await heard(file)
    vanished(file, "same", view="total@1")
    vanished(file, "other", view="older@1")
    async with bank(file) as app:
        await opened(app)
        ids = {process.id for process in await heard(file)}
        assert "other" in ids
        assert "same" not in ids


def vanished(file: str, id: str, *, view: str) -> None:
    """A row of a process that was killed a while ago."""
    long_ago = 1_000_000
    views = f'[{{"view": "{view}", "position": 0, "filled": true}}]'
    connection = sqlite3.connect(path_of(file))
    connection.execute(
        "INSERT INTO diptych_processes VALUES (?, 'h', '', 1, ?, ?, NULL, ?)",
        (id, long_ago, long_ago, views),
    )
    connection.commit()
    connection.close()


class Flaky:
    """A store that can be written sometimes."""

    def __init__(self, *failing: bool) -> None:
        self.failing = list(failing)
        self.told: list[Sequence[Followed]] = []
        self.left = 0

    async def attend(self, views: Sequence[Followed]) -> None:
        if self.failing and self.failing.pop(0):
            raise StoreUnavailable("not now. Try again.")
        self.told.append(views)

    async def leave(self) -> None:
        self.left += 1
        raise StoreUnavailable("not now. Try again.")


async def test_a_store_that_cannot_be_written_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("diptych.subscription.presence.TICK", 0.001)
    store = Flaky(True, True, False)
    presence = Presence(store, {})
    await presence.leave()
    assert store.left == 0  # nobody knew
    task = asyncio.create_task(presence.run())
    while not store.told:
        await asyncio.sleep(0.001)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await presence.leave()
    assert store.left == 1
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_a_beat_may_be_missed_twice_before_a_process_counts_as_silent() -> None:
    from diptych.log.presence import BEAT

    assert SILENT >= 3 * BEAT


async def test_signs_of_life_take_nobodys_place(tmp_path: Path) -> None:
    """With room for one command at a time, ten in a row are taken."""
    from diptych import Limits

    file = f"sqlite:///{tmp_path}/bank.db"
    async with bank(file, limits=Limits(waiting=1)) as app:
        for _ in range(10):
            await app.execute(Put("a", 1))
