"""How calls that block end early, and how an app that blocks is left: whole, and without a thread."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import diptych
from diptych import Fault, View, Views, blocking
from diptych.adapters.sqlite.writer import Writer
from diptych.blocking import BlockingApp
from diptych.errors import NotOpen, StoreUnavailable, TimedOut
from tests.integration.pots import (
    Added,
    AllTotals,
    Put,
    Total,
    TotalOf,
    all_totals,
    bank,
    file_url,
    refuse_old_states,
)

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    assert threads() == []


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if "diptych" in thread.name]


class Stuck:
    """An answer that never comes, unless it is given up."""

    def __init__(self, begun: Callable[[], object] = lambda: None) -> None:
        self.begun = threading.Event()
        self.given_up = threading.Event()
        self._then = begun

    async def __call__(self, query: TotalOf, views: Views) -> Total | None:
        self.begun.set()
        self._then()
        try:
            await asyncio.Event().wait()
        finally:
            self.given_up.set()
        return None

    def bank(self, url: str) -> diptych.App:
        async def stuck(query: TotalOf, views: Views) -> Total | None:
            return await self(query, views)

        return bank(url, answer=[stuck, all_totals])


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


class TestInterrupted:
    def test_ctrl_c_gives_up_the_call_and_leaves_the_app_whole(self, url: str) -> None:
        stuck = Stuck(interrupt)
        with diptych.sync(stuck.bank(url)) as app:
            with pytest.raises(KeyboardInterrupt):
                app.ask(TotalOf("a"))
            assert stuck.given_up.wait(10)
            receipt = app.execute(Put("a", 1))
            assert app.ask(AllTotals(), after=receipt) == [Total("a", 1, 1, 1)]

    def test_ctrl_c_during_a_commit_leaves_one_truth(
        self, file: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        release = threading.Event()
        commit = Writer._commit

        def held_up(self: Writer) -> None:
            interrupt()
            assert release.wait(60)
            commit(self)

        with diptych.sync(bank(file)) as app:
            app.execute(Put("a", 1))
            app.settled()
            monkeypatch.setattr(Writer, "_commit", held_up)
            with pytest.raises(KeyboardInterrupt):
                app.execute(Put("a", 2), id="c-1")
            monkeypatch.setattr(Writer, "_commit", commit)
            release.set()
            again = app.execute(Put("a", 2), id="c-1")
            assert (again.version, again.position) == (2, 2)
            assert app.ask(TotalOf("a"), after=again) == Total("a", 3, 2, 2)
            assert app.execute(Put("a", 3)).version == 3

    def test_the_error_of_a_signal_s_handler_ends_the_call(self, url: str) -> None:
        class Alarm(Exception): ...  # no OSError: asyncio hides those where it wakes its loop

        def ring(*_: object) -> None:
            raise Alarm("late")

        stuck = Stuck(lambda: os.kill(os.getpid(), signal.SIGUSR1))
        before = signal.signal(signal.SIGUSR1, ring)
        try:
            with diptych.sync(stuck.bank(url), timeout=60) as app:
                with pytest.raises(Alarm, match="late"):
                    app.ask(TotalOf("a"))
                assert stuck.given_up.wait(10)
                assert app.execute(Put("a", 1)).position == 1
        finally:
            signal.signal(signal.SIGUSR1, before)

    def test_ctrl_c_while_reading_the_log_ends_the_reading(self, url: str) -> None:
        with diptych.sync(bank(url)) as app:
            app.execute(Put("a", 1))
            following = app.log.follow()
            assert next(following).position == 1
            timer = threading.Timer(0.05, interrupt)
            timer.start()
            with pytest.raises(KeyboardInterrupt):
                next(following)
            timer.join()
            assert list(following) == []
            assert [recorded.position for recorded in app.log.read()] == [1]


class TestTimedOut:
    def test_a_caller_s_time_out_gives_up_the_call_only(self, url: str) -> None:
        stuck = Stuck()
        with diptych.sync(stuck.bank(url), timeout=0.5) as app:
            with pytest.raises(
                TimedOut, match=r"app\.ask took longer than 0\.5 s.*same id"
            ) as late:
                app.ask(TotalOf("a"))
            assert (late.value.call, late.value.timeout) == ("ask", 0.5)
            assert stuck.given_up.wait(10)
            receipt = app.execute(Put("a", 1))
            assert app.ask(AllTotals(), after=receipt) == [Total("a", 1, 1, 1)]

    def test_a_time_out_inside_the_app_is_told_as_what_it_is(self, url: str) -> None:
        async def answer(query: TotalOf, views: Views) -> Total | None:
            raise TimeoutError("the answer's own")

        with diptych.sync(bank(url, answer=[answer]), timeout=60) as app:
            with pytest.raises(TimeoutError, match="the answer's own"):
                app.ask(TotalOf("a"))

    def test_who_follows_may_wait_longer(self, url: str) -> None:
        with diptych.sync(bank(url), timeout=0.5) as app:
            late = threading.Timer(1.0, lambda: app.execute(Put("a", 1)))
            late.start()
            assert next(app.log.follow()).position == 1
            late.join()


class TestLeaving:
    def test_after_the_block_it_is_not_open(self, url: str) -> None:
        with diptych.sync(bank(url)) as app:
            app.execute(Put("a", 1))
            log, reading = app.log, app.log.read()
        for call in (
            lambda: app.execute(Put("a", 1)),
            lambda: app.ask(AllTotals()),
            lambda: app.answer(AllTotals()),
            app.settled,
            lambda: app.log,
            log.head,
            lambda: next(reading),
        ):
            with pytest.raises(NotOpen, match=r"'bank' is not open.*`with diptych\.sync\(app\)"):
                call()
        with pytest.raises(NotOpen):
            diptych.sync(bank(url)).execute(Put("a", 1))

    def test_it_is_entered_once_and_may_be_entered_again(self, file: str) -> None:
        description = bank(file)
        app = diptych.sync(description)
        for _ in range(3):
            with app as entered:
                assert entered is app
                app.execute(Put("a", 1))
                with pytest.raises(Fault, match="open already"):
                    app.__enter__()
                with pytest.raises(Fault, match="open already"):
                    diptych.sync(description).__enter__()
                app.execute(Put("a", 1))
        with app:
            assert app.log.head() == 6
        app.__exit__(None, None, None)

    def test_calls_under_way_are_finished(self, file: str, monkeypatch: pytest.MonkeyPatch) -> None:
        begun, release = threading.Event(), threading.Event()
        commit, finish = Writer._commit, blocking._LoopThread._finish_calls

        def held_up(self: Writer) -> None:
            begun.set()
            assert release.wait(60)
            commit(self)

        async def told(self: blocking._LoopThread) -> None:
            release.set()
            await finish(self)

        with ThreadPoolExecutor(8) as pool:
            with diptych.sync(bank(file)) as app:
                monkeypatch.setattr(blocking._LoopThread, "_finish_calls", told)
                monkeypatch.setattr(Writer, "_commit", held_up)
                call = pool.submit(app.execute, Put("a", 1))
                assert begun.wait(60)
            assert call.result().position == 1

    def test_calls_that_never_end_are_given_up(
        self, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(blocking, "PATIENCE", 0.1)
        stuck = Stuck()
        with ThreadPoolExecutor(1) as pool:
            with diptych.sync(stuck.bank(url)) as app:
                call = pool.submit(app.ask, TotalOf("a"))
                assert stuck.begun.wait(10)
            with pytest.raises(NotOpen, match=r"was left while this call was under way"):
                call.result()
        assert stuck.given_up.is_set()

    @pytest.mark.timeout(60)
    def test_who_follows_the_log_is_not_waited_for(
        self, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(blocking, "PATIENCE", 600.0)
        seen = threading.Event()

        def follow(app: BlockingApp) -> None:
            for _ in app.log.follow():
                seen.set()

        with ThreadPoolExecutor(1) as pool:
            with diptych.sync(bank(url)) as app:
                following = pool.submit(follow, app)
                app.execute(Put("a", 1))
                assert seen.wait(10)
            with pytest.raises(NotOpen):
                following.result()

    @pytest.mark.parametrize("round_", range(5))
    def test_whoever_calls_meanwhile_gets_an_answer_or_not_open(
        self, file: str, round_: int
    ) -> None:
        acknowledged: list[str] = []
        started = threading.Barrier(9)

        def work(app: BlockingApp, number: int) -> BaseException:
            started.wait()
            for step in range(1_000_000):
                try:
                    receipt = app.execute(Put(f"p{number % 3}", 1), id=f"{number}-{step}")
                    acknowledged.append(receipt.command_id)
                    app.ask(TotalOf(f"p{number % 3}"), after=receipt, timeout=60)
                    list(app.log.read(after=receipt.position - 3))
                except BaseException as error:
                    return error
            raise AssertionError

        with ThreadPoolExecutor(8) as pool:
            with diptych.sync(bank(file)) as app:
                ends = [pool.submit(work, app, number) for number in range(8)]
                started.wait()
                while len(acknowledged) < 50 * round_:
                    app.execute(Put("other", 1))
            assert {type(end.result()) for end in ends} == {NotOpen}
        assert threads() == []
        with diptych.sync(bank(file)) as app:
            kept = {recorded.causation_id for recorded in app.log.read()}
        assert set(acknowledged) <= kept

        async def check() -> int:
            async with bank(file) as app:
                return await refuse_old_states(app)

        assert asyncio.run(check()) == len(kept)

    def test_an_error_of_the_block_goes_through(self, url: str) -> None:
        def break_() -> None:
            with diptych.sync(bank(url)) as app:
                app.execute(Put("a", 1))
                raise LookupError("its own")

        with pytest.raises(LookupError, match="its own"):
            break_()

    def test_an_app_that_cannot_be_closed_says_so_and_leaves_no_thread(
        self, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        close = diptych.App.__aexit__

        async def fail(self: diptych.App, *error: Any) -> None:
            await close(self, *error)
            raise StoreUnavailable("the disk is gone. Look for it.")

        monkeypatch.setattr(diptych.App, "__aexit__", fail)
        app = diptych.sync(bank(url)).__enter__()
        with pytest.raises(StoreUnavailable, match="the disk is gone"):
            app.__exit__(None, None, None)
        with pytest.raises(NotOpen):
            app.execute(Put("a", 1))

    def test_a_signal_s_handler_may_call_while_it_interrupts_a_call(self, url: str) -> None:
        called: list[int] = []
        stop = threading.Event()

        def call(*_: object) -> None:
            called.append(app.execute(Put("b", 1)).version)

        def ring() -> None:
            while not stop.wait(0.002):
                os.kill(os.getpid(), signal.SIGUSR1)

        before = signal.signal(signal.SIGUSR1, call)
        ringing = threading.Thread(target=ring)
        try:
            with diptych.sync(bank(url)) as app:
                ringing.start()
                versions: list[int] = []
                while len(called) < 20:
                    versions.append(app.execute(Put("a", 1)).version)
                stop.set()
                ringing.join()
        finally:
            signal.signal(signal.SIGUSR1, before)
        assert versions == list(range(1, len(versions) + 1))
        assert sorted(called) == list(range(1, len(called) + 1))


class TestOpening:
    def test_what_cannot_be_opened_leaves_no_thread(self, tmp_path: Path) -> None:
        app = diptych.sync(bank(file_url(tmp_path / "nowhere" / "bank.db")))
        for _ in range(2):
            with pytest.raises(StoreUnavailable, match="is no directory"):
                app.__enter__()
            assert threads() == []
            with pytest.raises(NotOpen):
                app.execute(Put("a", 1))
        (tmp_path / "nowhere").mkdir()
        with app:
            assert app.execute(Put("a", 1)).position == 1

    def test_ctrl_c_while_opening_leaves_no_thread(
        self, file: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        open_ = diptych.App.__aenter__

        async def slowly(self: diptych.App) -> diptych.App:
            interrupt()
            for _ in range(20):
                await asyncio.sleep(0.01)
            return await open_(self)

        monkeypatch.setattr(diptych.App, "__aenter__", slowly)
        app = diptych.sync(bank(file))
        with pytest.raises(KeyboardInterrupt):
            app.__enter__()
        assert threads() == []
        monkeypatch.undo()
        with app:
            assert app.log.head() == 0

    def test_where_no_thread_can_be_had_nothing_is_left(
        self, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(self: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        app = diptych.sync(bank(url))
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", refuse)
            with pytest.raises(RuntimeError, match="new thread"):
                app.__enter__()
        with app:
            assert app.log.head() == 0

    # On PostgreSQL it leaves sockets to the end of the program, of which Python complains here.
    @pytest.mark.parametrize("url", ["memory://", "sqlite://"])
    def test_a_fold_that_ends_the_program_ends_the_app_and_every_call(self, url: str) -> None:
        def project(row: Total | None, event: Added) -> Total | None:
            if event.amount == 9:
                raise SystemExit(9)
            return Total(event.pot, event.amount, 1, 1)

        ended: list[Fault] = []

        def work(app: BlockingApp) -> None:
            while True:
                try:
                    app.execute(Put("a", 1))
                except Fault as error:
                    ended.append(error)
                    return

        def use(pool: ThreadPoolExecutor) -> None:
            with diptych.sync(bank(url, read=[View(Total, project, key="pot")])) as app:
                for _ in range(4):
                    pool.submit(work, app)
                app.execute(Put("b", 9))
                app.settled(timeout=60)

        with ThreadPoolExecutor(4) as pool:
            with pytest.raises(SystemExit) as left:
                use(pool)
        assert left.value.code == 9
        assert {type(error) for error in ended} == {NotOpen}


def script(text: str, *arguments: object) -> str:
    """What a program prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", "-c", text]
        + [str(argument) for argument in arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


class TestProcesses:
    def test_a_forked_child_is_told_and_its_parent_goes_on(self, file: str) -> None:
        said = script(
            """
import os, sys
import diptych
from diptych.errors import NotOpen
from tests.integration.pots import AllTotals, Put, bank

with diptych.sync(bank(sys.argv[1])) as app:
    log = app.log
    app.execute(Put("a", 1))
    reading = log.read()
    child = os.fork()
    if child == 0:
        for call in (
            lambda: app.execute(Put("a", 1)),
            lambda: app.ask(AllTotals()),
            lambda: app.log,
            log.head,
            lambda: next(reading),
            app.__enter__,
        ):
            try:
                call()
            except NotOpen as error:
                assert "Fork first" in str(error), error
            else:
                print("no error")
        print("told", flush=True)
        sys.exit(0)
    assert os.waitpid(child, 0)[1] == 0
    print("parent at", app.execute(Put("a", 2)).position)
""",
            file,
        )
        assert said.splitlines() == ["told", "parent at 2"]

    def test_what_was_forked_before_it_is_opened_is_opened_by_each(self, file: str) -> None:
        said = script(
            """
import os, sys
import diptych
from tests.integration.pots import Put, bank

app = diptych.sync(bank(sys.argv[1]))
child = os.fork()
with app:
    app.execute(Put("a", 1))
if child:
    assert os.waitpid(child, 0)[1] == 0
    with app:
        print("together", app.log.head())
""",
            file,
        )
        assert said == "together 2\n"

    def test_it_may_be_closed_when_the_interpreter_exits(self, file: str) -> None:
        said = script(
            """
import atexit, sys, threading
from contextlib import ExitStack
import diptych
from tests.integration.pots import AllTotals, Put, bank

stack = ExitStack()
app = stack.enter_context(diptych.sync(bank(sys.argv[1])))
atexit.register(lambda: print("left with", threading.active_count(), "thread"))
atexit.register(stack.close)
receipt = app.execute(Put("a", 1))
print(app.ask(AllTotals(), after=receipt)[0].amount)
""",
            file,
        )
        assert said.splitlines() == ["1", "left with 1 thread"]

    def test_who_forgets_to_leave_it_is_not_held_up(self, file: str) -> None:
        assert (
            script(
                """
import sys
import diptych
from tests.integration.pots import Put, bank

app = diptych.sync(bank(sys.argv[1])).__enter__()
print(app.execute(Put("a", 1)).position)
""",
                file,
            )
            == "1\n"
        )
