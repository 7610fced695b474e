"""Appends: positions, versions, expectations, and everything or nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from diptych.log.commit import Append, Appended, Commit, Conflict
from diptych.log.port import Store
from tests.contract.commits import (
    append,
    cause,
    event,
    everything,
    happened,
    new_id,
    together,
    version,
)
from tests.contract.searching import searching

STREAMS = ("a", "b", "c")

plans = st.lists(
    st.lists(
        st.tuples(
            st.sampled_from(STREAMS),
            st.one_of(st.none(), st.integers(0, 6)),
            st.integers(0, 3),
        ),
        min_size=1,
        max_size=6,
    ),
    max_size=5,
)
"""Groups of commits: a stream, the version expected of it, and how many events."""


class Appending:
    async def test_an_empty_log_has_its_head_at_zero(self, store: Store) -> None:
        assert await store.head() == 0
        assert await everything(store) == []

    async def test_an_append_says_its_position_and_the_stream_s_version(self, store: Store) -> None:
        first = await happened(store, append("s:1", 0))
        second = await happened(store, append("s:1", 1, event(), event()))
        assert second.position > first.position
        assert (first.versions, second.versions) == ((1,), (3,))
        assert await store.head() == second.position

    async def test_an_event_is_read_back_as_it_was_written(self, store: Store) -> None:
        await happened(store, append("s:1", 0, event("noted", text="ä✓"), id="c-7"))
        (stored,) = await everything(store)
        assert (stored.name, stored.schema, stored.data) == ("noted", 1, '{"text":"ä✓"}')
        assert (stored.stream, stored.version, stored.tenant) == ("s:1", 1, "")
        assert (stored.causation, stored.correlation) == ("c-7", "c-7-root")
        assert (stored.principal, stored.time) == ("tester", 1_000_000)

    async def test_another_version_than_expected_is_a_conflict_and_writes_nothing(
        self, store: Store
    ) -> None:
        await happened(store, append("s:1", 0))
        assert await store.commit(append("s:1", 0)) == Conflict("s:1", 0, 1)
        assert await store.commit(append("s:1", 2)) == Conflict("s:1", 2, 1)
        assert await version(store, "s:1") == 1

    async def test_without_an_expectation_versions_only_number_the_events(
        self, store: Store
    ) -> None:
        for number in (1, 2, 3):
            assert (await happened(store, append("s:1", None))).versions == (number,)

    async def test_an_append_without_events_only_compares(self, store: Store) -> None:
        head = (await happened(store, append("s:1", 0))).position
        looked = Commit(cause=cause(new_id()), appends=(Append("s:1", 1),))
        assert await store.commit(looked) == Appended(head, (1,))
        missed = Commit(cause=cause(new_id()), appends=(Append("s:1", 3),))
        assert await store.commit(missed) == Conflict("s:1", 3, 1)

    async def test_several_appends_of_a_commit_happen_together(self, store: Store) -> None:
        both = Commit(
            cause=cause(new_id()),
            appends=(Append("s:1", 0, (event(),)), Append("s:2", 0, (event(), event()))),
        )
        assert (await happened(store, both)).versions == (1, 2)
        assert [e.stream for e in await everything(store)] == ["s:1", "s:2", "s:2"]

    async def test_several_appends_of_a_commit_fail_together(self, store: Store) -> None:
        await happened(store, append("s:2", 0))
        both = Commit(
            cause=cause(new_id()),
            appends=(Append("s:1", 0, (event(),)), Append("s:2", 0, (event(),))),
        )
        assert await store.commit(both) == Conflict("s:2", 0, 1)
        assert await version(store, "s:1") == 0
        assert await version(store, "s:2") == 1

    async def test_an_append_upon_another_is_taken_in_the_same_group(self, store: Store) -> None:
        answers = await together(
            store,
            append("s:1", 0, id="first"),
            append("s:1", 1, id="second", upon="first"),
            append("s:1", 2, id="third", upon="second"),
        )
        assert [type(answer) for answer in answers] == [Appended] * 3
        assert await version(store, "s:1") == 3

    async def test_an_append_upon_one_that_fell_out_is_refused_though_the_version_fits(
        self, store: Store
    ) -> None:
        # "lost" comes too late; "stranger" has taken the place of its event.
        answers = await together(
            store,
            append("s:1", 0, id="stranger"),
            append("s:1", 0, id="lost"),
            append("s:1", 1, id="follower", upon="lost"),
        )
        assert [type(answer) for answer in answers] == [Appended, Conflict, Conflict]
        assert [e.causation for e in await everything(store)] == ["stranger"]

    async def test_an_append_upon_a_stranger_s_event_of_an_earlier_group_is_refused(
        self, store: Store
    ) -> None:
        await happened(store, append("s:1", 0, id="stranger"))
        assert isinstance(await store.commit(append("s:1", 1, upon="lost")), Conflict)
        assert isinstance(await store.commit(append("s:1", 1, upon="stranger")), Appended)

    @searching
    @given(plan=plans)
    async def test_interleaved_commits_agree_with_a_dictionary(
        self, store: Store, plan: list[list[tuple[str, int | None, int]]]
    ) -> None:
        prefix = new_id()
        start = await store.head()
        model: dict[str, list[str]] = {name: [] for name in STREAMS}
        order: list[tuple[str, int, str]] = []
        last = start
        for group in plan:
            commits = [
                append(f"{prefix}:{name}", expected, *[event()] * many)
                if many
                else Commit(cause=cause(new_id()), appends=(Append(f"{prefix}:{name}", expected),))
                for name, expected, many in group
            ]
            answers = await together(store, *commits)
            for (name, expected, many), commit, answer in zip(group, commits, answers, strict=True):
                stream = model[name]
                if expected is not None and expected != len(stream):
                    assert answer == Conflict(f"{prefix}:{name}", expected, len(stream))
                    continue
                assert commit.cause is not None
                for _ in range(many):
                    stream.append(commit.cause.id)
                    order.append((f"{prefix}:{name}", len(stream), commit.cause.id))
                assert isinstance(answer, Appended)
                assert answer.versions == (len(stream),)
                assert answer.position >= last
                last = answer.position
        stored = await everything(store, after=start)
        assert [(e.stream, e.version, e.causation) for e in stored] == order
        positions = [e.position for e in stored]
        assert positions == sorted(set(positions))
        assert await store.head() == last == max(positions, default=start)
