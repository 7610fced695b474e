"""The store on PostgreSQL keeps the contract, also when others write to the same database."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from diptych.adapters.postgres.address import address
from diptych.adapters.postgres.store import PostgresStore
from diptych.errors import ForeignStore
from diptych.log.names import Stamp
from diptych.log.port import Store
from tests.contract.commits import (
    CONTEXT,
    WAITING,
    append,
    happened,
)
from tests.contract.sharing import Sharing
from tests.contract.store_contract import StoreContract


class TestPostgresStore(StoreContract, Sharing):
    @pytest.fixture
    async def store(self, postgres: str) -> AsyncIterator[Store]:
        store = PostgresStore(address(postgres), waiting=WAITING)
        await store.open(CONTEXT, [])
        yield store
        await store.close()

    @pytest.fixture
    async def other(self, store: Store, postgres: str) -> AsyncIterator[Store]:
        """Another store object on the same database."""
        other = PostgresStore(address(postgres), waiting=WAITING)
        await other.open(CONTEXT, [])
        yield other
        await other.close()

    async def test_another_context_is_refused(self, store: Store, postgres: str) -> None:
        await happened(store, append("s:1", 0))
        with pytest.raises(ForeignStore, match=r"belongs to context 'contract'.*of its own"):
            await PostgresStore(address(postgres), waiting=1).open(
                "another", [Stamp("event", "x", 1, {})]
            )
