"""The rows of the report."""

from __future__ import annotations

from benchmarks.rows.anywhere import ANYWHERE
from benchmarks.rows.contention import CONTENTION
from benchmarks.rows.memory import MEMORY
from benchmarks.rows.postgres import POSTGRES
from benchmarks.rows.row import OURS, Promise, Row, Variant
from benchmarks.rows.sqlite import SQLITE

__all__ = ["OURS", "REFERENCE", "ROWS", "Promise", "Row", "Variant"]

ROWS: dict[str, Row] = {**SQLITE, **POSTGRES, **CONTENTION, **MEMORY, **ANYWHERE}

REFERENCE = Variant("overwrite 8 KiB + fdatasync", "measuring", "fdatasync_rate")
