"""One measurement: what it is given, what it hands back, and the loops that bound it in time."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Settings:
    """How long and where one measurement runs; the same for every variant of a row."""

    seconds: float
    data: Path
    smoke: bool = False
    loop: str = "asyncio"

    def fresh(self, name: str) -> Path:
        """An empty folder of this name on the disk under test."""
        folder = self.data / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def size(self, full: int, smoke: int) -> int:
        return smoke if self.smoke else full

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        if self.loop == "uvloop":
            import uvloop  # only where asked for: the figures of the report are plain asyncio

            return uvloop.run(main)
        return asyncio.run(main)


@dataclass(frozen=True)
class Measured:
    """One value in the unit of its row; `more` stands beside it in the raw results."""

    value: float
    more: dict[str, Any] = field(default_factory=dict[str, Any])


Measure = Callable[[Settings], Measured]


def timed(
    operation: Callable[[], object], seconds: float, *, each: int = 1, warm: int = 3
) -> float:
    """Items per second of an operation that does `each` of them, repeated for about `seconds`."""
    for _ in range(warm):
        operation()
    count = 0
    start = time.perf_counter()
    end = start + seconds
    while True:
        operation()
        count += 1
        now = time.perf_counter()
        if now >= end:
            return count * each / (now - start)


def median(values: list[float]) -> float:
    ordered = sorted(values)
    return ordered[len(ordered) // 2]


def fdatasync_rate(settings: Settings, seconds: float = 0.3) -> Measured:
    """Overwrite 8 KiB of a file that is there, then fdatasync, as a write-ahead log does."""
    path = settings.fresh("fdatasync") / "file"
    handle = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    size, block, offset = 4 << 20, b"x" * 8192, 0

    def operation() -> None:
        nonlocal offset
        os.pwrite(handle, block, offset)
        offset = (offset + len(block)) % size
        os.fdatasync(handle)

    try:
        os.write(handle, b"0" * size)
        os.fsync(handle)
        return Measured(timed(operation, seconds))
    finally:
        os.close(handle)
        path.unlink()


class Durability:
    """Remembers every SQLite connection of this process, to prove that those that write are FULL.

    Installed before anything else is imported. It drops the check that a connection stays on its
    thread, because the question is put from another one while the connection is idle.
    """

    def __init__(self) -> None:
        self._seen: list[tuple[str, sqlite3.Connection]] = []

    def install(self) -> None:
        connect = sqlite3.connect

        def remembering(database: Any, *args: Any, **named: Any) -> sqlite3.Connection:
            named["check_same_thread"] = False
            connection = connect(database, *args, **named)
            self._seen.append((str(database), connection))
            return connection

        sqlite3.connect = remembering  # type: ignore[assignment]
        sqlite3.dbapi2.connect = remembering  # type: ignore[assignment]  # SQLAlchemy's way in

    def assert_full(self) -> None:
        """Raises unless a file is open and each writable connection to one is at FULL or above."""
        writable = 0
        for database, connection in self._seen:
            if ":memory:" in database or "mode=ro" in database or "mode=memory" in database:
                continue
            try:
                (level,) = connection.execute("pragma synchronous").fetchone()
            except (sqlite3.ProgrammingError, sqlite3.DatabaseError):
                continue  # closed already, or a read-only session whose authorizer refuses pragmas
            writable += 1
            if level < 2:
                raise RuntimeError(
                    f"a connection is at synchronous={level}, not FULL: no comparison"
                )
        if not writable:
            raise RuntimeError("no open connection to a file was found: durability is not proven")


durability = Durability()
