"""What the processes of a proof have in common: their task, and that they end with whoever wants it."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from diptych.ops.prove.plan import Task

LOOK = 1.0
"""Seconds between two looks at whether the proof is still there."""


def carry_out(work: Callable[[Task], Awaitable[None]]) -> None:
    """Does the task that comes through standard input."""
    task = msgspec.json.decode(sys.stdin.buffer.read(), type=Task)
    asyncio.run(_beside(work, task))


def cpu_wait() -> float:
    """Seconds in which this process could have run and had no CPU; 0 where that is not told."""
    try:
        return int(Path("/proc/self/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0


async def _beside(work: Callable[[Task], Awaitable[None]], task: Task) -> None:
    watching = asyncio.create_task(_end_with(os.getppid()))
    try:
        await work(task)
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching


async def _end_with(parent: int) -> None:
    """A proof that was killed leaves nobody who writes on and on."""
    while os.getppid() == parent:  # noqa: ASYNC110 nobody tells
        await asyncio.sleep(LOOK)
    os._exit(1)
