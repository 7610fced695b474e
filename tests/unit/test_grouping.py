"""Groups: who goes together, who fails alone, and when nothing is tried again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diptych import BadResult, DiptychError
from diptych.adapters.grouping import GROUP, Answers, GroupCommitter, Pending, carry_out
from diptych.errors import CommitUnknown, Overloaded, StoreFull, StoreUnavailable
from diptych.log.commit import Append, Appended, Commit, Committed, NewEvent


def commit(name: str, size: int = 1) -> Commit:
    return Commit(appends=(Append(name, None, (NewEvent("noted", 1, "x" * size),)),))


def name_of(commit: Commit) -> str:
    return commit.appends[0].stream


pytestmark = pytest.mark.timeout(20)


class Paper:
    """Writes names; poison spoils a whole group, as in a database."""

    def __init__(self, *poison: str) -> None:
        self.poison = poison
        self.written: list[str] = []
        self.attempts: list[list[str]] = []

    def write(self, commits: Sequence[Commit]) -> list[Committed]:
        names = [name_of(commit) for commit in commits]
        self.attempts.append(names)
        for name in names:
            if name in self.poison:
                raise ValueError(name)
        self.written += names
        return [Appended(len(self.written)) for _ in names]


class TestCarryingOut:
    def test_a_good_group_is_written_once(self) -> None:
        paper = Paper()
        answers = carry_out([commit(name) for name in "abcdef"], paper.write)
        assert [type(answer) for answer in answers] == [Appended] * 6
        assert paper.attempts == [list("abcdef")]

    @given(size=st.integers(1, 20), bad=st.sets(st.integers(0, 19)))
    def test_poison_fails_alone_and_the_others_keep_their_order(
        self, size: int, bad: set[int]
    ) -> None:
        paper = Paper(*[f"n{place}" for place in bad])
        answers = carry_out([commit(f"n{place}") for place in range(size)], paper.write)
        failed = {place for place, answer in enumerate(answers) if isinstance(answer, Exception)}
        assert failed == {place for place in bad if place < size}
        assert paper.written == [f"n{place}" for place in range(size) if place not in bad]

    def test_poison_is_named_and_keeps_its_cause(self) -> None:
        (answer,) = carry_out([commit("bad")], Paper("bad").write)
        assert isinstance(answer, BadResult)
        assert isinstance(answer.__cause__, ValueError)

    def test_a_fault_of_the_store_answers_all_and_is_not_tried_again(self) -> None:
        attempts: list[int] = []

        def write(commits: Sequence[Commit]) -> list[Committed]:
            attempts.append(len(commits))
            raise StoreFull("no room")

        answers = carry_out([commit(name) for name in "abcd"], write)
        assert [type(answer) for answer in answers] == [StoreFull] * 4
        assert len({id(answer) for answer in answers}) == 4
        assert attempts == [4]

    def test_a_fault_of_the_store_in_a_half_is_not_tried_again(self) -> None:
        written: list[str] = []

        def write(commits: Sequence[Commit]) -> list[Committed]:
            names = [name_of(commit) for commit in commits]
            if "bad" in names:
                raise ValueError("bad")
            written.extend(names)
            if len(names) > 1:
                raise CommitUnknown("it may have happened")
            return [Appended(1)]

        answers = carry_out([commit(name) for name in ["a", "b", "bad", "c"]], write)
        assert [type(answer) for answer in answers[:2]] == [CommitUnknown] * 2
        assert written[:2] == ["a", "b"]
        assert written.count("a") == 1


class Press:
    """A committer whose groups are written when the test says so."""

    def __init__(self, *, waiting: int = 1000) -> None:
        self.groups: list[list[Pending]] = []
        self.committer = GroupCommitter(self.groups.append, waiting=waiting)

    def sizes(self) -> list[int]:
        return [len(group) for group in self.groups]

    async def finish(self, error: DiptychError | None = None) -> None:
        """The group that is being written is done; the next one may begin."""
        group = self.groups[-1]
        answers: Answers = [error or Appended(1) for _ in group]
        self.committer.done(group, answers)
        for _ in range(3):
            await turn()


async def turn() -> None:
    await asyncio.sleep(0)


class TestGathering:
    async def test_what_comes_while_a_group_is_written_goes_together(self) -> None:
        press = Press()
        futures = [press.committer.commit(commit("first"))]
        await turn()
        futures += [press.committer.commit(commit(str(n))) for n in range(5)]
        await press.finish()
        assert press.sizes() == [1, 5]
        await press.finish()
        assert [type(await future) for future in futures] == [Appended] * 6

    async def test_it_gathers_over_many_turns(self) -> None:
        press = Press()
        press.committer.commit(commit("first"))
        await turn()
        for number in range(7):
            press.committer.commit(commit(str(number)))
            await turn()
        assert press.sizes() == [1]
        await press.finish()
        assert press.sizes() == [1, 7]
        await press.finish()

    async def test_whoever_is_answered_and_comes_again_goes_with_the_others(self) -> None:
        press = Press()

        async def twice(name: str) -> None:
            await press.committer.commit(commit(name))
            await press.committer.commit(commit(name))

        press.committer.commit(commit("first"))
        await turn()
        tasks = [asyncio.create_task(twice(str(number))) for number in range(6)]
        await turn()
        for _ in range(3):
            await press.finish()
        await asyncio.gather(*tasks)
        assert press.sizes() == [1, 6, 6]

    async def test_a_group_is_bounded_in_number_and_in_bytes(self) -> None:
        press = Press()
        press.committer.commit(commit("first"))
        await turn()
        for number in range(GROUP + 10):
            press.committer.commit(commit(str(number)))
        await press.finish()
        for number in range(5):
            press.committer.commit(commit(str(number), size=400_000))
        press.committer.commit(commit("huge", size=5_000_000))
        for _ in range(6):
            await press.finish()
        assert sum(press.sizes()) == 1 + GROUP + 10 + 6
        assert max(press.sizes()) == GROUP
        for group in press.groups:
            size = sum(len(e.data) for one, _ in group for a in one.appends for e in a.events)
            assert size <= 1 << 20 or len(group) == 1
        assert [name_of(one) for one, _ in press.groups[-1]] == ["huge"]

    async def test_too_many_are_refused_at_once(self) -> None:
        press = Press(waiting=3)
        for number in range(3):
            press.committer.commit(commit(str(number)))
        with pytest.raises(Overloaded):
            press.committer.commit(commit("one more"))
        await turn()
        while sum(press.sizes()) < 3:
            await press.finish()
        await press.finish()
        press.committer.commit(commit("now there is room"))
        await turn()
        await press.finish()

    async def test_who_left_is_not_answered(self) -> None:
        press = Press()
        press.committer.commit(commit("first"))
        await turn()
        gone, there = (press.committer.commit(commit(name)) for name in "ab")
        gone.cancel()
        await press.finish()
        await press.finish()
        assert gone.cancelled()
        assert await there == Appended(1)

    async def test_an_error_reaches_who_waits(self) -> None:
        press = Press()
        future = press.committer.commit(commit("a"))
        await turn()
        await press.finish(StoreFull("no room"))
        with pytest.raises(StoreFull):
            await future

    async def test_closing_waits_and_takes_nothing_more(self) -> None:
        press = Press()
        future = press.committer.commit(commit("a"))
        closing = asyncio.create_task(press.committer.close())
        await turn()
        await turn()
        assert not closing.done()
        with pytest.raises(StoreUnavailable, match="Open the app again"):
            press.committer.commit(commit("b"))
        await press.finish()
        await asyncio.wait_for(closing, 5)
        assert future.done()
        await asyncio.wait_for(press.committer.close(), 5)
