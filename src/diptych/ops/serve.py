"""Running an app as a process of its own, until it is told to stop."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from diptych.ops.findings import Exit

if TYPE_CHECKING:
    import asyncio

    from diptych.ops.target import Target

LATER = ("api", "commands", "projections", "relay")
"""Roles that will be processes of their own; today one process has them all."""


class Run(Struct, frozen=True, kw_only=True):
    """How far a run has got.

    Attributes:
        state: ``planned`` is the answer to --dry-run.
        views: Names of the checkpoints that this process keeps going.
    """

    state: Literal["planned", "ready", "stopped"]
    context: str
    store: str
    pid: int
    role: str
    views: tuple[str, ...]

    @property
    def exit(self) -> Exit:
        """It runs until it is told to stop, and that is all right."""
        return Exit.OK


async def run(target: Target, *, role: str, dry_run: bool) -> AsyncGenerator[Run, None]:
    """Opens the app, says that it is ready, waits for SIGINT or SIGTERM, and closes it.

    A second signal ends the process at once.

    Raises:
        AppNotFound, WiringError: There is no app to run.
        StoreFault: Its store cannot be opened.
    """
    from diptych.adapters.opening import where
    from diptych.ops.kept import kept

    app = target.app
    views = tuple(one.checkpoint for one in kept(app.wiring))

    def told(state: Literal["planned", "ready", "stopped"]) -> Run:
        return Run(
            state=state,
            context=app.name,
            store=where(app.store),
            pid=os.getpid(),
            role=role,
            views=views,
        )

    if dry_run:
        yield told("planned")
        return
    with _told_to_stop() as stop:
        async with app:
            yield told("ready")
            await stop.wait()
    yield told("stopped")


@contextmanager
def _told_to_stop() -> Generator[asyncio.Event, None, None]:
    """An event that a first SIGINT or SIGTERM sets."""
    import asyncio

    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    handled: list[signal.Signals] = []

    def restore() -> None:
        while handled:
            loop.remove_signal_handler(handled.pop())

    def once() -> None:
        stop.set()
        restore()

    try:
        for one in (signal.SIGINT, signal.SIGTERM):
            with suppress(NotImplementedError):  # Windows: Ctrl-C arrives as KeyboardInterrupt
                loop.add_signal_handler(one, once)
                handled.append(one)
        yield stop
    finally:
        restore()
