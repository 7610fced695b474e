"""A process stops itself (SIGSTOP) between what it wrote and its COMMIT."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextvars import ContextVar
from typing import Any

import asyncpg

from diptych.ops.prove.notes import Notes
from diptych.ops.prove.plan import Task

_path: ContextVar[str] = ContextVar("path", default="")


class Stop:
    """Stops this process before a COMMIT, when it is due; not while a handler is under way, whose
    own locks would stay as well, as those of any stopped program do.

    Args:
        due: Seconds after the beginning; None for never.

    Attributes:
        began: When the writers began.
    """

    def __init__(self, task: Task, notes: Notes, due: float | None) -> None:
        self._task = task
        self._notes = notes
        self._due = due
        self._wrote: set[int] = set()
        self._handlers = 0
        self.began = float("inf")

    def begins(self, path: str) -> None:
        """A call on this path, by this task."""
        _path.set(path)
        self._handlers += path == "handler"

    def ends(self, path: str) -> None:
        """It is over."""
        self._handlers -= path == "handler"

    def watch(self) -> None:
        """Looks at what the engine tells its driver to do. Who has a COMMIT of their own say so."""
        if self._due is None or not hasattr(signal, "SIGSTOP"):
            return
        driver: Any = asyncpg.Connection
        fetch, execute = driver.fetch, driver.execute

        async def fetching(connection: Any, query: str, *values: Any, **more: Any) -> Any:
            if "diptych_write(" in query and connection.is_in_transaction():
                self._wrote.add(id(connection))
            return await fetch(connection, query, *values, **more)

        async def executing(connection: Any, query: str, *values: Any, **more: Any) -> Any:
            wrote = id(connection) in self._wrote
            self._wrote.discard(id(connection))
            if wrote and query.rstrip(";") == "COMMIT":
                self.before_commit()
            return await execute(connection, query, *values, **more)

        driver.fetch, driver.execute = fetching, executing

    def before_commit(self) -> None:
        """Stops here, if it is due."""
        if self._due is None or time.monotonic() < self.began + self._due:
            return
        if self._handlers > (_path.get() == "handler"):
            return
        self._due = None
        plan, own = self._task.plan, os.getpid()
        waking = subprocess.Popen(["sh", "-c", f"sleep {plan.stop}; kill -CONT {own}"])
        self._notes.say({"stopped": time.monotonic()})
        plan.stopped(self._task.number).touch()
        os.kill(own, signal.SIGSTOP)
        waking.wait()
        self._notes.say({"woke": time.monotonic()})
