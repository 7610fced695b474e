"""`seen=`: a decision in front of a stale screen, with and without a rule that lets it pass."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from diptych import Boundary, EventSourced, Recorded, Refused, StreamConflict
from tests.integration.pots import (
    Added,
    AllTotals,
    Book,
    Put,
    Take,
    TotalOf,
    bank,
    night_tags,
    nights,
    pot_decider,
    pots,
    refuse_old_states,
)


def only_additions(command: object, missed: Sequence[Recorded[Any]]) -> bool:
    return all(isinstance(recorded.event, Added) for recorded in missed)


def odd_bookings(command: object, missed: Sequence[Recorded[Any]]) -> bool:
    return all(recorded.event.booking.startswith("odd") for recorded in missed)


merging_pots = EventSourced("pot", pot_decider, key="pot", merge=only_additions)
merging_nights = Boundary(
    "night", nights.decider, reads=night_tags, tags=night_tags, merge=odd_bookings
)


async def test_who_has_seen_everything_may_decide(url: str) -> None:
    async with bank(url) as app:
        seen = await app.execute(Put("a", 5))
        after = await app.execute(Take("a", 1), seen=seen)
        answer = await app.answer(TotalOf("a"), after=after)
        await app.execute(Take("a", 1), seen=answer)
        assert await refuse_old_states(app) == 3


async def test_who_has_not_seen_an_event_of_the_stream_may_not(url: str) -> None:
    async with bank(url) as app:
        seen = await app.execute(Put("a", 5))
        await app.execute(Put("a", 1))
        with pytest.raises(StreamConflict, match=r"pot:a .*decide again") as conflict:
            await app.execute(Take("a", 1), seen=seen)
        assert (conflict.value.expected, conflict.value.found) == (1, 2)
        assert await refuse_old_states(app) == 2


async def test_events_of_other_streams_do_not_matter(url: str) -> None:
    async with bank(url) as app:
        seen = await app.execute(Put("a", 5))
        await app.execute(Put("b", 1))
        await app.execute(Book("x", (1,)))
        await app.execute(Take("a", 1), seen=seen)


async def test_a_cold_stream_is_looked_at_too(file: str) -> None:
    async with bank(file) as app:
        seen = await app.execute(Put("a", 5))
        await app.execute(Put("a", 5))
    async with bank(file) as app:
        with pytest.raises(StreamConflict):
            await app.execute(Take("a", 1), seen=seen)


async def test_an_event_of_another_app_is_noticed(file: str) -> None:
    async with bank(file) as one, bank(file) as two:
        seen = await one.execute(Put("a", 5))
        await two.execute(Put("a", 5))
        with pytest.raises(StreamConflict):
            await one.execute(Take("a", 1), seen=seen)


async def test_a_merge_rule_lets_some_pass(url: str) -> None:
    async with bank(url, write=[merging_pots]) as app:
        seen = await app.execute(Put("a", 5))
        await app.execute(Put("a", 1))
        await app.execute(Put("a", 1))
        await app.execute(Take("a", 1), seen=seen)
        with pytest.raises(StreamConflict):
            await app.execute(Take("a", 1), seen=seen)
        assert await refuse_old_states(app) == 4


async def test_a_boundary_looks_at_its_tags(url: str) -> None:
    async with bank(url, write=[pots, merging_nights]) as app:
        seen = await app.answer(AllTotals())
        await app.execute(Book("odd-1", (1,)))
        await app.execute(Book("even-2", (2,)))
        await app.execute(Book("x", (1,)), seen=seen)
        with pytest.raises(StreamConflict, match="night"):
            await app.execute(Book("y", (2, 3)), seen=seen)
        await app.execute(Book("z", (3,)), seen=seen)


async def test_a_repetition_is_answered_although_its_screen_is_stale_by_now(url: str) -> None:
    async with bank(url) as app:
        seen = await app.execute(Put("a", 5))
        first = await app.execute(Take("a", 1), seen=seen, id="c-1")
        await app.execute(Put("a", 1))
        assert await app.execute(Take("a", 1), seen=seen, id="c-1") == first
        # Without seen= as well: it is not part of the command.
        assert await app.execute(Take("a", 1), id="c-1") == first


async def test_a_conflict_is_no_outcome(url: str) -> None:
    async with bank(url) as app:
        seen = await app.execute(Put("a", 5))
        newer = await app.execute(Put("a", 1))
        with pytest.raises(StreamConflict):
            await app.execute(Take("a", 1), seen=seen, id="c-1")
        assert (await app.execute(Take("a", 1), seen=newer, id="c-1")).version == 3


async def test_a_refusal_may_be_judged_on_what_was_seen(url: str) -> None:
    async with bank(url) as app:
        seen = await app.execute(Put("a", 5))
        with pytest.raises(Refused):
            await app.execute(Take("a", 9), seen=seen, id="c-1")


async def test_of_many_who_saw_the_same_screen_one_decides(url: str) -> None:
    async with bank(url) as app:
        for _ in range(5):
            seen = await app.execute(Put("a", 50))
            calls = [app.execute(Take("a", 1), seen=seen) for _ in range(20)]
            results = await asyncio.gather(*calls, return_exceptions=True)
            conflicts = [result for result in results if isinstance(result, StreamConflict)]
            assert len(conflicts) == 19, results
        await refuse_old_states(app)


async def test_of_many_who_saw_the_same_night_one_books(url: str) -> None:
    async with bank(url) as app:
        seen = await app.execute(Put("a", 1))
        calls = [app.execute(Book(f"b{n}", (1, n + 2)), seen=seen) for n in range(20)]
        results = await asyncio.gather(*calls, return_exceptions=True)
        conflicts = [result for result in results if isinstance(result, StreamConflict)]
        assert len(conflicts) == 19, results
        await refuse_old_states(app)
