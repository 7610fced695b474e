"""Calls that block: the same app for threads without a loop."""

from __future__ import annotations

import asyncio
import threading
import traceback
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import sessionmaker

import diptych
from diptych import (
    App,
    Decider,
    EventSourced,
    Principal,
    Receipt,
    Refused,
    UnknownMessage,
    View,
    Views,
)
from diptych.adapters.grouping import GroupCommitter
from diptych.adapters.sqlite.writer import Writer
from diptych.blocking import BlockingApp, BlockingLog, _iterating
from diptych.errors import NestedCall, NotOpen, WouldBlock
from diptych.subscription.feed import Log
from tests.integration.pots import (
    Added,
    AllTotals,
    Break,
    Look,
    Pot,
    Put,
    Removed,
    Take,
    Total,
    TotalOf,
    all_totals,
    bank,
    refuse_old_states,
)
from tests.integration.shop import Article, Deliver, OneTaken, TakeOne, shop

ANN = Principal("ann")


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    assert [thread for thread in threading.enumerate() if "diptych" in thread.name] == []


@pytest.fixture
def blocking(url: str) -> Iterator[BlockingApp]:
    with diptych.sync(bank(url)) as blocking:
        yield blocking


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """The results of calls that are made by a thread each."""
    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]


class TestCalls:
    def test_a_command_its_answer_and_its_events(self, blocking: BlockingApp) -> None:
        receipt = blocking.execute(Put("a", 5), id="c-1", principal=Principal("ada"))
        assert (receipt.context, receipt.command_id, receipt.position) == ("bank", "c-1", 1)
        assert blocking.execute(Put("a", 5), id="c-1", principal=Principal("ada")) == receipt
        assert blocking.ask(TotalOf("a"), after=receipt) == Total("a", 5, 1, 1)
        blocking.settled(timeout=10)
        answer = blocking.answer(AllTotals())
        assert (answer.value, answer.stale, answer.position) == ([Total("a", 5, 1, 1)], False, 1)
        assert blocking.log.head() == 1
        (recorded,) = blocking.log.read()
        assert (recorded.event, recorded.principal) == (receipt.events[0], "ada")

    def test_an_error_keeps_its_type_and_its_values(self, blocking: BlockingApp) -> None:
        position = blocking.execute(Put("a", 5)).position
        with pytest.raises(Refused) as refused:
            blocking.execute(Take("a", 9))
        no = refused.value
        assert (no.code, no.values, no.position) == ("too_little", {"there": 5}, position)
        with pytest.raises(UnknownMessage, match="no command int here"):
            blocking.execute(5)
        with pytest.raises(LookupError, match="a"):
            blocking.execute(Break("a"))

    def test_a_traceback_shows_who_called_and_where_it_failed(self, blocking: BlockingApp) -> None:
        def caller() -> None:
            blocking.execute(Break("a"))

        with pytest.raises(LookupError) as broken:
            caller()
        names = [frame.name for frame in traceback.extract_tb(broken.value.__traceback__)]
        assert names.index("caller") < names.index("execute") < names.index("break_")

    def test_a_decision_that_ends_the_program_ends_its_caller_only(self, url: str) -> None:
        def put(command: Put, state: int) -> list[Added]:
            if command.amount > 1:
                raise SystemExit(command.amount)
            return [Added(command.pot, 1)]

        def evolve(state: int, event: Added) -> int:
            return state + 1

        model = EventSourced("pot", Decider(0, put, evolve), key="pot")
        with diptych.sync(App("bank", store=url, write=[model])) as blocking:
            with pytest.raises(SystemExit) as ended:
                blocking.execute(Put("a", 3))
            assert ended.value.code == 3
            assert blocking.execute(Put("a", 1)).version == 1


class TestIterating:
    def test_the_log_is_read_in_pages_and_in_order(
        self, blocking: BlockingApp, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        receipts = [blocking.execute(Put(pot, n + 1)) for n, pot in enumerate("abcabcabca" * 60)]
        read = list(blocking.log.read())
        assert [recorded.position for recorded in read] == [r.position for r in receipts]
        assert [recorded.event for recorded in read] == [r.events[0] for r in receipts]
        of_b = [r.position for r in receipts if r.stream == "pot:b"]
        assert [r.position for r in blocking.log.read(stream="pot:b", after=of_b[1])] == of_b[2:]
        assert list(blocking.log.read(types=[Removed])) == []
        assert list(blocking.log.read(after=receipts[-1].position)) == []

    def test_reading_may_be_interleaved_with_other_calls(self, blocking: BlockingApp) -> None:
        for n in range(5):
            blocking.execute(Put("a", n + 1))
        for recorded in blocking.log.read():
            blocking.execute(Take("a", recorded.event.amount))
        assert blocking.log.head() == 10

    def test_who_stops_early_closes_what_is_read(self, blocking: BlockingApp) -> None:
        closed = threading.Event()

        async def count(log: Log) -> AsyncIterator[int]:
            try:
                for n in range(100):
                    yield n
            finally:
                await asyncio.sleep(0)
                closed.set()

        class Numbers(BlockingLog):
            numbers = _iterating(count, page=3)

        for n in Numbers(blocking).numbers():
            if n == 4:
                break
        assert closed.wait(10)
        assert list(Numbers(blocking).numbers()) == list(range(100))

    def test_what_came_before_an_error_is_given_before_it(self, blocking: BlockingApp) -> None:
        async def count(log: Log) -> AsyncIterator[int]:
            for n in range(5):
                yield n
            raise LookupError("no more")

        class Numbers(BlockingLog):
            numbers = _iterating(count, page=3)

        read: list[int] = []

        def collect() -> None:
            for n in Numbers(blocking).numbers():
                read.append(n)

        with pytest.raises(LookupError, match="no more"):
            collect()
        assert read == list(range(5))

    def test_who_follows_sees_what_others_commit(self, blocking: BlockingApp) -> None:
        for n in range(3):
            blocking.execute(Put("a", n + 1))
        seen: list[int] = []

        def follow() -> None:
            for recorded in blocking.log.follow(after=1):
                seen.append(recorded.event.amount)
                if recorded.event.amount == 9:
                    return

        at_once(follow, lambda: blocking.execute(Put("a", 9)))
        assert seen == [2, 3, 9]


class TestThreads:
    def test_64_threads_share_a_commit(self, file: str, monkeypatch: pytest.MonkeyPatch) -> None:
        gathered = threading.Event()
        commits: list[int] = []
        waiting = 0
        write, gather = Writer._commit, GroupCommitter.commit

        def held_up(self: Writer) -> None:
            commits.append(1)
            assert gathered.wait(60)
            write(self)

        def counted(self: GroupCommitter, commit: Any) -> Any:
            nonlocal waiting
            waiting += 1
            if waiting == 64:
                gathered.set()
            return gather(self, commit)

        with diptych.sync(bank(file, read=[], answer=[])) as blocking:
            monkeypatch.setattr(Writer, "_commit", held_up)
            monkeypatch.setattr(GroupCommitter, "commit", counted)
            receipts = at_once(*[lambda n=n: blocking.execute(Put(f"p{n}", 1)) for n in range(64)])
        assert sorted(receipt.position for receipt in receipts) == list(range(1, 65))
        assert len(commits) <= 2  # who came first, and all the others together

    def test_many_threads_decide_on_the_newest_state(self, file: str) -> None:
        asked: Counter[str] = Counter()

        def work(number: int) -> None:
            for step in range(20):
                pot = f"p{(number + step) % 3}"
                receipt = blocking.execute(Put(pot, 1), id=f"{number}-{step}")
                shown = blocking.ask(TotalOf(pot), after=receipt, timeout=60)
                assert shown is not None
                assert shown.position >= receipt.position
                if step % 4 == 0:
                    with pytest.raises(Refused):
                        blocking.execute(Take(pot, 10_000))
                asked[f"{number}"] += 1

        with diptych.sync(bank(file)) as blocking:
            at_once(*[lambda n=n: work(n) for n in range(16)])
            assert sum(row.amount for row in blocking.ask(AllTotals())) == 320
        assert asked.total() == 320

        async def check() -> int:
            async with bank(file) as app:
                return await refuse_old_states(app)

        assert asyncio.run(check()) == 320

    @pytest.mark.parametrize("inline", [False, True])
    @pytest.mark.parametrize("call", ["execute", "ask", "log.head", "__exit__"])
    def test_a_decision_a_fold_and_an_answer_may_not_call(
        self, url: str, call: str, inline: bool
    ) -> None:
        found: dict[str, str] = {}
        calls: dict[str, Callable[[], object]] = {
            "execute": lambda: blocking.execute(Put("b", 1)),
            "ask": lambda: blocking.ask(AllTotals()),
            "log.head": lambda: blocking.log.head(),
            "__exit__": lambda: blocking.__exit__(None, None, None),
        }

        def refuse(where: str) -> None:
            with pytest.raises(NestedCall, match=r"would wait for itself") as nested:
                calls[call]()
            found[where] = nested.value.call

        def put(command: Put, state: Pot) -> list[Added]:
            refuse("decide")
            return [Added(command.pot, command.amount)]

        def evolve(state: Pot, event: Added) -> Pot:
            refuse("evolve")
            return state

        def project(row: Total | None, event: Added) -> Total | None:
            refuse("project")
            return Total(event.pot, event.amount, 1, 1)

        async def answer(query: TotalOf, views: Views) -> Total | None:
            refuse("answer")
            return await views.get(Total, query.pot)

        app = App(
            "bank",
            store=url,
            write=[EventSourced("pot", Decider(Pot(), put, evolve), key="pot")],
            read=[View(Total, project, key="pot", inline=inline)],
            answer=[answer, all_totals],
        )
        with diptych.sync(app) as blocking:
            receipt = blocking.execute(Put("a", 1))
            assert blocking.ask(TotalOf("a"), after=receipt) is not None
        assert found == dict.fromkeys(("decide", "evolve", "project", "answer"), call)

    def test_who_calls_while_another_decides_is_not_taken_for_nested(
        self, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        deciding, handed_over = threading.Event(), threading.Event()
        hand_over = asyncio.BaseEventLoop.call_soon_threadsafe

        def told(self: asyncio.BaseEventLoop, *args: Any, **kwargs: Any) -> Any:
            handle = hand_over(self, *args, **kwargs)
            if deciding.is_set():
                handed_over.set()
            return handle

        def put(command: Put, state: int) -> list[Added]:
            if command.pot == "slow":
                deciding.set()
                assert handed_over.wait(60)
            return [Added(command.pot, 1)]

        def evolve(state: int, event: Added) -> int:
            return state + 1

        def meanwhile() -> int:
            assert deciding.wait(60)
            return blocking.execute(Put("quick", 1)).position

        monkeypatch.setattr(asyncio.BaseEventLoop, "call_soon_threadsafe", told)
        model = EventSourced("pot", Decider(0, put, evolve), key="pot")
        with diptych.sync(App("bank", store=url, write=[model])) as blocking:
            slow, quick = at_once(lambda: blocking.execute(Put("slow", 1)).position, meanwhile)
        assert {slow, quick} == {1, 2}

    def test_an_answer_may_not_call_through_a_thread_either(self, url: str) -> None:
        async def answer(query: TotalOf, views: Views) -> Total | None:
            await asyncio.to_thread(blocking.execute, Put("a", 1))
            return None

        with diptych.sync(bank(url, answer=[answer, all_totals])) as blocking:
            with pytest.raises(NestedCall):
                blocking.ask(TotalOf("a"))
            blocking.execute(Look("a"))

    def test_threads_join_their_own_transactions(self, tmp_path: Path) -> None:
        file = tmp_path / "shop.db"
        engine = create_engine(f"sqlite:///{file}", connect_args={"timeout": 60})
        sessions = sessionmaker(engine)

        def joined() -> Receipt:
            with sessions.begin() as session, blocking.join(session, principal=ANN) as unit:
                article = session.get_one(Article, "tea")
                article.stock -= 1
                unit.record(OneTaken("tea", article.stock), stream="shop:tea")
                with pytest.raises(NestedCall):
                    blocking.execute(TakeOne("tea"))
            return unit.receipt

        with diptych.sync(shop(file)) as blocking:
            blocking.execute(Deliver("tea", 40))
            taken = at_once(*[joined] * 10, *[lambda: blocking.execute(TakeOne("tea"))] * 30)
            recorded = list(blocking.log.read(types=[OneTaken]))
        assert [one.event.left for one in recorded] == list(range(39, -1, -1))
        assert {one.causation_id for one in recorded} == {one.command_id for one in taken}
        assert [one.principal for one in recorded].count("ann") == 10
        with pytest.raises(NotOpen), sessions.begin() as session, blocking.join(session):
            pass
        engine.dispose()

    async def test_inside_a_running_loop_it_says_what_to_use(self, url: str) -> None:
        sync = diptych.sync(bank(url))
        with pytest.raises(WouldBlock, match=r"entering sync\(app\) blocks.*`async with app:`"):
            sync.__enter__()
        with ExitStack() as stack:
            blocking = await asyncio.to_thread(stack.enter_context, sync)
            for name, call in {
                "execute": lambda: blocking.execute(Put("a", 1)),
                "ask": lambda: blocking.ask(AllTotals()),
                "settled": lambda: blocking.settled(),
                "log.head": lambda: blocking.log.head(),
                "log.read": lambda: next(blocking.log.read()),
            }.items():
                with pytest.raises(WouldBlock, match="await its calls") as refused:
                    call()
                assert refused.value.call == f"app.{name}"
            assert await asyncio.to_thread(blocking.log.head) == 0
