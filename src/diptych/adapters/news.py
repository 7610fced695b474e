"""Who waits for news of a log is woken by this process's commits, and polls for the others'."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from diptych.errors import Fault
from diptych.message import Position

SOONEST = 0.01
LATEST = 0.1
"""Seconds between two polls: soon after news, later while nothing happens."""


class News:
    """Wakes those who wait for the head to move.

    Args:
        head: Asks the store for its head.
    """

    def __init__(self, head: Callable[[], Awaitable[Position]]) -> None:
        self._ask = head
        self._head: Position = 0
        self._waiters: list[tuple[Position, asyncio.Future[None]]] = []
        self._poll: asyncio.Task[None] | None = None
        self._nudging: asyncio.Task[None] | None = None
        self._closed = False

    async def wait(self, after: Position) -> None:
        """Returns when the head is beyond `after`."""
        if self._head > after or self._closed:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append((after, future))
        if self._poll is None:
            self._poll = asyncio.get_running_loop().create_task(self._poll_for_others())
        await future

    def tell(self, head: Position) -> None:
        """The head is (at least) here."""
        if head <= self._head:
            return
        self._head = head
        waiting = self._waiters
        self._waiters = [entry for entry in waiting if entry[0] >= head and not entry[1].done()]
        for after, future in waiting:
            if after < head and not future.done():
                future.set_result(None)

    def nudge(self) -> None:
        """Somebody may have moved the head: asks at once instead of at the next poll."""
        if not self._closed and self._waiters:
            self._nudging = asyncio.get_running_loop().create_task(self._ask_once())

    async def _ask_once(self) -> None:
        with suppress(Fault):  # the next poll asks again
            self.tell(await self._ask())

    def close(self) -> None:
        """Nobody waits any more."""
        self._closed = True
        if self._poll is not None:
            self._poll.cancel()
        for _, future in self._waiters:
            if not future.done():
                future.set_result(None)
        self._waiters.clear()

    async def _poll_for_others(self) -> None:
        pause = SOONEST
        while self._waiters:
            await asyncio.sleep(pause)
            before = self._head
            with suppress(Fault):  # whoever reads will be told; those who wait go on waiting
                self.tell(await self._ask())
            pause = SOONEST if self._head != before else min(pause * 1.5, LATEST)
            self._waiters = [entry for entry in self._waiters if not entry[1].done()]
        self._poll = None
