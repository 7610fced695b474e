"""Cancelled, raising, or failed by the disk at any await and any statement: whole, or nothing.

Each call is repeated until it was interrupted at every one of its awaits (or statements). After
each the file is judged by depot_check.py; at the end every command is sent again under its id: the
first outcome comes back, or it happens now, once.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from diptych import App, Receipt, Refused
from diptych.adapters.sqlite import writer
from diptych.errors import CommitUnknown, ProjectionFailed, StoreFault
from tests.faults.depot import (
    Remark,
    Sessions,
    TakeOne,
    depot,
    diary,
    own_sessions,
    prepare,
    remarks,
    shelves,
    take_in_own_session,
    tally,
)
from tests.faults.depot_check import check_depot
from tests.faults.failing_disk import Plan, planned
from tests.faults.history import HistoryBroken, demand_none
from tests.faults.interrupt import Act, Interrupted, cancel, cancel_at_the_end, fail
from tests.faults.processes import Told, replay_line

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]

SKU = "tea"

Call = Callable[[str], Coroutine[Any, Any, Receipt]]
"""Of a note."""


@pytest.fixture(params=["in the thread", "on the spot"])
def disk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is never prompt, or always."""
    prompt = request.param == "on the spot"
    monkeypatch.setattr(writer, "PROMPT", 60.0 if prompt else 0.0)
    monkeypatch.setattr(writer, "PROMPT_IN_A_ROW", 0 if prompt else 1)


@pytest.fixture
async def file(tmp_path: Path) -> Path:
    await prepare(tmp_path / "depot.db")
    return tmp_path / "depot.db"


class History:
    """What callers were told.

    Args:
        promises: Errors that promise that nothing happened.
    """

    def __init__(self, file: Path, *promises: type[Exception]) -> None:
        self._file = file
        self._promises = promises
        self.calls: dict[str, Told] = {}
        self.undone: set[str] = set()
        """Of whom nothing happened, so that sent again they may."""

    async def make(self, id: str, call: Awaitable[Receipt]) -> None:
        """Makes a call and remembers what came of it; nothing else may come of it."""
        self.calls[id] = Told(id, 0.0)  # unknown, whoever is cancelled
        try:
            receipt = await call
        except Refused as refused:
            self.calls[id] = Told(id, 0.0, 0.0, refused=refused.code)
        except CommitUnknown:
            if CommitUnknown not in self._promises:
                raise
        except self._promises as error:
            self.undone.add(id)
            self.calls[id] = Told(id, 0.0, 0.0, refused=type(error).__name__)
        else:
            self.calls[id] = Told(id, 0.0, 0.0, position=receipt.position)

    def judge(self, *, settled: bool = False) -> None:
        found = check_depot(self._file, list(self.calls.values()), settled=settled)
        demand_none(found, replay_line("test_interrupted", "none"))

    async def send_again(self, app: App, call: Call) -> None:
        """Every command again, twice; joins have no id."""
        for id, told in list(self.calls.items()):
            if "-join-" in id:
                continue
            outcomes = [await outcome(call(id)) for _ in range(2)]
            first = None if id in self.undone else told.position or told.refused
            if len(set(outcomes)) > 1 or first not in (None, outcomes[0]):
                raise RuntimeError(f"{id} was answered by {first}, then by {outcomes}")
            if isinstance(outcomes[0], int):
                self.calls[id] = Told(id, 0.0, 0.0, position=outcomes[0])
            else:
                self.calls[id] = Told(id, 0.0, 0.0, refused=outcomes[0])
        await app.settled()
        self.judge(settled=True)


async def outcome(call: Awaitable[Receipt]) -> int | str:
    """Position, or the code of the refusal."""
    try:
        return (await call).position
    except Refused as refused:
        return refused.code


def taking(app: App, *, none: bool = False) -> Call:
    return lambda note: app.execute(TakeOne(SKU, note, none), id=note)


def remarking(app: App) -> Call:
    return lambda note: app.execute(Remark("me", SKU, note, lines=2), id=note)


def joining(app: App, sessions: Sessions) -> Call:
    return lambda note: take_in_own_session(app, sessions, SKU, note)


def either(call: Call, besides: Call) -> Call:
    """Which of two, as the note says."""
    return lambda note: (besides if "-before-" in note else call)(note)


async def interrupt(
    history: History,
    name: str,
    call: Call,
    acts: Mapping[int, Act],
    besides: Call | None = None,
) -> bool:
    """Makes one call, interrupted at these awaits; whether it came to the last of them.

    Args:
        besides: A call that has the turn before, and must not be harmed.
    """
    before = None
    if besides is not None:
        note = f"{name}-before"
        before = asyncio.ensure_future(history.make(f"{note}-x", besides(f"{note}-x")))
    interrupted = Interrupted(call(name), acts)
    task = asyncio.ensure_future(history.make(name, interrupted))
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()
    if before is not None:
        await before
    history.judge()
    return interrupted.acted


async def interrupt_everywhere(
    history: History, name: str, call: Call, act: Act, besides: Call | None = None
) -> int:
    """At its first await, then at its second, and so on to its end.

    Returns:
        At how many awaits.
    """
    at = 1
    while await interrupt(history, f"{name}-{at}", call, {at: act}, besides):
        at += 1
    return at - 1


async def interrupt_twice(history: History, name: str, call: Call) -> None:
    """At every pair of awaits: whoever cleans up may be cancelled, too."""
    first = 1
    while True:
        second = first + 1
        while await interrupt(history, f"{name}-{first}-{second}", call, dict.fromkeys(
            (first, second), cancel
        )):  # fmt: skip
            second += 1
        if second == first + 1:
            return
        first += 1


@pytest.fixture
async def app(file: Path) -> AsyncIterator[App]:
    async with depot(file) as app:
        yield app


@pytest.mark.usefixtures("disk")
@pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside another"])
@pytest.mark.parametrize("act", [cancel, cancel_at_the_end])
class TestCancelled:
    @pytest.mark.parametrize("none", [False, True], ids=["accepted", "refused"])
    async def test_a_handler_cancelled_at_any_await_is_whole_or_nothing(
        self, app: App, file: Path, none: bool, beside: bool, act: Act
    ) -> None:
        history, call, besides = History(file), taking(app, none=none), taking(app)
        awaits = await interrupt_everywhere(history, "take", call, act, besides if beside else None)
        assert awaits >= 4
        await history.send_again(app, either(call, besides))

    async def test_a_plain_command_cancelled_at_any_await_is_whole_or_nothing(
        self, app: App, file: Path, beside: bool, act: Act
    ) -> None:
        history, call, besides = History(file), remarking(app), taking(app)
        await interrupt_everywhere(history, "remark", call, act, besides if beside else None)
        await history.send_again(app, either(call, besides))

    async def test_a_join_cancelled_at_any_await_is_whole_or_nothing(
        self, app: App, file: Path, beside: bool, act: Act
    ) -> None:
        history, besides = History(file), taking(app)
        async with own_sessions(file) as sessions:
            call = joining(app, sessions)
            awaits = await interrupt_everywhere(
                history, "a-join", call, act, besides if beside else None
            )
            assert awaits >= 40
            await history.make("a-join-last", call("a-join-last"))
        await history.send_again(app, besides)


@pytest.mark.usefixtures("disk")
async def test_a_handler_cancelled_again_while_it_is_undone_is_whole_or_nothing(
    app: App, file: Path
) -> None:
    history, call = History(file), taking(app)
    await interrupt_twice(history, "twice", call)
    await history.send_again(app, call)


async def test_a_join_cancelled_again_while_it_is_undone_is_whole_or_nothing(
    app: App, file: Path
) -> None:
    history = History(file)
    async with own_sessions(file) as sessions:
        await interrupt_twice(history, "a-join", joining(app, sessions))
    await app.settled()
    history.judge(settled=True)


@pytest.mark.usefixtures("disk")
async def test_a_handler_that_raises_at_any_of_its_awaits_leaves_nothing(file: Path) -> None:
    history, acts = History(file, LookupError), dict[int, Act]()
    handlers = shelves(run=lambda work: Interrupted(work, acts))
    async with depot(file, write=[handlers, remarks]) as app:
        at, call = 0, taking(app)
        while len(history.undone) == at:
            at += 1
            acts.clear()
            acts[at] = fail
            await history.make(f"raise-{at}", call(f"raise-{at}"))
            history.judge()
        assert at >= 3
        acts.clear()
        await history.send_again(app, call)


@pytest.mark.usefixtures("disk")
@pytest.mark.parametrize("kind", ["handler", "plain", "join"])
async def test_whose_events_the_inline_view_cannot_take_leaves_nothing(
    file: Path, kind: str
) -> None:
    failing = {"a-join-1"}

    def told(note: str) -> None:
        if note in failing:
            raise LookupError("planted")

    history = History(file, ProjectionFailed)
    async with depot(file, read=[tally(told), diary]) as app, own_sessions(file) as sessions:
        calls = {"handler": taking(app), "plain": remarking(app), "join": joining(app, sessions)}
        for note in ("a-join-0", "a-join-1", "a-join-2") if kind == "join" else ("0", "1", "2"):
            failing.add("1")
            await history.make(note, calls[kind](note))
            history.judge()
        refused = [call.refused for call in history.calls.values()]
        assert refused == [None, "ProjectionFailed", None]
        failing.clear()
        await history.send_again(app, calls[kind])


@pytest.fixture
def plan() -> Iterator[Plan]:
    with planned() as plan:
        yield plan


@pytest.mark.usefixtures("disk")
@pytest.mark.parametrize("code", [sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL])
@pytest.mark.parametrize("rolls_back", [False, True], ids=["as it is", "and rolls back"])
@pytest.mark.parametrize("kind", ["handler", "refusal", "plain"])
async def test_a_disk_that_fails_at_any_statement_leaves_nothing(
    plan: Plan, file: Path, kind: str, rolls_back: bool, code: int
) -> None:
    """Each statement by itself, then each with the one after it, where the fence fails, too."""
    history = History(file, StoreFault, CommitUnknown)
    async with depot(file) as app:
        calls = {
            "handler": taking(app),
            "refusal": taking(app, none=True),
            "plain": remarking(app),
        }
        call = calls[kind]
        for more in (0, 1):
            at, reached = 0, True
            while reached:
                at += 1
                plan.arm(at, at + more, code=code, rolls_back=rolls_back)
                await history.make(f"{more}-{at}", call(f"{more}-{at}"))
                reached = plan.statements >= at
                plan.disarm()
                await history.make(f"{more}-{at}-after", call(f"{more}-{at}-after"))
                history.judge()
            assert at > 5
        await history.send_again(app, call)


def _commits_instead(self: writer.Writer) -> None:
    self.gate.given_up = False
    if self.connection.in_transaction:
        self.connection.execute("COMMIT")


def _forgets(self: writer.Writer) -> None: ...


@pytest.mark.parametrize(
    ("place", "bug", "none"),
    [("end_unit", _commits_instead, False), ("undo_unit", _forgets, True)],
    ids=["what was cancelled is committed", "what was refused is not undone"],
)
async def test_an_engine_that_leaves_something_is_caught(
    app: App,
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    bug: Callable[[writer.Writer], None],
    none: bool,
) -> None:
    """The control: planted in the engine, it is told by the same checker."""
    monkeypatch.setattr(writer.Writer, place, bug)
    with pytest.raises(HistoryBroken, match="row without event"):
        await interrupt_everywhere(History(file), "take", taking(app, none=none), cancel)
