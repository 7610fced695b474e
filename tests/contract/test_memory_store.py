"""The store in Python keeps the contract."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from diptych.adapters.memory.store import MemoryStore
from diptych.adapters.memory.views import MemoryViews
from diptych.errors import ForeignStore
from diptych.log.port import Store
from tests.contract.commits import CONTEXT
from tests.contract.store_contract import StoreContract
from tests.contract.view_rows import ORIGIN


class TestMemoryStore(StoreContract):
    @pytest.fixture
    async def store(self) -> AsyncIterator[Store]:
        store = MemoryStore()
        await store.open(CONTEXT, [])
        views = MemoryViews(store)
        await views.open([], origin=ORIGIN)
        yield store
        await views.close()
        await store.close()

    async def test_another_context_is_refused(self) -> None:
        store = MemoryStore()
        await store.open(CONTEXT, [])
        await store.close()
        with pytest.raises(ForeignStore, match="belongs to 'contract'"):
            await store.open("another", [])
