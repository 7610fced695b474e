"""How many transactions were committed to a file so far, whoever did it: by SQLite's own count."""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path

_CHANGES = 8
"""Where the header of the WAL's index counts commits (iChange in SQLite's walindex)."""


class Commits:
    """Reads the count without asking anybody. The file must be open somewhere.

    It is never closed: a process that closes a file by one descriptor drops the locks that SQLite
    holds on it by another.
    """

    def __init__(self, file: Path) -> None:
        self._descriptor = os.open(f"{file}-shm", os.O_RDONLY)
        self._index = mmap.mmap(self._descriptor, 48, prot=mmap.PROT_READ)

    def count(self) -> int:
        """Commits so far."""
        return int(struct.unpack_from("=I", self._index, _CHANGES)[0])
