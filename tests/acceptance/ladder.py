"""The rungs of examples/ladder behind one door, so that one suite can ask them all the same.

A rung keeps its files in the current directory, as its program does.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from diptych import Refused

LADDER = Path(__file__).resolve().parents[2] / "examples" / "ladder"

RUNGS = tuple(f"rung_{number}" for number in range(1, 8))

Rows = list[tuple[str, int, int]]
"""Title, copies, free ones."""


class Door(Protocol):
    """A library that is open."""

    rung: ModuleType

    async def execute(self, command: object, *, id: str = "") -> Any:
        """What a question may be asked after."""
        ...

    async def titles(self, *, after: Any = None) -> Rows: ...

    async def events(self) -> list[tuple[str, str]]:
        """Name and copy of what happened, in order."""
        ...


class _Library:
    def __init__(self, rung: ModuleType) -> None:
        self.rung = rung

    async def events(self) -> list[tuple[str, str]]:
        return [(one.name, one.event.copy_id) async for one in self.rung.app.log.read()]


class _OwnSessions(_Library):
    """The first rung: its own code takes the commands, and has nothing to wait for."""

    def __init__(self, rung: ModuleType, library: Any) -> None:
        super().__init__(rung)
        self._library = library

    async def execute(self, command: object, *, id: str = "") -> Any:
        return await self._library.execute(command, id=id)

    async def titles(self, *, after: Any = None) -> Rows:
        return rows(await self._library.titles())


class _App(_Library):
    """Every other rung."""

    async def execute(self, command: object, *, id: str = "") -> Any:
        return await self.rung.app.execute(command, id=id or None)

    async def titles(self, *, after: Any = None) -> Rows:
        return rows(await self.rung.app.ask(self.rung.Titles(), after=after, timeout=20))


def rows(titles: list[Any]) -> Rows:
    return [(row.title, row.copies, row.free) for row in titles]


def forget() -> None:
    """The programs are made anew in the current directory: their paths are relative to it."""
    for name in (*RUNGS, "carry_over"):
        sys.modules.pop(name, None)


def load(name: str) -> ModuleType:
    """A rung, or what stands beside them."""
    if str(LADDER) not in sys.path:
        sys.path.insert(0, str(LADDER))
    return importlib.import_module(name)


@asynccontextmanager
async def opened(name: str) -> AsyncIterator[Door]:
    """The library as a rung opens it."""
    rung = load(name)
    if hasattr(rung, "library"):
        async with rung.library() as library:
            yield _OwnSessions(rung, library)
    else:
        async with rung.app:
            yield _App(rung)


async def borrow_all(name: str, reader: str, copies: int) -> dict[str, list[str]]:
    """What a process beside others does: tries to have every copy; says what became of each."""
    outcomes: dict[str, list[str]] = {"lent": [], "lent_already": []}
    async with opened(name) as door:
        for number in range(copies):
            copy_id = f"c{number}"
            try:
                await door.execute(door.rung.LendCopy(copy_id, reader))
                outcomes["lent"].append(copy_id)
            except Refused as refused:
                outcomes[refused.code].append(copy_id)
    return outcomes


if __name__ == "__main__":
    print(json.dumps(asyncio.run(borrow_all(sys.argv[1], sys.argv[2], int(sys.argv[3])))))
