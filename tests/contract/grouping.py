"""Groups: each commit is answered on its own, and what is wrong with one is its own affair."""

from __future__ import annotations

import asyncio

import pytest

from diptych.log.commit import (
    Advance,
    Append,
    Appended,
    Commit,
    Committed,
    Conflict,
    Rows,
)
from diptych.log.port import Store
from tests.contract.commits import (
    CONTEXT,
    append,
    cause,
    command,
    event,
    everything,
    happened,
    new_id,
    outcome,
    together,
    version,
)

POISON = Rows(table="no_such_table", columns=("a",), key=("a",), upserts=(("x",),))


def poisoned(stream: str, expected: int | None, *, id: str | None = None) -> Commit:
    """A commit that the database cannot write, whoever judges it."""
    return Commit(
        cause=cause(id or new_id()),
        appends=(Append(stream, expected, (event(),)),),
        outcome=outcome(),
        rows=(POISON,),
    )


class Grouping:
    async def test_a_conflict_fails_alone(self, store: Store) -> None:
        answers = await together(
            store, append("s:1", 0), append("s:1", 0), append("s:2", 0), append("s:1", 1)
        )
        assert [type(answer) for answer in answers] == [Appended, Conflict, Appended, Appended]
        assert [e.stream for e in await everything(store)] == ["s:1", "s:2", "s:1"]

    @pytest.mark.parametrize("place", [0, 3, 6])
    async def test_a_poisoned_commit_fails_alone(self, store: Store, place: int) -> None:
        commits = [append(f"s:{number}", 0) for number in range(6)]
        commits.insert(place, poisoned("s:bad", 0, id="bad"))
        answers = await together(store, *commits)
        assert isinstance(answers.pop(place), Exception)
        assert [type(answer) for answer in answers] == [Appended] * 6
        assert await version(store, "s:bad") == 0
        assert await store.outcome("", "bad") is None
        assert len(await everything(store)) == 6

    async def test_what_stands_on_a_poisoned_commit_falls_with_it(self, store: Store) -> None:
        answers = await together(
            store,
            append("s:1", 0, id="good"),
            poisoned("s:1", 1, id="bad"),
            append("s:1", 2, id="follower", upon="bad"),
            append("s:1", 1, id="other", upon="good"),
        )
        assert isinstance(answers[1], Exception)
        kinds = [type(answer) for answer in answers]
        assert (kinds[0], kinds[2], kinds[3]) == (Appended, Conflict, Appended)
        assert [e.causation for e in await everything(store)] == ["good", "other"]

    async def test_all_poisoned_commits_of_a_group_fail(self, store: Store) -> None:
        answers = await together(
            store, *[poisoned(f"s:{n}", 0) for n in range(9)], append("s:good", 0)
        )
        assert [isinstance(answer, Exception) for answer in answers] == [True] * 9 + [False]
        assert [e.stream for e in await everything(store)] == ["s:good"]

    async def test_after_poison_the_store_goes_on(self, store: Store) -> None:
        await together(store, poisoned("s:1", 0, id="c-1"))
        await happened(store, command("s:1", 0, event(), id="c-1", outcome=outcome()))
        assert await version(store, "s:1") == 1

    async def test_commits_are_judged_in_the_order_of_the_calls_whatever_they_carry(
        self, store: Store
    ) -> None:
        with_rows = Commit(
            cause=cause("first"),
            appends=(Append("s:1", 0, (event(),)),),
            advance=(Advance("view@1", 0, 1),),
        )
        first = asyncio.ensure_future(store.commit(with_rows))
        second = asyncio.ensure_future(store.commit(append("s:1", 0, id="second")))
        assert [type(await first), type(await second)] == [Appended, Conflict]
        assert [e.causation for e in await everything(store)] == ["first"]

    async def test_a_large_group_keeps_its_order(self, store: Store) -> None:
        big = event(text="y" * 60_000)
        answers = await together(store, *[append("s:1", number, big) for number in range(40)])
        assert [type(answer) for answer in answers] == [Appended] * 40

    async def test_a_caller_who_leaves_does_not_stop_the_others(self, store: Store) -> None:
        async def wait(commit: Commit) -> Committed:
            return await store.commit(commit)

        tasks = [asyncio.create_task(wait(append("s:1", None))) for _ in range(10)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(answer, Appended) for answer in results[1::2])
        assert isinstance(await store.commit(append("s:2", 0)), Appended)

    async def test_close_waits_for_what_was_taken_and_the_store_opens_again(
        self, store: Store
    ) -> None:
        taken = [asyncio.ensure_future(store.commit(append("s:1", n))) for n in range(20)]
        epoch = store.epoch
        await store.close()
        assert [type(await future) for future in taken] == [Appended] * 20
        await store.open(CONTEXT, [])
        assert store.epoch == epoch
        assert await version(store, "s:1") == 20
        await happened(store, append("s:1", 20))

    async def test_a_checkpoint_moves_only_from_where_it_is(self, store: Store) -> None:
        def move(expected: int, position: int) -> Commit:
            return Commit(advance=(Advance("view@1", expected, position),))

        assert isinstance(await store.commit(move(0, 5)), Appended)
        assert await store.commit(move(0, 6)) == Conflict("view@1", 0, 5)
        answers = await together(store, move(5, 7), move(5, 8), move(7, 9))
        assert [type(answer) for answer in answers] == [Appended, Conflict, Appended]
        assert await store.commit(move(0, 1)) == Conflict("view@1", 0, 9)

    async def test_a_commit_whose_checkpoint_was_moved_writes_nothing(self, store: Store) -> None:
        both = Commit(
            cause=cause(new_id()),
            appends=(Append("s:1", 0, (event(),)),),
            advance=(Advance("view@1", 3, 4),),
        )
        assert isinstance(await store.commit(both), Conflict)
        assert await everything(store) == []
