"""Who waits for news is woken by this process, by word of another one, or by a poll."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from diptych.errors import Fault
from diptych.message import Position

SOONEST = 0.01
LATEST = 0.1
CALMEST = 2.0
"""Seconds between two polls: soon after news, later while nothing happens; much later where the
last news came by word of another process, so that the next are expected that way."""


class News:
    """Wakes those who wait for a position to move.

    Args:
        head: Asks the store where it is.
        say: Says to other processes that this one has moved it, where they can hear it.
    """

    def __init__(
        self,
        head: Callable[[], Awaitable[Position]],
        *,
        say: Callable[[Position], None] | None = None,
    ) -> None:
        self._ask = head
        self._say = say
        self._head: Position = 0
        self._calm = False
        self._hurried = asyncio.Event()
        self._waiters: list[tuple[Position, asyncio.Future[None]]] = []
        self._poll: asyncio.Task[None] | None = None
        self._nudging: asyncio.Task[None] | None = None
        self._closed = False

    async def wait(self, after: Position) -> None:
        """Returns when the position is beyond `after`."""
        if self._head > after or self._closed:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append((after, future))
        if self._poll is None:
            self._poll = asyncio.get_running_loop().create_task(self._poll_for_others())
        await future

    def tell(self, head: Position) -> None:
        """It is (at least) here."""
        if head <= self._head:
            return
        self._head = head
        waiting = self._waiters
        self._waiters = [entry for entry in waiting if entry[0] >= head and not entry[1].done()]
        for after, future in waiting:
            if after < head and not future.done():
                future.set_result(None)

    def move(self, head: Position) -> None:
        """This process has moved it here."""
        self.tell(head)
        if self._say is not None:
            self._say(head)

    def hear(self, head: Position) -> None:
        """Another process says so: it will say so the next time, and polls need not be quick."""
        self._calm = True
        self.tell(head)

    def hurry(self) -> None:
        """Others cannot be heard any more, or could not until now: asks at once, polls quickly."""
        self._calm = False
        self._hurried.set()

    def nudge(self) -> None:
        """Somebody may have moved it: asks at once instead of at the next poll."""
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
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._hurried.wait()
            self._hurried.clear()
            before = self._head
            with suppress(Fault):  # whoever reads will be told; those who wait go on waiting
                found = await self._ask()
                if found > self._head:
                    self._calm = False  # nobody has said so
                    self.tell(found)
            latest = CALMEST if self._calm else LATEST
            pause = SOONEST if self._head != before else min(pause * 1.5, latest)
            self._waiters = [entry for entry in self._waiters if not entry[1].done()]
        self._poll = None
