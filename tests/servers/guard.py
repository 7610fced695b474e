"""Outlives a test process by a moment: ends the server that it left, and removes its directories.

`python guard.py OWNER DATA DIRECTORY`, as a child of OWNER, who kills it when it is not needed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import time
from pathlib import Path


def working_in(data: str) -> list[int]:
    """Whoever was started with that data directory, initdb too; but not this process."""
    found: list[int] = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"\0-D\0{data}\0".encode() in (process / "cmdline").read_bytes():
                found.append(int(process.name))
    return found


def main() -> None:
    owner, data = int(sys.argv[1]), sys.argv[2]
    while os.getppid() == owner:
        time.sleep(0.1)
    asked = time.monotonic()
    while left := working_in(data):
        # at once, and without a checkpoint; the postmaster passes it on to its children
        how = signal.SIGQUIT if time.monotonic() - asked < 5 else signal.SIGKILL
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, how)
        time.sleep(0.05)
    for directory in sys.argv[2:]:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
