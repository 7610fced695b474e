"""Cancelled, raising, or failed by the disk at any await and any statement: nothing is left.

Each call is repeated until it was interrupted at every one of its awaits (or statements). Then the
file is judged by depot_check.py, and every command is sent again under its id: the first outcome
comes back, or it happens now, once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from diptych import App, DiptychError, Receipt, Refused
from diptych.adapters.sqlite import writer
from tests.faults.depot import (
    Remark,
    Sessions,
    TakeOne,
    depot,
    own_sessions,
    prepare,
    take_in_own_session,
)
from tests.faults.depot_check import check_depot
from tests.faults.history import demand_none
from tests.faults.interrupt import Act, Interrupted, cancel
from tests.faults.processes import Told, replay_line

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

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
    """What callers were told."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.calls: dict[str, Told] = {}

    async def note(self, id: str, call: Awaitable[Receipt]) -> None:
        """Makes a call and remembers what came of it."""
        self.calls[id] = Told(id, 0.0)  # unknown, whoever is cancelled
        try:
            receipt = await call
        except Refused as refused:
            self.calls[id] = Told(id, 0.0, 0.0, refused=refused.code)
        except (LookupError, DiptychError) as error:
            # All of these promise that nothing happened, but for one.
            unknown = type(error).__name__ == "CommitUnknown"
            failed = {"fault": "CommitUnknown"} if unknown else {"refused": type(error).__name__}
            self.calls[id] = Told(id, 0.0, 0.0, **failed)
        else:
            self.calls[id] = Told(id, 0.0, 0.0, position=receipt.position)

    def judge(self, *, settled: bool = False) -> None:
        found = check_depot(self._file, list(self.calls.values()), faults=True, settled=settled)
        demand_none(found, replay_line("test_interrupted", "none"))

    async def send_again(self, app: App, call: Call) -> None:
        """Whoever was interrupted asks once more."""
        for id, told in list(self.calls.items()):
            if told.refused == "LookupError" or "-join-" in id:
                continue  # not interrupted any more it would happen now, of course
            first: Receipt | None = None
            for _ in range(2):
                try:
                    receipt = await call(id)
                except Refused:
                    continue
                if told.position not in (None, receipt.position):
                    raise RuntimeError(f"{id} was at {told.position}, is at {receipt.position}")
                if first is not None and receipt != first:
                    raise RuntimeError(f"{id} has two outcomes: {first}, {receipt}")
                first = receipt
                self.calls[id] = Told(id, 0.0, 0.0, position=receipt.position)
        await app.settled()
        self.judge(settled=True)


def taking(app: App, *, none: bool = False) -> Call:
    return lambda note: app.execute(TakeOne(SKU, note, none), id=note)


def remarking(app: App) -> Call:
    return lambda note: app.execute(Remark("me", SKU, note, lines=2), id=note)


def joining(app: App, sessions: Sessions) -> Call:
    return lambda note: take_in_own_session(app, sessions, SKU, note)


async def interrupt_everywhere(
    history: History, name: str, call: Call, act: Act = cancel, *, besides: Call | None = None
) -> int:
    """Interrupts the call at its first await, then at its second, and so on to its end.

    Args:
        besides: A call that has the turn before each, and must not be harmed.

    Returns:
        At how many awaits.
    """
    at = 0
    while True:
        at += 1
        interrupted = Interrupted(call(f"{name}-{at}"), {at: act})
        before = asyncio.ensure_future(besides(f"{name}-before-{at}")) if besides else None
        task = asyncio.ensure_future(history.note(f"{name}-{at}", interrupted))
        await asyncio.wait([task])
        if before is not None:
            await history.note(f"{name}-before-{at}", before)
        history.judge()
        if not interrupted.acted:
            return at - 1


@pytest.mark.usefixtures("disk")
class TestCancelled:
    @pytest.fixture
    async def app(self, file: Path) -> AsyncIterator[App]:
        async with depot(file) as app:
            yield app

    @pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside another"])
    @pytest.mark.parametrize("none", [False, True], ids=["accepted", "refused"])
    async def test_a_handler_cancelled_at_any_await_is_whole_or_nothing(
        self, app: App, file: Path, none: bool, beside: bool
    ) -> None:
        history, call = History(file), taking(app, none=none)
        besides = taking(app) if beside else None
        awaits = await interrupt_everywhere(history, "handler", call, besides=besides)
        assert awaits >= 6
        await history.send_again(app, lambda id: (taking(app) if "before" in id else call)(id))

    @pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside another"])
    async def test_a_plain_command_cancelled_at_any_await_is_whole_or_nothing(
        self, app: App, file: Path, beside: bool
    ) -> None:
        history = History(file)
        besides = taking(app) if beside else None
        await interrupt_everywhere(history, "plain", remarking(app), besides=besides)
        await history.send_again(
            app, lambda id: (taking(app) if "before" in id else remarking(app))(id)
        )

    @pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside another"])
    async def test_a_join_cancelled_at_any_await_is_whole_or_nothing(
        self, app: App, file: Path, beside: bool
    ) -> None:
        history = History(file)
        async with own_sessions(file) as sessions:
            call = joining(app, sessions)
            besides = taking(app) if beside else None
            awaits = await interrupt_everywhere(history, "a-join", call, besides=besides)
            assert awaits >= 10
            await history.note("a-join-last", call("a-join-last"))
        await history.send_again(app, taking(app))
