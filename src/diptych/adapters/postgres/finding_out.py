"""What became of a commit whose connection was lost: asked until the server answers, or for a while."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from diptych.adapters.postgres.connection import ERRORS
from diptych.errors import CommitUnknown, ForeignStore, StoreFault

T = TypeVar("T")

PATIENCE = 10.0
"""Seconds in which the server must have answered."""


async def found_out(ask: Callable[[], Awaitable[T]], *, where: str, cause: BaseException) -> T:
    """The answer.

    Args:
        ask: Takes the store's lock first: whoever commits has it until that is visible.
        cause: How the connection was lost.

    Raises:
        CommitUnknown: The server cannot be asked.
    """
    until = time.monotonic() + PATIENCE
    pause = 0.05
    while True:
        try:
            return await ask()
        except (StoreFault, *ERRORS) as error:
            if time.monotonic() > until or isinstance(error, ForeignStore):
                raise CommitUnknown(
                    f"{where}: {cause!r}, then {error} Whether the command took effect is not "
                    "known. Look at the server, then send it again with the same id: it happens "
                    "once."
                ) from cause
        await asyncio.sleep(pause)
        pause = min(pause * 2, 1.0)
