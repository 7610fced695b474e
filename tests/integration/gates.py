"""Holds a view where it is, until the test lets it go on."""

from __future__ import annotations

import asyncio

import pytest

from diptych.log.port import Batch
from diptych.message import Position
from diptych.read.projecting import Projecting


class Gate:
    """Views whose title is shut stand before what they would take next."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._shut: dict[str, asyncio.Event] = {}
        take = Projecting.take

        async def taking(self_: Projecting, batch: Batch, *, after: Position) -> Position:
            event = self._shut.get(self_.title)
            if event is not None:
                await event.wait()
            return await take(self_, batch, after=after)

        monkeypatch.setattr(Projecting, "take", taking)

    def shut(self, title: str) -> None:
        """From now on, it waits."""
        self._shut[title] = asyncio.Event()

    def is_shut(self, title: str) -> bool:
        """Whether it waits."""
        return title in self._shut

    def open(self, title: str) -> None:
        """It goes on."""
        self._shut.pop(title).set()
