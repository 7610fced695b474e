"""The gate before the write lock: who waits for the lock stands in it, the others before it.

SQLite's lock has no queue: whoever lets it go and wants it again has it again before those who
wait have woken up. With a gate nobody overtakes the one who waits for the lock.
"""

from __future__ import annotations

import os
import random
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from diptych.adapters.sqlite.connection import is_locked

if sys.platform != "win32":  # there, the quickest has the lock
    import fcntl

PATIENCE = 10.0
"""Seconds to wait for the lock, and as many before the gate."""

IN_IT = (0.0001, 0.0003)
BEFORE_IT = (0.0003, 0.001)
"""Seconds between two attempts. Before the gate at random, so that nobody is always the last."""


class Gate:
    """Beside a store's file, shared by all processes; a process that ends leaves it open.

    It keeps nobody from writing, so nothing but fairness depends on it: where it cannot be had, or
    somebody stands in it for too long, everybody goes through. It is a file of its own, since a
    process that closes the store's file drops the locks that SQLite holds on it.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor: int | None = None
        self.given_up = False
        """Whether whoever of this process waits shall not wait any longer."""
        with suppress(OSError):  # nothing can be created there: SQLite says so where it matters
            if sys.platform != "win32":
                self._descriptor = os.open(f"{path}-gate", os.O_RDWR | os.O_CREAT, 0o666)

    def try_enter(self) -> bool:
        """Whether nobody else stands in it; then the caller does, until `leave`."""
        if self._descriptor is None or sys.platform == "win32":
            return True
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # a file system without such locks
            return True
        return True

    def leave(self) -> None:
        """The next one may stand in it."""
        if self._descriptor is not None and sys.platform != "win32":
            with suppress(OSError):
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def enter(self, lock: Callable[[], object]) -> None:
        """Waits before the gate, then in it until the lock can be had. It must be left in any case.

        Args:
            lock: Takes it, or raises that it is locked.

        Raises:
            sqlite3.OperationalError: It was locked the whole time, or until `given_up`.
        """
        until = time.monotonic() + PATIENCE
        while not self.try_enter() and time.monotonic() < until and not self.given_up:
            time.sleep(random.uniform(*BEFORE_IT))
        until = time.monotonic() + PATIENCE
        while True:
            try:
                lock()
                return
            except sqlite3.OperationalError as error:
                if not is_locked(error) or time.monotonic() > until or self.given_up:
                    raise
            time.sleep(random.uniform(*IN_IT))

    def close(self) -> None:
        """Leaves it for good."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)
