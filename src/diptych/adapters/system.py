"""The machine's own time, ids and chance."""

from __future__ import annotations

import os
import random
import time
from datetime import UTC, datetime
from threading import local

STOCK = 256
"""Ids whose chance is taken at a time."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class UuidV7(local):
    """Time-ordered UUIDs (RFC 9562, section 5.7), their chance from the kernel.

    Each thread has a stock of its own: two that drew from one could draw the same.
    """

    def __init__(self) -> None:
        self._chance = b""
        self._at = 0
        self._process = 0

    def new(self) -> str:
        at = self._at
        # Taken in stock, since each trip to the kernel lets another thread take Python's lock;
        # never shared with a forked child, which would give the same ids.
        if at >= len(self._chance) or self._process != os.getpid():
            self._chance, at, self._process = os.urandom(10 * STOCK), 0, os.getpid()
        self._at = at + 10
        chance = int.from_bytes(self._chance[at : at + 10], "big")
        number = (
            (time.time_ns() // 1_000_000) << 80
            | 7 << 76
            | (chance >> 64 & 0xFFF) << 64
            | 2 << 62
            | chance & 0x3FFF_FFFF_FFFF_FFFF
        )
        text = f"{number:032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


class SystemChance:
    """The interpreter's generator, seeded by the kernel."""

    def fraction(self) -> float:
        return random.random()
