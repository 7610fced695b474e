"""Time that stands still until the test moves it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

TURNS = 20
"""Turns of the loop given to what is due after a move."""


class ManualClock:
    """A clock for `App(…, clock=…)`.

    Args:
        start: Aware.
    """

    def __init__(self, start: datetime) -> None:
        if start.tzinfo is None:
            raise ValueError("ManualClock needs an aware datetime: datetime(…, tzinfo=UTC).")
        self._now = start.astimezone(UTC)

    def now(self) -> datetime:
        return self._now

    async def advance(self, by: timedelta) -> None:
        """Moves the time, and lets what has become due begin."""
        self._now += by
        for _ in range(TURNS):
            await asyncio.sleep(0)
