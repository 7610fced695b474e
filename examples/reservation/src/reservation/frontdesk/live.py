"""News for open pages: follows the log, and draws anew, for each page, what it shows."""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

from diptych import App
from reservation.frontdesk.html import Html
from reservation.frontdesk.window import Window

CALM = 0.12
"""Seconds between two drawings at least: a busy log is drawn a few times a second, not at each
event."""
CALMER = 4
"""Times as long as a drawing took: a slow one is drawn less often."""
HEARTBEAT = 15.0
RETRY = 1000
REMEMBERED = 8

Draw = Callable[[Window, int], Awaitable[Mapping[str, Html]]]


class Live:
    """Pages are told the state, never a change: whoever missed something is right at once again."""

    def __init__(self, app: App, draw: Draw) -> None:
        self._app = app
        self._draw = draw
        # a restarted server's positions may mean something else: never match an id of another run
        self._run = secrets.token_hex(4)
        self._position = 0
        self._changes = 0
        self._listeners: set[asyncio.Event] = set()
        self._closing = False
        self._drawn: dict[Window, tuple[int, asyncio.Task[Mapping[str, Html]]]] = {}

    async def follow(self, after: int) -> None:
        """Runs until it is cancelled."""
        self._position = after
        async for recorded in self._app.log.follow(after=after):
            self._position = recorded.position
            self.changed()

    def changed(self) -> None:
        """Something that pages show is different, in the log or beside it."""
        self._changes += 1
        for listener in self._listeners:
            listener.set()

    def close(self) -> None:
        """Ends every open page's stream; safe in a signal handler."""
        self._closing = True
        self.changed()

    async def stream(self, window: Window, last_id: str) -> AsyncIterator[str]:
        """Server-sent events for one page, the whole page first unless it is up to date."""
        news = asyncio.Event()
        self._listeners.add(news)
        sent: dict[str, str] = {}
        try:
            yield f"retry: {RETRY}\n\n"
            if last_id == self._id():
                yield ": up to date\n\n"
            else:
                news.set()
            while not self._closing:
                try:
                    async with asyncio.timeout(HEARTBEAT):
                        await news.wait()
                except TimeoutError:
                    yield ": still here\n\n"
                    continue
                if self._closing:
                    return
                news.clear()
                event_id = self._id()
                started = time.monotonic()
                drawn = await self._now(window)
                took = time.monotonic() - started
                new = {
                    name: part.markup
                    for name, part in drawn.items()
                    if sent.get(name) != part.markup
                }
                if new:
                    sent |= new
                    yield f"id: {event_id}\nevent: parts\ndata: {json.dumps(new)}\n\n"
                await asyncio.sleep(max(CALM, CALMER * took))
        finally:
            self._listeners.discard(news)

    def _id(self) -> str:
        return f"{self._run}-{self._changes}"

    async def _now(self, window: Window) -> Mapping[str, Html]:
        """Pages that show the same share one drawing."""
        changes, task = self._drawn.get(window, (-1, None))
        if task is None or changes != self._changes:
            if len(self._drawn) >= REMEMBERED:
                self._drawn.clear()
            task = asyncio.create_task(self._draw_at(window))
            self._drawn[window] = self._changes, task
        # one page may go away while others wait for the same drawing
        return await asyncio.shield(task)

    async def _draw_at(self, window: Window) -> Mapping[str, Html]:
        return await self._draw(window, self._position)
