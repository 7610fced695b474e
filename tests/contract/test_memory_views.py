"""Views of the store in Python keep the contract."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from diptych.adapters.memory.store import MemoryStore
from diptych.adapters.memory.views import MemoryViews
from diptych.read.port import ViewStore
from tests.contract.commits import CONTEXT
from tests.contract.read_only import ReadOnlyFiles
from tests.contract.view_rows import ORIGIN
from tests.contract.view_store_contract import ALL_SHAPES, SqlViewStoreContract


class TestMemoryViews(SqlViewStoreContract, ReadOnlyFiles):
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        return tmp_path / "never.db"

    @pytest.fixture
    async def views(self) -> AsyncIterator[ViewStore]:
        store = MemoryStore()
        await store.open(CONTEXT, [])
        views = MemoryViews(store)
        await views.open(ALL_SHAPES, origin=ORIGIN)
        yield views
        await views.close()
        await store.close()
