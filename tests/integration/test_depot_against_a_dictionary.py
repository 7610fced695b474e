"""A state machine drives all rungs at once and a plain dictionary beside them.

Handlers, joins in a user's own session, plain commands, an inline view that becomes asynchronous
and inline again, restarts, and apps that are dropped in the middle of what they do: their tasks are
cancelled, nothing is closed, their threads go on with what they had, and another app opens the
file. What was under way is sent again with the same ids; a join has none, so it has happened or not.
At the end the file itself is judged, too, by the checker of the fault tests.
"""

from __future__ import annotations

import asyncio
import gc
import tempfile
from collections.abc import Awaitable, Coroutine
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import event
from sqlalchemy.engine.interfaces import AdaptedConnection
from sqlalchemy.exc import NoResultFound
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine

from diptych import App, IdReused, Receipt, Refused
from tests.faults.depot import (
    SKUS,
    DiaryOf,
    Fill,
    Remark,
    TakeOne,
    Tally,
    TallyOf,
    depot,
    diary,
    remarks,
    shelves,
    take_from,
    tally,
)
from tests.faults.depot_check import check_depot
from tests.faults.interrupt import Act, Interrupted, fail

pytestmark = pytest.mark.filterwarnings(
    "ignore:The garbage collector is trying to clean up:sqlalchemy.exc.SAWarning"
)

T = TypeVar("T")


@dataclass(frozen=True)
class Join:
    """A taking in a session of the user's own; it may be rolled back at the last moment."""

    sku: str
    note: str = ""
    rolled_back: bool = False


Call = Fill | TakeOne | Remark | Join
Outcome = Receipt | str
"""Or the code of a refusal, or "broken"."""

skus = st.sampled_from(SKUS)
fills = st.builds(Fill, skus, st.integers(1, 3), st.just(""))
takings = st.builds(TakeOne, skus, st.just(""), st.booleans())
remarked = st.builds(Remark, st.sampled_from("xy"), skus, st.just(""), st.integers(0, 2))
joins = st.builds(Join, skus, st.just(""), st.booleans())
calls: st.SearchStrategy[Call] = st.one_of(fills, takings, remarked, joins)


class Dictionary:
    """One sequential depot."""

    def __init__(self) -> None:
        self.stock: dict[str, int] = {}
        self.remarks: dict[str, int] = {}
        self.versions: dict[str, int] = {}
        self.rows: dict[str, Tally] = {}
        self.notes: list[str] = []
        """Of each event, in order."""
        self.outcomes: dict[str, tuple[Call, str | int]] = {}
        """By id: the refusal, or how many events there were when it had happened."""

    def refusal(self, call: Call) -> str | None:
        match call:
            case TakeOne(sku=sku, none=none):
                if sku not in self.stock:
                    return "broken"
                return "none_left" if not self.stock[sku] else "not_wanted" if none else None
            case Join(sku=sku, rolled_back=rolled_back):
                if sku not in self.stock:
                    return "broken"
                return "none_left" if not self.stock[sku] else "broken" if rolled_back else None
            case _:
                return None

    def accept(self, call: Call) -> None:
        """Carries it out."""
        row = self.rows.get(call.sku, Tally(call.sku))
        match call:
            case Fill(sku, quantity):
                self.stock[sku] = self.stock.get(sku, 0) + quantity
                self.rows[sku] = replace(row, left=row.left + quantity)
            case TakeOne(sku) | Join(sku):
                self.stock[sku] -= 1
                self.rows[sku] = replace(row, taken=row.taken + 1, left=self.stock[sku])
            case Remark(by, sku, _, lines):
                self.remarks[by] = self.remarks.get(by, 0) + lines
                if lines:
                    self.rows[sku] = replace(row, remarks=row.remarks + lines)
        self.notes += [call.note] * (call.lines if isinstance(call, Remark) else 1)


class Depot(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.file = Path(self.folder.name) / "depot.db"
        self.model = Dictionary()
        self.numbers = count(1)
        self.inline = True
        self.unhandled: list[dict[str, Any]] = []
        self.dropped: list[tuple[asyncio.AbstractEventLoop, App, AsyncEngine]] = []

    @initialize()
    def begin(self) -> None:
        self.open()

    def open(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.loop.set_exception_handler(lambda _, context: self.unhandled.append(context))
        self.acts: dict[int, Act] = {}
        self.engine = create_async_engine(f"sqlite+aiosqlite:///{self.file}")
        self.connections: list[aiosqlite.Connection] = []
        event.listen(self.engine.sync_engine, "connect", self.connected)
        self.sessions = async_sessionmaker(self.engine, expire_on_commit=False)
        handlers = shelves(run=self.interrupted)
        views = [tally(inline=self.inline), diary]
        self.app = depot(self.file, write=[handlers, remarks], read=views)
        self.run(self.app.__aenter__())

    def connected(self, connection: AdaptedConnection, _: object) -> None:
        self.connections.append(connection.driver_connection)

    def interrupted(self, work: Coroutine[Any, Any, T]) -> Awaitable[T]:
        return Interrupted(work, self.acts) if self.acts else work

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(asyncio.wait_for(work, 20))

    def named(self, call: Call, *, drawn: bool = False) -> Call:
        kind = "join" if isinstance(call, Join) else "drawn" if drawn else "given"
        return replace(call, note=f"m-{kind}-{next(self.numbers)}")

    async def outcome(self, call: Call) -> Outcome:
        try:
            if isinstance(call, Join):
                return await self.joined(call)
            return await self.app.execute(call, id=None if "-drawn-" in call.note else call.note)
        except Refused as refused:
            return refused.code
        except (LookupError, NoResultFound):
            return "broken"

    async def joined(self, call: Join) -> Receipt:
        async with self.sessions.begin() as session:
            async with self.app.join(session) as unit:
                taken = await take_from(session, call.sku, call.note)
                unit.record(taken, stream=f"shelf:{call.sku}")
            if call.rolled_back:
                raise LookupError(call.note)
        return unit.receipt

    def note_outcome(self, call: Call, found: Outcome) -> None:
        """What a repetition will have to say."""
        if "-given-" not in call.note or found == "broken":
            return
        told = found if isinstance(found, str) else found.position
        self.model.outcomes[call.note] = (call, told)

    @rule(call=calls, drawn=st.booleans())
    def make(self, call: Call, drawn: bool) -> None:
        call = self.named(call, drawn=drawn)
        found = self.run(self.outcome(call))
        refusal = self.model.refusal(call)
        if refusal is not None:
            assert found == refusal
        else:
            assert isinstance(found, Receipt)
            self.model.accept(call)
            assert found.position == len(self.model.notes)
        self.note_outcome(call, found)

    @rule(call=takings, at=st.integers(1, 2))
    def break_a_handler(self, call: TakeOne, at: int) -> None:
        call = replace(call, note=f"m-broken-{next(self.numbers)}")
        self.acts[at] = fail
        found = self.run(self.outcome(call))
        self.acts.clear()
        refusal = self.model.refusal(call)
        assert found in ("broken", refusal)
        if found != "broken":
            self.model.outcomes[call.note] = (call, str(found))

    def known(self, which: int) -> tuple[str, Call, str | int] | None:
        """One whose outcome is known; drawn so that drawing does not depend on how races went."""
        if not self.model.outcomes:
            return None
        id = sorted(self.model.outcomes)[which % len(self.model.outcomes)]
        return id, *self.model.outcomes[id]

    @rule(which=st.integers(0, 999))
    def repeat(self, which: int) -> None:
        if (known := self.known(which)) is None:
            return
        _, call, told = known
        found = self.run(self.outcome(call))
        assert (found if isinstance(found, str) else found.position) == told

    @rule(which=st.integers(0, 999))
    def reuse_an_id(self, which: int) -> None:
        if (known := self.known(which)) is None:
            return
        for call in (Fill("tea", 99, "m-reused"), Remark("x", "tea", "m-reused", 9)):
            try:
                self.run(self.app.execute(call, id=known[0]))
                raise AssertionError("an id was reused")
            except IdReused:
                pass

    @rule(asked=st.lists(calls, min_size=2, max_size=8))
    def make_together(self, asked: list[Call]) -> None:
        sent = list(map(self.named, asked))

        async def all_at_once() -> list[Outcome]:
            return await asyncio.gather(*map(self.outcome, sent))

        self.agree(sent, self.run(all_at_once()))

    @rule(inline=st.booleans())
    def restart(self, inline: bool) -> None:
        self.run(self.leave(self.app, self.engine))
        self.loop.close()
        self.inline = inline
        self.open()

    @rule(
        asked=st.lists(calls, min_size=1, max_size=6),
        turns=st.integers(0, 40),
        nap=st.sampled_from((0, 0.0005, 0.002, 0.01)),
    )
    def drop(self, asked: list[Call], turns: int, nap: float) -> None:
        sent = list(map(self.named, asked))

        async def leave_in_the_middle() -> None:
            for call in sent:
                asyncio.get_running_loop().create_task(self.outcome(call))
            for _ in range(turns):
                await asyncio.sleep(0)
            if nap:
                await asyncio.sleep(nap)
            mine = asyncio.current_task()
            # SQLAlchemy ends a user's transaction in tasks of its own; they are cancelled, too.
            while others := [task for task in asyncio.all_tasks() if task is not mine]:
                for task in others:
                    task.cancel()
                await asyncio.gather(*others, return_exceptions=True)

        self.loop.run_until_complete(leave_in_the_middle())
        # The user's own connections end with the user: one whose closing was cancelled, too, would
        # keep the write lock until it happens to be collected.
        for connection in self.connections:
            self.loop.run_until_complete(connection.close())
        self.dropped.append((self.loop, self.app, self.engine))
        self.open()

        async def send_again() -> list[Outcome | None]:
            return [None if isinstance(call, Join) else await self.outcome(call) for call in sent]

        self.agree(sent, self.run(send_again()))

    def agree(self, sent: list[Call], found: list[Outcome] | list[Outcome | None]) -> None:
        """Takes what the log has more than the model, in the log's order, and compares."""

        async def news() -> list[str]:
            known = len(self.model.notes)
            return [one.event.note async for one in self.app.log.read(after=known)]

        refusals: dict[str, set[str | None]] = {call.note: set() for call in sent}
        by_note = {call.note: call for call in sent}

        def judge_all() -> None:
            for call in sent:
                refusals[call.note].add(self.model.refusal(call))

        judge_all()
        notes = self.run(news())
        happened = dict.fromkeys(notes)
        for note in happened:
            call = by_note[note]
            assert self.model.refusal(call) is None, f"{call} was accepted"
            self.model.accept(call)
            judge_all()
        assert self.model.notes[len(self.model.notes) - len(notes) :] == notes
        for call, outcome in zip(sent, found, strict=True):
            if isinstance(outcome, str):
                # It was judged at some moment of these, and at that moment it was refused so.
                assert outcome in refusals[call.note]
                assert call.note not in happened
            elif outcome is not None and not (isinstance(call, Remark) and not call.lines):
                assert call.note in happened
            if outcome is not None:
                self.note_outcome(call, outcome)

    @invariant()
    def the_views_show_it(self) -> None:
        if not hasattr(self, "app"):
            return
        head = len(self.model.notes)

        async def shown() -> None:
            for sku in SKUS:
                after = {} if self.inline else {"after": head}
                row = await self.app.ask(TallyOf(sku), timeout=0 if self.inline else 10, **after)
                expected = self.model.rows.get(sku)
                assert row == expected
                other = await self.app.ask(DiaryOf(sku), after=head, timeout=10)
                found = None if other is None else (other.taken, other.left, other.remarks)
                assert found == (expected and (expected.taken, expected.left, expected.remarks))

        self.run(shown())

    async def leave(self, app: App, engine: AsyncEngine) -> None:
        await app.__aexit__(None, None, None)
        await engine.dispose()

    def teardown(self) -> None:
        try:
            if hasattr(self, "app"):
                self.run(self.app.settled())
                self.run(self.leave(self.app, self.engine))
                self.loop.close()
                if self.inline:
                    assert check_depot(self.file) == []
        finally:
            for loop, app, engine in self.dropped:
                loop.run_until_complete(self.leave(app, engine))
                loop.close()
            self.folder.cleanup()
            self.dropped.clear()
            gc.collect()  # what a user has left is complained of here, not in another test
        assert self.unhandled == []


TestDepot = Depot.TestCase
TestDepot.settings = settings(
    max_examples=25,
    stateful_step_count=25,
    deadline=None,
    # Without shrinking: a failure is told at once, with the steps that led to it.
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow],
)
