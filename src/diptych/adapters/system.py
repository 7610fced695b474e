"""The machine's own time, ids and chance."""

from __future__ import annotations

import os
import random
import time
from datetime import UTC, datetime


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class UuidV7:
    """Time-ordered UUIDs (RFC 9562, section 5.7); from the kernel, so a fork repeats none."""

    def new(self) -> str:
        chance = int.from_bytes(os.urandom(10), "big")
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
