"""Callers of an open app of tests.faults.ledger, which write down what each of them was told."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from diptych import App, Refused
from tests.faults.ledger import command
from tests.faults.processes import Told


class Load:
    """Commands by a number of callers, again and again, until it is ended.

    Attributes:
        calls: Every call by its id, also those that nobody has answered yet.
        last_answer: When the last receipt came.
    """

    def __init__(self, app: App, name: str, *, callers: int, ledgers: int, limit: int) -> None:
        self._app = app
        self._name = name
        self._callers = callers
        self._ledgers = ledgers
        self._numbers = iter(range(limit))
        self._ended = False
        self.calls: dict[str, Told] = {}
        self.last_answer = 0.0

    @property
    def history(self) -> list[Told]:
        return list(self.calls.values())

    @property
    def answered(self) -> int:
        return sum(call.position is not None for call in self.calls.values())

    def faults(self) -> Counter[str]:
        """How often which error was told."""
        return Counter(call.fault for call in self.calls.values() if call.fault)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Within, the callers call."""
        tasks = [asyncio.ensure_future(self._call()) for _ in range(self._callers)]
        try:
            yield
        finally:
            self._ended = True
            await asyncio.gather(*tasks)

    async def goes_on(self, *, answers: int = 20, seconds: float = 60) -> float:
        """Waits for so many more receipts; returns how long that took."""
        before, started = self.answered, time.monotonic()
        while self.answered < before + answers:
            if time.monotonic() > started + seconds:
                told = [call for call in self.history if call.fault][-1:]
                raise RuntimeError(f"no receipts for {seconds} s; the last fault: {told}")
            await asyncio.sleep(0.01)
        return time.monotonic() - started

    async def _call(self) -> None:
        for number in self._numbers:
            if self._ended:
                return
            id, message = command(self._name, number, self._ledgers)
            called = time.monotonic()
            self.calls[id] = Told(id, called)
            try:
                receipt = await self._app.execute(message, id=id)
            except Refused as refused:
                told = Told(id, called, time.monotonic(), refused=refused.code)
            except Exception as fault:  # what happened is for the test to judge
                name = type(fault).__name__
                told = Told(id, called, time.monotonic(), fault=name, message=str(fault))
            else:
                self.last_answer = time.monotonic()
                told = Told(id, called, self.last_answer, receipt.position, receipt.version)
            self.calls[id] = told
            if told.fault:
                await asyncio.sleep(0.05)
