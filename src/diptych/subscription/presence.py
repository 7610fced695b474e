"""Says every few seconds that this process is there and what it keeps going, for others to see."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress

from diptych.errors import Fault
from diptych.log.pauses import Pauses
from diptych.log.presence import BEAT, Attends, Followed
from diptych.subscription.runner import Runner

TICK = 0.25
"""Seconds after which a view that has just filled, failed or recovered is told."""

HEAR = 4
"""Ticks between two looks for views that somebody wants paused."""

_log = logging.getLogger("diptych.subscription")


class Presence:
    """The signs of life of a process.

    Args:
        runners: By checkpoint.
    """

    def __init__(self, store: Attends, runners: Mapping[str, Runner]) -> None:
        self._store = store
        self._runners = runners
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to say that this process is there."""
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(self.run(), name="diptych presence")

    async def run(self) -> None:
        """Goes on until it is cancelled. A store that cannot be written stops nothing."""
        failing = False
        while True:
            views = self._views()
            try:
                await self._store.attend(views)
                failing = False
                await self._pause(_telling(views))
            except Fault as error:
                if not failing:
                    _log.warning("nobody can see that this process is there: %s", error)
                failing = True
                await asyncio.sleep(TICK)

    async def hear(self) -> None:
        """Lets views stand still that somebody wants paused, and the others go on.

        Raises:
            StoreFault: The store could not be asked.
        """
        if not isinstance(self._store, Pauses):
            return
        found = await self._store.pauses()
        for name, runner in self._runners.items():
            pause = found.get(name)
            runner.pause(None if pause is None else f"paused by {pause.by}: {pause.reason}")

    async def leave(self) -> None:
        """Says good-bye, if it can be said."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        with suppress(Fault):
            await self._store.leave()

    async def _pause(self, told: object) -> None:
        for tick in range(1, round(BEAT / TICK) + 1):
            await asyncio.sleep(TICK)
            if tick % HEAR == 0:
                await self.hear()
            if _telling(self._views()) != told:
                return

    def _views(self) -> tuple[Followed, ...]:
        return tuple(
            Followed(
                name, runner.position, runner.filled, runner.failure, runner.paused is not None
            )
            for name, runner in self._runners.items()
        )


def _telling(views: tuple[Followed, ...]) -> object:
    """What is told at once when it changes; positions can wait, once there is one."""
    return [(one.view, one.position > 0, one.filled, one.failure, one.paused) for one in views]
