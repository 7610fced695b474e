"""A process that has a store open says so, and what it keeps going; and when it goes."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path

import asyncpg
import pytest

from diptych import App
from diptych.adapters.opening import build_inspection, build_pausing
from diptych.errors import ForeignStore, NotSettled, Stale, StoreUnavailable
from diptych.log.inspection import Process, Standing
from diptych.log.pauses import Pause
from diptych.log.presence import SILENT, ViewProgress
from diptych.subscription.presence import Presence
from tests.integration.dumps import path_of
from tests.integration.pots import Put, TotalOf, bank
from tests.integration.test_inline_views import inline_bank


async def seen(file: str) -> Standing:
    inspection = build_inspection(file)
    assert inspection is not None
    return await inspection.standing()


async def heard(file: str, ready: int = 1) -> Sequence[Process]:
    """The processes, once so many are there whose views have got somewhere."""
    while True:
        found = (await seen(file)).processes
        if sum(p.left is None and all(v.position for v in p.views) for p in found) >= ready:
            return found
        await asyncio.sleep(0.01)


async def opened(app: App) -> None:
    await app.execute(Put("a", 1))
    await app.settled()


async def test_an_open_app_is_there_with_its_views(kept: str) -> None:
    async with bank(kept) as app:
        await opened(app)
        (process,) = await heard(kept)
        assert process.left is None
        assert [view.view for view in process.views] == ["total@1"]
        assert (await seen(kept)).checkpoints["total@1"].position == 1
    (process,) = (await seen(kept)).processes
    assert process.left is not None


async def test_two_apps_are_two_processes(kept: str) -> None:
    async with bank(kept) as one, bank(kept) as other:
        await opened(one)
        await opened(other)
        assert len(await heard(kept, 2)) == 2


async def test_who_ended_is_forgotten_when_another_does_its_work(kept: str) -> None:
    for _ in range(3):
        async with bank(kept) as app:
            await opened(app)
            await heard(kept)
    assert len((await seen(kept)).processes) == 1


async def test_who_vanished_is_forgotten_only_when_another_does_its_work(kept: str) -> None:
    async with bank(kept) as app:
        await opened(app)
        await heard(kept)
    await vanished(kept, "same", view="total@1")
    await vanished(kept, "other", view="older@1")
    async with bank(kept) as app:
        await opened(app)
        ids = {process.id for process in await heard(kept)}
        assert "other" in ids
        assert "same" not in ids


async def vanished(url: str, id: str, *, view: str) -> None:
    """A row of a process that was killed a while ago."""
    long_ago = 1_000_000
    views = f'[{{"view": "{view}", "position": 0, "target": 0}}]'
    insert = (
        f"INSERT INTO diptych_processes VALUES ('{id}', 'h', '', 1, {long_ago}, {long_ago}, NULL, "
        f"'{views}')"
    )
    if url.startswith("postgresql"):
        session = await asyncpg.connect(url)
        await session.execute(insert)
        await session.close()
        return
    connection = sqlite3.connect(path_of(url))
    connection.execute(insert)
    connection.commit()
    connection.close()


class Flaky:
    """A store that can be written sometimes."""

    def __init__(self, *failing: bool) -> None:
        self.failing = list(failing)
        self.told: list[Sequence[ViewProgress]] = []
        self.left = 0

    async def attend(self, views: Sequence[ViewProgress]) -> None:
        if self.failing and self.failing.pop(0):
            raise StoreUnavailable("not now. Try again.")
        self.told.append(views)

    async def leave(self) -> None:
        self.left += 1
        raise StoreUnavailable("not now. Try again.")


class Nothing:
    """A process without views."""

    def progress(self) -> Sequence[ViewProgress]:
        return ()

    def pause(self, checkpoint: str, reason: str | None) -> None: ...


async def test_a_store_that_cannot_be_written_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("diptych.subscription.presence.TICK", 0.001)
    store = Flaky(True, True, False)
    presence = Presence(store, Nothing())
    await presence.leave()
    assert store.left == 0  # nobody knew
    presence.start()
    while not store.told:
        await asyncio.sleep(0.001)
    await presence.leave()
    assert store.left == 1
    assert [record.levelname for record in caplog.records] == ["WARNING"]


async def test_a_view_that_somebody_paused_stands_still_until_its_time_is_over(
    kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("diptych.subscription.presence.TICK", 0.01)
    pausing = build_pausing(kept)
    assert pausing is not None
    async with bank(kept) as app:
        await opened(app)
    await pausing.pause(until("total@1", 3600), context="bank")
    async with bank(kept) as app:  # it is paused from the first moment on
        receipt = await app.execute(Put("a", 1))
        with pytest.raises(Stale, match="paused by ann: migration"):
            await app.ask(TotalOf("a"), after=receipt, timeout=0.3)
        with pytest.raises(NotSettled, match="paused by ann"):
            await app.settled(timeout=0.1)
        (process,) = await heard(kept, 0)
        while not (process.views[0].paused and process.views[0].position):
            (process,) = await heard(kept, 0)
        assert process.views[0].position == 1
        await pausing.pause(until("total@1", 0.2), context="bank")
        assert (await app.ask(TotalOf("a"), after=receipt, timeout=30)).amount == 2
        await pausing.pause(until("total@1", 3600), context="bank")
        ended = await pausing.resume("total@1", context="bank")
        assert ended is not None
        assert await pausing.resume("total@1", context="bank") is None
        await app.execute(Put("a", 1))
        await app.settled(timeout=30)


def until(view: str, seconds: float) -> Pause:
    since = time.time_ns() // 1000
    end = since + int(seconds * 1_000_000)
    return Pause(view=view, by="ann", reason="migration", since=since, until=end)


async def test_a_pause_is_written_into_a_store_of_that_context_only(
    file: str, tmp_path: Path
) -> None:
    pausing = build_pausing(file)
    assert pausing is not None
    with pytest.raises(StoreUnavailable, match="there is no such file"):
        await pausing.pause(until("total@1", 60), context="bank")
    assert list(tmp_path.iterdir()) == []
    async with bank(file) as app:
        await app.execute(Put("a", 1))
    with pytest.raises(ForeignStore, match="belongs to context 'bank'"):
        await pausing.pause(until("total@1", 60), context="shop")
    assert (await seen(file)).pauses == {}
    connection = sqlite3.connect(path_of(file))
    connection.execute("DROP TABLE diptych_pauses")
    connection.commit()
    connection.close()
    with pytest.raises(StoreUnavailable, match="Start the app once"):
        await pausing.resume("total@1", context="bank")
    assert (await seen(file)).pauses == {}


async def test_an_inline_view_cannot_stand_still(kept: str) -> None:
    pausing = build_pausing(kept)
    assert pausing is not None
    async with bank(kept) as app:
        await app.execute(Put("a", 1))
    await pausing.pause(until("total@1", 3600), context="bank")
    async with inline_bank(kept) as app:
        await app.execute(Put("a", 1))
        await app.settled(timeout=30)


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
