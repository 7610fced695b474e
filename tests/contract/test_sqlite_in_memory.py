"""SQLite in memory keeps the contracts of a file, and is gone when it is closed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from diptych.adapters.sqlite.store import SqliteStore
from diptych.adapters.sqlite.views import ViewsBesideLog
from diptych.log.commit import Appended
from diptych.log.port import Store
from diptych.read.port import SqlViewStore
from tests.contract.commits import CONTEXT, WAITING, append, happened
from tests.contract.store_contract import StoreContract
from tests.contract.view_rows import ORIGIN
from tests.contract.view_sessions import ManyMoments
from tests.contract.view_store_contract import ALL_SHAPES, SqlViewStoreContract


@pytest.fixture
async def opened() -> AsyncIterator[SqliteStore]:
    store = SqliteStore(None, waiting=WAITING)
    await store.open(CONTEXT, [])
    yield store
    await store.close()


class TestStore(StoreContract):
    @pytest.fixture
    def store(self, opened: SqliteStore) -> Store:
        return opened

    async def test_close_waits_for_what_was_taken_and_the_store_opens_again(
        self, store: Store
    ) -> None:
        """Empty, that is: elsewhere the events are still there."""
        taken = [asyncio.ensure_future(store.commit(append("s:1", n))) for n in range(20)]
        await store.close()
        assert [type(await future) for future in taken] == [Appended] * 20
        await store.open(CONTEXT, [])
        assert await store.head() == 0


class TestViews(SqlViewStoreContract, ManyMoments):
    @pytest.fixture
    def path(self, opened: SqliteStore) -> Path:
        return opened.path

    @pytest.fixture
    async def views(self, opened: SqliteStore) -> AsyncIterator[SqlViewStore]:
        views = ViewsBesideLog(opened)
        await views.open(ALL_SHAPES, origin=ORIGIN)
        yield views
        await views.close()


async def test_it_is_gone_when_it_is_closed_and_begins_anew() -> None:
    store = SqliteStore(None, waiting=WAITING)
    await store.open(CONTEXT, [])
    folder, epoch = store.path.parent, store.epoch
    await happened(store, append("s", 0))
    assert [file.name for file in folder.iterdir() if file.suffix == ".db"] == ["memory.db"]
    await store.close()
    assert not folder.exists()
    await store.open(CONTEXT, [])
    assert (await store.head(), store.epoch == epoch) == (0, False)
    await store.close()


async def test_two_of_them_are_strangers() -> None:
    stores = [SqliteStore(None, waiting=WAITING) for _ in range(2)]
    for number, store in enumerate(stores):
        await store.open(f"context {number}", [])
    await happened(stores[0], append("s", 0))
    assert [await store.head() for store in stores] == [1, 0]
    for store in stores:
        await store.close()


async def test_one_that_cannot_be_opened_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def fail(*_: object) -> None:
        raise LookupError

    monkeypatch.setattr("diptych.adapters.sqlite.store.prepare_log", fail)
    with pytest.raises(LookupError):
        await SqliteStore(None, waiting=WAITING).open(CONTEXT, [])
    assert list(tmp_path.iterdir()) == []
