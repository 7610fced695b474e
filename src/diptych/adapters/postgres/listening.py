"""One connection of a process listens for the notifications of the others; a lost one is replaced."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol, cast

from diptych.adapters.postgres.address import Address
from diptych.adapters.postgres.connection import ERRORS, Connection, connect

SOONEST = 0.05
LATEST = 2.0
"""Seconds before a lost connection is tried again: doubled each time."""

PULSE = 5.0
"""Seconds between two looks whether the connection is there: a broken line says nothing."""

PATIENCE = 2.0
"""Seconds in which it must answer."""

_log = logging.getLogger("diptych.postgres")


class Listens(Connection, Protocol):
    """A connection of asyncpg that can listen."""

    async def add_listener(self, channel: str, callback: Callable[..., None], /) -> None: ...

    def add_termination_listener(self, callback: Callable[[Any], None], /) -> None: ...


class Listener:
    """Listens until it is closed.

    Args:
        address: Of the server itself: a pooler lends no connection for good.
        heard: Takes a payload.
        changed: Called when it begins to listen, or has stopped: something may have been missed.
    """

    def __init__(
        self,
        address: Address,
        channel: str,
        *,
        heard: Callable[[str], None],
        changed: Callable[[], None],
    ) -> None:
        self._address = address
        self._channel = channel
        self._heard = heard
        self._changed = changed
        self._hears = False
        self._warned = False
        self._task: asyncio.Task[None] | None = None
        self._connecting: asyncio.Task[Listens] | None = None
        self._connection: Listens | None = None

    def start(self) -> None:
        """In the background: nothing but latency depends on it."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Lets go of the connection."""
        if self._task is not None:
            if self._connecting is not None and not self._connecting.done():
                # asyncpg complains of an attempt that is cut off
                await asyncio.wait([self._connecting], timeout=PATIENCE)
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        await self._let_go()

    async def _run(self) -> None:
        pause = SOONEST
        while True:
            try:
                self._connecting = asyncio.create_task(self._connect())
                try:
                    await self._listen(await self._connecting)
                finally:
                    await self._let_go()
            except Exception as error:
                self._warn(f"nobody can be heard ({error!s:.200})", "Look whether it runs")
            if self._hears:
                pause, self._hears, self._warned = SOONEST, False, False
            self._changed()
            await asyncio.sleep(pause)
            pause = min(pause * 2, LATEST)

    async def _connect(self) -> Listens:
        self._connection = cast(Listens, await connect(self._address))
        return self._connection

    async def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(*ERRORS):
                await connection.close(timeout=PATIENCE)

    async def _listen(self, connection: Listens) -> None:
        """Returns, or raises, when the connection is lost."""
        lost = asyncio.Event()

        def end(_: Any) -> None:
            lost.set()

        connection.add_termination_listener(end)
        await connection.add_listener(self._channel, self._take)
        self._changed()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(PULSE):
                    await lost.wait()
                    return
            # Said again it changes nothing, and shows whether the line holds.
            await connection.execute(f'LISTEN "{self._channel}"', timeout=PATIENCE)
            if not self._hears:
                self._warn(
                    "a notification of this process did not come back",
                    "Where a pooler stands in front, name the server past it: App(wake_dsn=…)",
                )

    def _take(self, _connection: Any, _pid: int, _channel: str, payload: Any) -> None:
        self._hears = True
        self._heard(payload)

    def _warn(self, what: str, remedy: str) -> None:
        """Once, until something is heard again."""
        if not self._warned:
            self._warned = True
            _log.warning(
                "%s: %s, so the log is polled for the commits of others. %s.",
                self._address.where,
                what,
                remedy,
            )
