"""A state machine drives an app and a plain dictionary side by side, and lets the app fall over.

An app may be left and entered again, or dropped in the middle of its commands: its tasks are
cancelled, nothing is closed, its threads go on with what they had, and another app opens the file.
What was under way is then sent again with the same ids, as a caller would.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from diptych import App, IdReused, Receipt, Refused
from tests.integration.dictionary import Command, Dictionary, Refusal
from tests.integration.pots import (
    AllTotals,
    Book,
    Look,
    Put,
    Take,
    bank,
    file_url,
    refuse_old_states,
)

T = TypeVar("T")

pot_names = st.sampled_from(("a", "b"))
amounts = st.integers(1, 4)
commands: st.SearchStrategy[Command] = st.one_of(
    st.builds(Put, pot_names, amounts),
    st.builds(Take, pot_names, amounts),
    st.builds(Look, pot_names),
    st.builds(Book, st.just("x"), st.lists(st.integers(1, 3), min_size=1, max_size=2).map(tuple)),
)


class Bank(RuleBasedStateMachine):
    """On memory: everything but restarts."""

    def __init__(self) -> None:
        super().__init__()
        self.url = "memory://"
        self.model = Dictionary()
        self.numbers = count(1)
        self.dropped: list[tuple[asyncio.AbstractEventLoop, App]] = []

    @initialize()
    def begin(self) -> None:
        self.open()

    def open(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.app = bank(self.url)
        self.run(self.app.__aenter__())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(asyncio.wait_for(work, 20))

    def named(self, command: Command) -> tuple[str, Command]:
        """A new id; bookings are named by it, so that each can be told."""
        id = f"c{next(self.numbers)}"
        return id, Book(id, tuple(set(command.nights))) if isinstance(command, Book) else command

    async def outcome(self, command: Command, id: str | None) -> Receipt | Refusal:
        try:
            return await self.app.execute(command, id=id)
        except Refused as refused:
            return refused.code, refused.values

    @rule(command=commands, drawn=st.booleans())
    def execute(self, command: Command, drawn: bool) -> None:
        id, command = self.named(command)
        found = self.run(self.outcome(command, None if drawn else id))
        refusal = self.model.refusal(command)
        if refusal is not None:
            assert found == refusal
            if not drawn:
                self.model.outcomes[id] = (command, refusal)
            return
        assert isinstance(found, Receipt)
        assert found.version == self.model.accept(command, found.command_id)
        assert found.position == len(self.model.log)

    @precondition(lambda self: self.model.outcomes)
    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        id = data.draw(st.sampled_from(sorted(self.model.outcomes)))
        command, outcome = self.model.outcomes[id]
        found = self.run(self.outcome(command, id))
        if isinstance(found, Receipt):
            assert (found.version, found.command_id) == (outcome, id)
            assert len(found.events) == (0 if isinstance(command, Look) else 1)
        else:
            assert found == outcome

    @precondition(lambda self: self.model.outcomes)
    @rule(data=st.data())
    def reuse_an_id(self, data: st.DataObject) -> None:
        id = data.draw(st.sampled_from(sorted(self.model.outcomes)))
        try:
            self.run(self.app.execute(Put("reused", 1), id=id))
            raise AssertionError("an id was reused")
        except IdReused:
            pass

    @rule(asked=st.lists(commands, min_size=2, max_size=8))
    def execute_together(self, asked: list[Command]) -> None:
        named = dict(map(self.named, asked))

        async def all_at_once() -> dict[str, Receipt | Refusal]:
            calls = [self.outcome(command, id) for id, command in named.items()]
            return dict(zip(named, await asyncio.gather(*calls), strict=True))

        self.agree(named, self.run(all_at_once()))

    @rule()
    def ask(self) -> None:
        async def shown() -> list[tuple[str, int, int]]:
            rows = await self.app.ask(AllTotals(), after=len(self.model.log), timeout=10)
            return [(row.pot, row.amount, row.events) for row in rows]

        assert self.run(shown()) == self.model.totals()

    def agree(self, sent: dict[str, Command], found: dict[str, Receipt | Refusal]) -> None:
        """Takes what the log has more than the model, in the log's order, and compares all of it."""

        async def news() -> list[tuple[str, str, int]]:
            known = len(self.model.log)
            return [
                (one.stream, one.causation_id, one.version)
                async for one in self.app.log.read(after=known)
            ]

        refused: dict[str, list[Refusal]] = {id: [] for id in sent}

        def note() -> None:
            for id, command in sent.items():
                refusal = self.model.refusal(command)
                if refusal is not None:
                    refused[id].append(refusal)

        note()
        for stream, id, version in self.run(news()):
            command = sent[id]
            assert self.model.refusal(command) is None, f"{command} was accepted"
            assert isinstance(found[id], Receipt)
            assert version == self.model.accept(command, id)
            assert self.model.log[-1] == (stream, id, version)
            note()
        for id, command in sent.items():
            outcome = found[id]
            if not isinstance(outcome, Receipt):
                # It was judged at some moment of these, and at that moment it was refused so.
                assert outcome in refused[id]
                self.model.outcomes[id] = (command, outcome)
            elif isinstance(command, Look):
                self.model.outcomes[id] = (command, outcome.version)
            else:
                assert self.model.outcomes[id] == (command, outcome.version)

    def teardown(self) -> None:
        try:
            if hasattr(self, "app"):
                assert self.run(refuse_old_states(self.app)) == len(self.model.log)
                self.ask()
                self.run(self.app.__aexit__(None, None, None))
                self.loop.close()
        finally:
            for loop, app in self.dropped:
                loop.run_until_complete(app.__aexit__(None, None, None))
                loop.close()


class BankOnAFile(Bank):
    """On a file: left and entered, dropped and opened anew."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.url = file_url(Path(self.folder.name) / "bank.db")

    @rule(another=st.booleans())
    def restart(self, another: bool) -> None:
        self.run(self.app.__aexit__(None, None, None))
        if another:
            self.loop.close()
            self.open()
        else:
            self.run(self.app.__aenter__())

    @rule(
        asked=st.lists(commands, min_size=1, max_size=6),
        turns=st.integers(0, 12),
        nap=st.sampled_from((0, 0.0005, 0.002)),
    )
    def drop(self, asked: list[Command], turns: int, nap: float) -> None:
        named = dict(map(self.named, asked))

        async def leave_in_the_middle() -> None:
            for id, command in named.items():
                asyncio.get_running_loop().create_task(self.outcome(command, id))
            for _ in range(turns):
                await asyncio.sleep(0)
            if nap:
                await asyncio.sleep(nap)
            mine = asyncio.current_task()
            others = [task for task in asyncio.all_tasks() if task is not mine]
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        self.loop.run_until_complete(leave_in_the_middle())
        self.dropped.append((self.loop, self.app))
        self.open()

        async def send_again() -> dict[str, Receipt | Refusal]:
            return {id: await self.outcome(command, id) for id, command in named.items()}

        self.agree(named, self.run(send_again()))

    def teardown(self) -> None:
        super().teardown()
        self.folder.cleanup()


thorough = settings(
    max_examples=30,
    stateful_step_count=25,
    deadline=None,
    # Without shrinking: a failure is told at once, with the steps that led to it.
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow],
)

TestBank = Bank.TestCase
TestBank.settings = thorough
TestBankOnAFile = BankOnAFile.TestCase
TestBankOnAFile.settings = thorough
