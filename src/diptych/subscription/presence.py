"""Says every few seconds that this process is there and what it keeps going, for others to see."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from diptych.errors import Fault
from diptych.log.pauses import Pauses
from diptych.log.presence import BEAT, Attends, ViewProgress

TICK = 0.25
"""Seconds after which a view that has just been filled, failed or recovered is told."""

HEAR = 4
"""Ticks between two looks for views that somebody wants paused."""

_log = logging.getLogger("diptych.subscription")


class Views(Protocol):
    """What a process keeps going."""

    def progress(self) -> Sequence[ViewProgress]:
        """How each of them stands."""
        ...

    def pause(self, checkpoint: str, reason: str | None) -> None:
        """Lets one of them stand still; with None it goes on."""
        ...


class Presence:
    """The signs of life of a process."""

    def __init__(self, store: Attends, views: Views) -> None:
        self._store = store
        self._views = views
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to say that this process is there."""
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(self.run(), name="diptych presence")

    async def run(self) -> None:
        """Goes on until it is cancelled. A store that cannot be written stops nothing."""
        failing = False
        while True:
            views = self._views.progress()
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
        for view in self._views.progress():
            pause = found.get(view.view)
            reason = None if pause is None else f"paused by {pause.by}: {pause.reason}"
            self._views.pause(view.view, reason)

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
            if _telling(self._views.progress()) != told:
                return


def _telling(views: Sequence[ViewProgress]) -> object:
    """What is told at once when it changes; positions can wait, once there is one."""
    return [(one.view, one.position > 0, one.target, one.failure, one.paused) for one in views]
