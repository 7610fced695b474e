"""The store on PostgreSQL keeps the contract, also when others write to the same database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from diptych.adapters.postgres.address import address
from diptych.adapters.postgres.store import PostgresStore
from diptych.errors import ForeignStore, Overloaded
from diptych.log.commit import Appended, Conflict, Settled
from diptych.log.names import Stamp
from diptych.log.port import Store
from tests.contract.commits import (
    CONTEXT,
    WAITING,
    append,
    command,
    event,
    everything,
    happened,
    new_id,
    outcome,
    version,
)
from tests.contract.store_contract import StoreContract


class TestPostgresStore(StoreContract):
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

    async def test_two_objects_on_one_database_are_one_log(
        self, store: Store, other: Store
    ) -> None:
        assert other.epoch == store.epoch
        await happened(store, append("s:1", 0))
        assert isinstance(await other.commit(append("s:1", 0)), Conflict)
        await happened(other, append("s:1", 1))
        assert await version(store, "s:1") == 2
        assert [e.position for e in await everything(store)] == [1, 2]

    async def test_an_outcome_is_found_through_another_object(
        self, store: Store, other: Store
    ) -> None:
        await happened(store, command("s:1", 0, event(), id="c-1", outcome=outcome()))
        again = command("s:1", 0, event(), id="c-1", outcome=outcome())
        assert isinstance(await other.commit(again), Settled)

    async def test_two_objects_that_write_at_once_lose_nothing(
        self, store: Store, other: Store
    ) -> None:
        async def write(mine: Store) -> list[str]:
            ids = [new_id() for _ in range(40)]
            for id in ids:
                assert isinstance(await mine.commit(append("s:1", None, id=id)), Appended)
            return ids

        one, two = await asyncio.gather(write(store), write(other))
        causes = [e.causation for e in await everything(store)]
        assert sorted(causes) == sorted(one + two)
        assert [id for id in causes if id in one] == one
        assert [id for id in causes if id in two] == two

    async def test_more_than_may_wait_are_refused_at_once(self, store: Store) -> None:
        taken = [store.commit(append("s:1", None)) for _ in range(WAITING)]
        with pytest.raises(Overloaded) as overloaded:
            store.commit(append("s:1", None))
        assert overloaded.value.waiting == WAITING
        for awaitable in taken:
            assert isinstance(await awaitable, Appended)
        assert isinstance(await store.commit(append("s:1", None)), Appended)
        assert await version(store, "s:1") == WAITING + 1

    async def test_news_of_another_object_wake(self, store: Store, other: Store) -> None:
        assert isinstance(store, PostgresStore)
        waiting = asyncio.create_task(store.wait_for_news(0))
        await asyncio.sleep(0.05)
        await happened(other, append("s:1", 0))
        await asyncio.wait_for(waiting, 5)

    async def test_another_context_is_refused(self, store: Store, postgres: str) -> None:
        await happened(store, append("s:1", 0))
        with pytest.raises(ForeignStore, match=r"belongs to context 'contract'.*of its own"):
            await PostgresStore(address(postgres), waiting=1).open(
                "another", [Stamp("event", "x", 1, {})]
            )
