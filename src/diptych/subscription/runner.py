"""Runs a follower: read, take, again; wait where there is nothing; try again where it fails."""

from __future__ import annotations

import asyncio
import logging
from copy import copy

from diptych.log.port import Store, Wakes
from diptych.message import Chance, Position
from diptych.subscription.port import Follower

BATCH = 5000
"""Events that are read at a time. A larger batch touches fewer rows for each event; a view that
keeps up has small ones anyway."""

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 30.0
"""Seconds before a failed follower tries again: doubled each time."""

_log = logging.getLogger("diptych.subscription")


async def news(store: object, after: Position) -> None:
    """Returns when there may be something after a position: told by the store, or after a while."""
    if isinstance(store, Wakes):
        await store.wait_for_news(after)
    else:
        await asyncio.sleep(FIRST_PAUSE)


class Runner:
    """Keeps one follower going until it is stopped.

    Attributes:
        position: How far the follower has got, as far as this process knows.
        failure: Why it cannot go on at the moment, in words; None while all is well.
        error: The same as it was raised.
        paused: Why it stands still at somebody's wish, in words; None while it does not.
    """

    def __init__(self, follower: Follower, store: Store, chance: Chance) -> None:
        self._follower = follower
        self._store = store
        self._chance = chance
        self.position: Position = 0
        self.failure: str | None = None
        self.error: Exception | None = None
        self.paused: str | None = None
        self._pause = FIRST_PAUSE
        self._stepped = asyncio.Event()

    async def reached(self, position: Position) -> None:
        """Returns when the follower is at a position, or beyond.

        Raises:
            Exception: Why it cannot go on.
        """
        while self.position < position:
            if self.error is not None:
                raise copy(self.error)
            await self._stepped.wait()

    def pause(self, reason: str | None) -> None:
        """From its next batch on it stands still; with None it goes on.

        One that moves with the commits cannot stand still.
        """
        if not self._follower.moves_by_itself and reason != self.paused:
            self.paused = reason
            self._step()

    def _step(self) -> None:
        """Tells those who wait that something has changed."""
        self._stepped.set()
        self._stepped = asyncio.Event()

    async def run(self) -> None:
        """Follows the log until it is cancelled."""
        while True:
            try:
                self.position = await self._follower.checkpoint()
                await self._follow()
            except asyncio.CancelledError:
                raise
            except Exception as error:
                self.failure, self.error = f"{type(error).__name__}: {error}", error
                self._step()
                _log.error("%s cannot go on: %s", self._follower.title, self.failure)
            await asyncio.sleep(self._pause * (0.5 + self._chance.fraction()))
            self._pause = min(self._pause * 2, LONGEST_PAUSE)

    async def _follow(self) -> None:
        while True:
            while self.paused is not None:
                await self._stepped.wait()
            if self._follower.moves_by_itself:
                self.position = await self._follower.checkpoint()
            batch = await self._store.read_all(
                after=self.position, limit=BATCH, names=self._follower.names
            )
            if batch.through > self.position:
                self.position = await self._follower.take(batch, after=self.position)
                self.failure = self.error = None
                self._pause = FIRST_PAUSE
                self._step()
            else:
                self._step()
                await news(self._store, self.position)
