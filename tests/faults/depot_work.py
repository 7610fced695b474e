"""`python -m tests.faults.depot_work FILE NAME`: a process that takes from the depot in many ways.

One JSON line when something is sent and one when its answer is there, each in one unbuffered
write, so that a killed process leaves a history that ends where it ended.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from diptych import App, Receipt, Refused
from tests.faults.commits import Commits
from tests.faults.depot import (
    SKUS,
    Remark,
    Sessions,
    TakeOne,
    depot,
    own_sessions,
    take_in_own_session,
)
from tests.faults.planted import plant
from tests.faults.work import say

Call = Callable[[str, str], Awaitable[Receipt]]
"""Of a note and a SKU."""


class Work:
    """The callers of one process."""

    _commits: Commits
    _end: float

    def __init__(self, asked: argparse.Namespace) -> None:
        self._asked = asked
        self._turns: dict[str, int] = {}
        self._numbers = itertools.count(asked.start)

    def told(self, note: str) -> None:
        """A note has the writer's turn."""
        self._turns[note] = self._commits.count()

    async def run(self) -> None:
        asked = self._asked
        async with depot(asked.file, self.told) as app, own_sessions(asked.file) as sessions:
            self._commits = Commits(asked.file)
            say(open=True, pid=os.getpid())
            while asked.go is not None and not asked.go.exists():
                await asyncio.sleep(0.005)
            self._end = time.monotonic() + asked.seconds
            calls = self._calls(app, sessions)
            await asyncio.gather(
                *(
                    self._caller(kind, calls[kind])
                    for kind, count in (
                        ("handler", asked.handlers),
                        ("join", asked.joins),
                        ("plain", asked.plain),
                    )
                    for _ in range(count)
                )
            )
            await app.settled(timeout=60)
        say(closed=True)

    def _calls(self, app: App, sessions: Sessions) -> dict[str, Call]:
        def handler(note: str, sku: str) -> Awaitable[Receipt]:
            return app.execute(
                TakeOne(sku, note, none=self._asked.refusals and note.endswith("9")), id=note
            )

        def join(note: str, sku: str) -> Awaitable[Receipt]:
            return take_in_own_session(app, sessions, sku, note, self.told)

        def plain(note: str, sku: str) -> Awaitable[Receipt]:
            return app.execute(Remark(self._asked.name, sku, note, 1 + len(note) % 2), id=note)

        return {"handler": handler, "join": join, "plain": plain}

    async def _caller(self, kind: str, call: Call) -> None:
        for number in self._numbers:
            if number >= self._asked.start + self._asked.count or time.monotonic() >= self._end:
                return
            note = f"{self._asked.name}-{kind}-{number}"
            before = self._commits.count()
            say(id=note, kind=kind, called=time.monotonic())
            try:
                receipt = await call(note, SKUS[number % len(SKUS)])
            except Refused as refused:
                say(id=note, returned=time.monotonic(), refused=refused.code)
            except Exception as fault:  # what happened is for the test to judge
                name = type(fault).__name__
                say(id=note, returned=time.monotonic(), fault=name, message=str(fault))
            else:
                say(id=note, returned=time.monotonic(), position=receipt.position)
            if note in self._turns:
                say(id=note, waited=self._turns.pop(note) - before)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path)
    parser.add_argument("name")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--count", type=int, default=sys.maxsize // 2)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--handlers", type=int, default=0, help="callers")
    parser.add_argument("--joins", type=int, default=0, help="callers")
    parser.add_argument("--plain", type=int, default=0, help="callers")
    parser.add_argument("--go", type=Path, help="a file to wait for, so that all begin together")
    parser.add_argument("--refusals", action="store_true", help="some handlers refuse")
    parser.add_argument("--bug", default="")
    asked = parser.parse_args()
    plant(asked.bug)
    asyncio.run(Work(asked).run())


if __name__ == "__main__":
    main()
