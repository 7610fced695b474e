"""What an import costs in a new process, the interpreter's own start left out."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

from benchmarks.measuring import Measure, Measured, Settings, median, peak

_PROGRAM = """
import time
start = time.perf_counter()
import {modules}
print((time.perf_counter() - start) * 1e3)
"""


def import_time(modules: str) -> Measure:
    """p50 in ms over several processes, bytecode cached."""

    def measure(settings: Settings) -> Measured:
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        times: list[float] = []
        for turn in range(settings.size(8, 3)):
            done = subprocess.run(
                [sys.executable, "-c", _PROGRAM.format(modules=modules)],
                check=True,
                capture_output=True,
                text=True,
                env=environment,
            )
            if turn:  # the first one may write bytecode
                times.append(float(done.stdout))
        return Measured(median(times))

    return measure


def driver_in_memory(settings: Settings) -> Measured:
    """Peak resident MiB of this process, which has the driver, msgspec and a loop, but no app."""
    import msgspec  # noqa: F401

    if settings.postgres:
        import asyncpg  # noqa: F401
    else:
        import sqlite3  # noqa: F401
    settings.run(asyncio.sleep(0))
    return Measured(peak())
