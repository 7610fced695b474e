"""Reading the log through the app: by stream, by class, and on as it grows."""

from __future__ import annotations

import asyncio

from diptych import App, Principal, Recorded
from tests.integration.pots import Added, Book, Booked, Put, Removed, Take, bank


async def filled(app: App) -> None:
    """Seven events: a+, b+, a+, night, a-, night, b+."""
    for command in [
        Put("a", 1),
        Put("b", 2),
        Put("a", 3),
        Book("x", (1,)),
        Take("a", 1),
        Book("y", (1,)),
        Put("b", 4),
    ]:
        await app.execute(command)


async def test_the_whole_log_is_in_one_order(app: App) -> None:
    await filled(app)
    recorded = [one async for one in app.log.read()]
    assert [one.position for one in recorded] == [1, 2, 3, 4, 5, 6, 7]
    assert [one.stream for one in recorded] == [
        *["pot:a", "pot:b", "pot:a", "night", "pot:a", "night", "pot:b"]
    ]
    assert [one.name for one in recorded[3:5]] == ["booked", "removed"]
    assert await app.log.head() == 7


async def test_it_is_read_after_a_position(app: App) -> None:
    await filled(app)
    assert [one.position async for one in app.log.read(after=4)] == [5, 6, 7]
    assert [one async for one in app.log.read(after=7)] == []
    assert [one async for one in app.log.read(after=99)] == []


async def test_one_stream_is_read_by_its_name(app: App) -> None:
    await filled(app)
    recorded = [one async for one in app.log.read(stream="pot:a")]
    assert [(one.version, one.position) for one in recorded] == [(1, 1), (2, 3), (3, 5)]
    assert [one.version async for one in app.log.read(stream="pot:a", after=1)] == [2, 3]
    assert [one async for one in app.log.read(stream="pot:never")] == []


async def test_some_classes_are_read_by_their_types(app: App) -> None:
    await filled(app)
    assert [one.position async for one in app.log.read(types=[Booked, Removed])] == [4, 5, 6]
    found = [one.position async for one in app.log.read(types=[Added], stream="pot:a")]
    assert found == [1, 3]


async def test_a_stream_of_a_tenant_is_its_own(app: App) -> None:
    await app.execute(Put("a", 1), principal=Principal("x", tenant="one"))
    await app.execute(Put("a", 2))
    one = [r.event.amount async for r in app.log.read(stream="pot:a", tenant="one")]
    assert (one, [r.event.amount async for r in app.log.read(stream="pot:a")]) == ([1], [2])


async def test_a_long_log_is_read_in_pages(file: str) -> None:
    async with bank(file, read=[], answer=[]) as app:
        await asyncio.gather(*[app.execute(Put("a", 1)) for _ in range(2345)])
        assert len([one async for one in app.log.read()]) == 2345
        assert len([one async for one in app.log.read(stream="pot:a")]) == 2345
        assert [one async for one in app.log.read(types=[Booked])] == []


async def test_following_goes_on_as_events_come(app: App) -> None:
    await filled(app)
    seen: list[Recorded[object]] = []

    async def follow() -> None:
        async for recorded in app.log.follow(after=5, types=[Added, Booked]):
            seen.append(recorded)

    following = asyncio.create_task(follow())
    await asyncio.sleep(0.05)
    for _ in range(3):
        await app.execute(Put("c", 1))
        await app.execute(Take("c", 1))
    async with asyncio.timeout(5):
        while len(seen) < 5:
            await asyncio.sleep(0.005)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    assert [one.position for one in seen] == [6, 7, 8, 10, 12]


async def test_following_sees_what_another_app_writes(file: str) -> None:
    async with bank(file) as one, bank(file) as two:
        following = aiter(one.log.follow())
        first = asyncio.ensure_future(anext(following))
        await asyncio.sleep(0.05)
        await two.execute(Put("a", 1))
        assert (await asyncio.wait_for(first, 5)).stream == "pot:a"


async def test_an_event_whose_class_is_gone_is_read_as_its_fields(file: str) -> None:
    async with bank(file) as app:
        await filled(app)
    async with bank(file, write=[], read=[], answer=[]) as app:
        recorded = [one async for one in app.log.read()]
    assert [one.name for one in recorded[:4]] == ["added", "added", "added", "booked"]
    assert recorded[1].event["amount"] == 2
