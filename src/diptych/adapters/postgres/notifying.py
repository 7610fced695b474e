"""Tells other processes how far the log and the views are: after the commits, never in them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress

import msgspec

from diptych.adapters.postgres.connection import ERRORS
from diptych.errors import Fault
from diptych.message import Position

LOG = ""
"""The log among the names of checkpoints."""

INTERVAL = 0.01
"""Seconds between two notifications of a process, at least."""

MOST = 50
"""Positions in one payload, of which PostgreSQL takes 8000 bytes."""

NOTIFY = (
    "SELECT set_config('synchronous_commit', 'off', true), pg_notify($1::text, p) "
    "FROM unnest($2::text[]) AS p"
)
"""Waits for no disk, since nothing of it is kept. In a transaction that appends it would make all
others wait, too: PostgreSQL lets one notifying transaction of a database commit at a time."""

_encode = msgspec.json.encode
_decode = msgspec.json.Decoder(dict[str, Position]).decode


def channel_of(epoch: str) -> str:
    """Each log has its own: whoever listens on another database by mistake, or knows the log from
    before it was restored, hears nothing at all."""
    return f"diptych_{epoch}"


def positions_of(payload: str) -> Mapping[str, Position]:
    """Positions by checkpoint; none where somebody else has written it."""
    try:
        return _decode(payload)
    except msgspec.DecodeError:
        return {}


class Notifier:
    """Sends the furthest of what it is told: at once after a rest, and seldom under load.

    Args:
        send: Sends payloads, in no transaction of anybody else.
    """

    def __init__(self, send: Callable[[Sequence[str]], Awaitable[None]]) -> None:
        self._send = send
        self._due: dict[str, Position] = {}
        self._known: dict[str, Position] = {}
        self._sending: asyncio.Task[None] | None = None

    def say(self, name: str, position: Position, *, again: bool = False) -> None:
        """The log, or what has this checkpoint, is here.

        Args:
            again: Even where everybody knows.
        """
        if position <= self._known.get(name, 0) and not again:
            return
        self._known[name] = self._due[name] = position
        if self._sending is None:
            self._sending = asyncio.get_running_loop().create_task(self._send_all())

    def heard(self, name: str, position: Position) -> None:
        """Everybody knows."""
        self._known[name] = max(position, self._known.get(name, 0))

    async def close(self) -> None:
        """Sends what is left."""
        if self._sending is not None:
            await self._sending

    async def _send_all(self) -> None:
        while self._due:
            due, self._due = list(self._due.items()), {}
            parts = [dict(due[at : at + MOST]) for at in range(0, len(due), MOST)]
            with suppress(Fault, *ERRORS):  # others poll as well
                await self._send([_encode(part).decode() for part in parts])
            await asyncio.sleep(INTERVAL)
        self._sending = None
