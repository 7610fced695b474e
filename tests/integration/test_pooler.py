"""Behind a pooler that hands each transaction to another connection, a store is the same."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from diptych.adapters.postgres.address import address
from diptych.adapters.postgres.store import PostgresStore
from diptych.log.port import Store
from tests.contract.commits import CONTEXT, WAITING
from tests.contract.store_contract import StoreContract


class TestPostgresStoreBehindAPooler(StoreContract):
    @pytest.fixture
    async def store(self, pooled: str) -> AsyncIterator[Store]:
        store = PostgresStore(address(pooled), waiting=WAITING)
        await store.open(CONTEXT, [])
        yield store
        await store.close()
