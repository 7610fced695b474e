"""One measurement: what it is given, what it hands back, and the loops that bound it in time."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

STORE = "DIPTYCH_BENCH_STORE"
"""The variable by which a measurement learns of its store: anybody may list a command's words."""


@dataclass(frozen=True)
class Settings:
    """How long and where one measurement runs; the same for every variant of a row.

    Attributes:
        store: URL of a store that is given: the DSN of an empty database of its own; "" where the
            measurement makes a file.
    """

    seconds: float
    data: Path
    smoke: bool = False
    loop: str = "asyncio"
    store: str = field(default="", repr=False)

    @property
    def postgres(self) -> str:
        """The DSN; "" where the row is not about PostgreSQL."""
        return self.store if self.store.startswith("postgresql://") else ""

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


def peak() -> float:
    """Peak resident MiB of this program; getrusage would count what its parent had at the fork."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no VmHWM in /proc/self/status")


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
