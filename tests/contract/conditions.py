"""Append conditions: exactly the events that were counted in, and no other."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from diptych.log.commit import Appended, Commit, Condition, Conflict, Tagged
from diptych.log.port import Store
from tests.contract.commits import (
    append,
    event,
    everything,
    happened,
    new_id,
    together,
    under,
)
from tests.contract.searching import searching

TAGS = ("x", "y", "z")

tag_sets = st.sets(st.sampled_from(TAGS), max_size=3)
items = st.lists(st.sets(st.sampled_from(TAGS), min_size=1), min_size=1, max_size=2)
histories = st.lists(st.tuples(st.sampled_from(("noted", "other")), tag_sets), max_size=8)


def on(
    condition: Condition, *, tags: tuple[str, ...] = (), id: str | None = None, name: str = "noted"
) -> Commit:
    """One event, if the condition holds."""
    return append("rule", None, event(name, tags=tags), id=id, condition=condition)


class Conditions:
    async def test_a_condition_holds_where_nothing_matches(self, store: Store) -> None:
        await happened(store, append("s:1", 0, event(tags=["y"])))
        assert isinstance(await store.commit(on(Condition(under("x"), 0))), Appended)

    async def test_a_matching_event_after_the_position_is_a_conflict(self, store: Store) -> None:
        before = await store.head()
        await happened(store, append("s:1", 0, event(tags=["x"])))
        answer = await store.commit(on(Condition(under("x"), before)))
        assert isinstance(answer, Conflict)
        assert (answer.expected, answer.found) == (before, None)
        assert len(await everything(store)) == 1

    async def test_a_matching_event_at_or_before_the_position_was_seen(self, store: Store) -> None:
        seen = (await happened(store, append("s:1", 0, event(tags=["x"])))).position
        assert isinstance(await store.commit(on(Condition(under("x"), seen))), Appended)

    async def test_an_event_matches_an_item_only_with_all_of_its_tags(self, store: Store) -> None:
        await happened(store, append("s:1", 0, event(tags=["x"])))
        both = Condition(under(("x", "y")), 0)
        assert isinstance(await store.commit(on(both)), Appended)
        await happened(store, append("s:2", 0, event(tags=["y", "x", "z"])))
        assert isinstance(await store.commit(on(both)), Conflict)

    async def test_one_of_several_items_is_enough(self, store: Store) -> None:
        await happened(store, append("s:1", 0, event(tags=["z"])))
        assert isinstance(await store.commit(on(Condition(under("x", "z"), 0))), Conflict)

    async def test_an_event_of_another_name_does_not_match(self, store: Store) -> None:
        await happened(store, append("s:1", 0, event("other", tags=["x"])))
        assert isinstance(await store.commit(on(Condition(under("x"), 0))), Appended)
        named = Condition(under("x", names=["noted", "other"]), 0)
        assert isinstance(await store.commit(on(named)), Conflict)

    async def test_events_that_were_counted_in_do_not_break_it(self, store: Store) -> None:
        answers = await together(
            store,
            on(Condition(under("x"), 0), tags=("x",), id="first"),
            on(Condition(under("x"), 0, frozenset({"first"})), tags=("x",), id="second"),
            on(Condition(under("x"), 0, frozenset({"first", "second"})), tags=("x",), id="third"),
        )
        assert [type(answer) for answer in answers] == [Appended] * 3

    async def test_what_was_counted_in_must_have_happened(self, store: Store) -> None:
        lost = Condition(under("x"), 0, frozenset({"lost"}))
        assert isinstance(await store.commit(on(lost)), Conflict)
        assert await everything(store) == []

    async def test_what_was_counted_in_must_carry_the_tags(self, store: Store) -> None:
        await happened(store, append("s:1", 0, event(tags=["y"]), id="elsewhere"))
        elsewhere = Condition(under("x"), 0, frozenset({"elsewhere"}))
        assert isinstance(await store.commit(on(elsewhere)), Conflict)

    async def test_one_stranger_beside_what_was_counted_in_is_a_conflict(
        self, store: Store
    ) -> None:
        answers = await together(
            store,
            on(Condition(under("x"), 0), tags=("x",), id="first"),
            append("s:9", 0, event(tags=["x"]), id="stranger"),
            on(Condition(under("x"), 0, frozenset({"first"})), id="second"),
        )
        assert [type(answer) for answer in answers] == [Appended, Appended, Conflict]

    async def test_what_was_counted_in_counts_only_after_the_position(self, store: Store) -> None:
        position = (await happened(store, append("s:1", 0, event(tags=["x"]), id="old"))).position
        twice = Condition(under("x"), position, frozenset({"old"}))
        assert isinstance(await store.commit(on(twice)), Conflict)

    async def test_a_failed_condition_writes_nothing_of_its_commit(self, store: Store) -> None:
        await happened(store, append("s:1", 0, event(tags=["x"])))
        head = await store.head()
        assert isinstance(await store.commit(on(Condition(under("x"), 0))), Conflict)
        assert await store.head() == head

    async def test_another_tenant_s_events_do_not_match(self, store: Store) -> None:
        await happened(store, append("s:1", 0, event(tags=["x"]), tenant="other"))
        assert isinstance(await store.commit(on(Condition(under("x"), 0))), Appended)

    async def test_tagged_events_are_read_after_a_position_and_up_to_the_head(
        self, store: Store
    ) -> None:
        first = await happened(store, append("s:1", 0, event(tags=["x"]), event(tags=["x", "y"])))
        second = await happened(store, append("s:2", 0, event(tags=["y"])))
        batch = await store.read_tagged("", under("x", "y"), after=first.position - 1)
        assert [e.position for e in batch.events] == [first.position, second.position]
        assert batch.through == await store.head()
        assert (await store.read_tagged("other", under("x"), after=0)).events == []

    @searching
    @given(
        history=histories, wanted=items, seen=st.integers(0, 8), counted=st.sets(st.integers(0, 7))
    )
    async def test_conditions_agree_with_a_plain_search(
        self,
        store: Store,
        history: list[tuple[str, set[str]]],
        wanted: list[set[str]],
        seen: int,
        counted: set[int],
    ) -> None:
        prefix = new_id()
        query = Tagged(("noted",), tuple(tuple(f"{prefix}{t}" for t in sorted(i)) for i in wanted))
        start = await store.head()
        positions = [start]
        ids: list[str] = []
        for name, tags in history:
            ids.append(new_id())
            tagged = event(name, tags=[f"{prefix}{tag}" for tag in tags])
            done = await happened(store, append(f"{prefix}:s", None, tagged, id=ids[-1]))
            positions.append(done.position)
        after = positions[min(seen, len(history))]
        expected = {
            ids[place]
            for place, (name, tags) in enumerate(history)
            if positions[place + 1] > after
            and name == "noted"
            and any(item <= tags for item in wanted)
        }
        besides = frozenset(ids[place] for place in counted if place < len(ids))
        found = await store.read_tagged("", query, after=after)
        assert {e.causation for e in found.events} == expected
        answer = await store.commit(
            append(f"{prefix}:r", None, condition=Condition(query, after, besides))
        )
        assert isinstance(answer, Appended if expected == besides else Conflict)
