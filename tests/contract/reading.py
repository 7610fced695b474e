"""Reading the log: in one order, in pages, by stream, by name; and being woken."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from diptych.log.port import Store, Wakes
from tests.contract.commits import append, event, everything, happened


class Reading:
    @pytest.mark.parametrize("limit", [1, 2, 3, 7, 1000])
    async def test_pages_of_any_size_give_the_same_log(self, store: Store, limit: int) -> None:
        for number in range(7):
            await happened(store, append(f"s:{number % 3}", None, event(text=str(number))))
        found = await everything(store, limit=limit)
        assert [e.data for e in found] == [event(text=str(n)).data for n in range(7)]

    async def test_a_full_page_is_complete_through_its_last_event(self, store: Store) -> None:
        for _ in range(5):
            await happened(store, append("s:1", None))
        batch = await store.read_all(after=0, limit=3)
        assert len(batch.events) == 3
        assert batch.through == batch.events[-1].position

    async def test_the_last_page_is_complete_through_the_head(self, store: Store) -> None:
        for _ in range(5):
            await happened(store, append("s:1", None))
        batch = await store.read_all(after=3, limit=10)
        assert [e.version for e in batch.events] == [4, 5]
        assert batch.through == await store.head()

    async def test_at_the_head_there_is_nothing_more(self, store: Store) -> None:
        head = (await happened(store, append("s:1", 0))).position
        batch = await store.read_all(after=head, limit=10)
        assert (list(batch.events), batch.through) == ([], head)

    async def test_beyond_the_head_nothing_is_promised(self, store: Store) -> None:
        await happened(store, append("s:1", 0))
        batch = await store.read_all(after=99, limit=10)
        assert (list(batch.events), batch.through) == ([], 99)

    @pytest.mark.parametrize("limit", [1, 2, 1000])
    async def test_names_leave_the_others_out_and_still_reach_the_head(
        self, store: Store, limit: int
    ) -> None:
        for name in ["noted", "other", "other", "noted", "third", "other", "other"]:
            await happened(store, append("s:1", None, event(name)))
        named = await everything(store, limit=limit, names=["noted", "third"])
        assert [e.name for e in named] == ["noted", "noted", "third"]
        assert await everything(store, limit=limit, names=["never"]) == []

    async def test_a_stream_is_read_after_a_version_and_beyond_a_position(
        self, store: Store
    ) -> None:
        for stream in ["s:1", "s:2", "s:1", "s:1", "s:2"]:
            await happened(store, append(stream, None))
        read = store.read_stream
        assert [e.version for e in await read("", "s:1", after=0, limit=10)] == [1, 2, 3]
        assert [e.version for e in await read("", "s:1", after=1, limit=10)] == [2, 3]
        assert [e.version for e in await read("", "s:1", after=0, limit=2)] == [1, 2]
        third = (await read("", "s:1", after=1, limit=1))[0].position
        beyond = await read("", "s:1", after=0, limit=10, beyond=third)
        assert [e.version for e in beyond] == [3]
        assert list(await read("", "s:9", after=0, limit=10)) == []

    @pytest.mark.parametrize("limit", [1, 2, 1000])
    async def test_pages_of_a_stream_say_what_its_events_say(
        self, store: Store, limit: int
    ) -> None:
        for number, name in enumerate(["noted", "other", "noted", "noted", "third"]):
            await happened(store, append("s:1", None, event(name, text=f"ä{number}")))
            await happened(store, append("s:2", None, event(text="else")))
        after, seen = 0, 0
        while True:
            page = await store.read_page("", "s:1", after=after, limit=limit)
            events = await store.read_stream("", "s:1", after=after, limit=limit)
            names = [e.name for e in events]
            assert list(page.names) == names
            data = msgspec.json.decode(page.data) if events else []
            assert data == [msgspec.json.decode(e.data) for e in events]
            if events:
                assert page.schema == 1
            seen += len(events)
            if len(events) < limit:
                break
            after = events[-1].version
        assert seen == 5

    async def test_a_stream_that_is_not_there_has_an_empty_page(self, store: Store) -> None:
        await happened(store, append("s:1", 0))
        for tenant, stream, after in [("", "s:9", 0), ("other", "s:1", 0), ("", "s:1", 1)]:
            page = await store.read_page(tenant, stream, after=after, limit=10)
            assert (bytes(page.data), list(page.names)) == (b"[]", [])

    async def test_many_streams_are_read_at_once(self, store: Store) -> None:
        for number in range(40):
            await happened(store, append(f"s:{number}", 0, *[event()] * (number % 4 + 1)))
        pages = await asyncio.gather(
            *[store.read_page("", f"s:{n}", after=0, limit=100) for n in range(40)]
        )
        assert [len(page.names) for page in pages] == [n % 4 + 1 for n in range(40)]
        streams = await asyncio.gather(
            *[store.read_stream("", f"s:{n}", after=1, limit=2) for n in range(40)]
        )
        assert [[e.version for e in found] for found in streams] == [
            list(range(2, n % 4 + 2))[:2] for n in range(40)
        ]

    async def test_whoever_waits_for_news_is_woken_by_a_commit(self, store: Store) -> None:
        assert isinstance(store, Wakes)
        waiting = [asyncio.create_task(store.wait_for_news(0)) for _ in range(3)]
        await asyncio.sleep(0.05)
        assert not any(task.done() for task in waiting)
        await happened(store, append("s:1", 0))
        await asyncio.wait_for(asyncio.gather(*waiting), 5)

    async def test_news_that_came_before_are_not_waited_for(self, store: Store) -> None:
        assert isinstance(store, Wakes)
        await happened(store, append("s:1", 0))
        await asyncio.wait_for(store.wait_for_news(0), 5)

    async def test_closing_lets_those_go_who_wait(self, store: Store) -> None:
        assert isinstance(store, Wakes)
        waiting = asyncio.create_task(store.wait_for_news(10))
        await asyncio.sleep(0.01)
        await store.close()
        await asyncio.wait_for(waiting, 5)

    async def test_a_reader_beside_a_writer_sees_one_ascending_order(self, store: Store) -> None:
        async def write() -> None:
            for number in range(60):
                await happened(store, append(f"s:{number % 4}", None))

        writing = asyncio.create_task(write())
        seen: list[tuple[int, str, int]] = []
        after = 0
        while not writing.done() or after < await store.head():
            batch = await store.read_all(after=after, limit=5)
            seen += [(e.position, e.stream, e.version) for e in batch.events]
            after = batch.through
            await asyncio.sleep(0)
        await writing
        assert [position for position, _, _ in seen] == sorted({p for p, _, _ in seen})
        assert len(seen) == 60
        for stream in {stream for _, stream, _ in seen}:
            versions = [version for _, name, version in seen if name == stream]
            assert versions == list(range(1, 16))
