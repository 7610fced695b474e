"""What a store must do that several may open.

A subclass gives two fixtures: `store` as for the contract, and `other`, another object on the same.
"""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from diptych.errors import Overloaded
from diptych.log.commit import Appended, Conflict, Settled
from diptych.log.port import Store, Wakes
from tests.contract.commits import (
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


class Sharing:
    """Two objects are one log, and write at once."""

    async def test_two_objects_are_one_log(self, store: Store, other: Store) -> None:
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
        waiting = asyncio.create_task(cast(Wakes, store).wait_for_news(0))
        await asyncio.sleep(0.05)
        await happened(other, append("s:1", 0))
        await asyncio.wait_for(waiting, 5)
