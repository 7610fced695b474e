"""Views in the file of the log keep the contract, also when others move them on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from diptych.adapters.sqlite.store import SqliteStore
from diptych.adapters.sqlite.views import ViewsBesideLog
from diptych.read.port import ViewStore
from tests.contract.commits import CONTEXT, WAITING
from tests.contract.read_only import ReadOnlyFiles
from tests.contract.view_rows import COUNTS, ORIGIN, Count, put
from tests.contract.view_sessions import ManyMoments
from tests.contract.view_store_contract import ALL_SHAPES, SqlViewStoreContract


async def opened(path: Path, stack: AsyncExitStack) -> ViewStore:
    """Views on a file, closed with the stack."""
    store = SqliteStore(path, waiting=WAITING)
    await store.open(CONTEXT, [])
    stack.push_async_callback(store.close)
    views = ViewsBesideLog(store)
    await views.open(ALL_SHAPES, origin=ORIGIN)
    stack.push_async_callback(views.close)
    return views


class TestSqliteViews(SqlViewStoreContract, ReadOnlyFiles, ManyMoments):
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        return tmp_path / "views.db"

    @pytest.fixture
    async def views(self, path: Path) -> AsyncIterator[ViewStore]:
        async with AsyncExitStack() as stack:
            yield await opened(path, stack)

    @pytest.fixture
    async def other(self, views: ViewStore, path: Path) -> AsyncIterator[ViewStore]:
        """Another object on the same file."""
        async with AsyncExitStack() as stack:
            yield await opened(path, stack)

    async def test_what_another_object_saves_is_there(
        self, views: ViewStore, other: ViewStore
    ) -> None:
        await put(other, COUNTS, Count("a", 1))
        assert (await views.load(COUNTS, [("a",)])).rows == {("a",): Count("a", 1)}
        assert not await views.save(COUNTS, [], [], expected=0, position=1)

    async def test_a_checkpoint_that_another_object_moves_is_waited_for(
        self, views: ViewStore, other: ViewStore
    ) -> None:
        waiting = asyncio.create_task(views.wait(COUNTS, 1))
        await asyncio.sleep(0.05)
        await put(other, COUNTS, Count("a", 1))
        await asyncio.wait_for(waiting, 5)

    async def test_a_file_that_is_closed_and_opened_again_has_its_rows(
        self, views: ViewStore, path: Path
    ) -> None:
        await put(views, COUNTS, Count("a", 1))
        await views.close()
        async with AsyncExitStack() as stack:
            again = await opened(path, stack)
            loaded = await again.load(COUNTS, [("a",)])
        assert (loaded.position, loaded.rows) == (1, {("a",): Count("a", 1)})
