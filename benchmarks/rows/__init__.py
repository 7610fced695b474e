"""The rows of the report."""

from __future__ import annotations

from benchmarks.rows.anywhere import ANYWHERE
from benchmarks.rows.contention import CONTENTION
from benchmarks.rows.memory import MEMORY
from benchmarks.rows.postgres import POSTGRES
from benchmarks.rows.row import OURS, Promise, Row, Variant
from benchmarks.rows.sqlite import SQLITE

__all__ = ["OURS", "REFERENCE", "ROWS", "Promise", "Row", "Variant"]

AWAITED = (
    "postgres-catch-up",
    "postgres-freshness",
    "get-postgres",
    "postgres-inline",
    "postgres-handlers",
    "postgres-memory-catch-up",
)
"""What PostgreSQL cannot do yet: they run as soon as they are taken out of here."""

ROWS: dict[str, Row] = {
    name: row
    for name, row in {**SQLITE, **POSTGRES, **CONTENTION, **MEMORY, **ANYWHERE}.items()
    if name not in AWAITED
}

REFERENCE = Variant("overwrite 8 KiB + fdatasync", "measuring", "fdatasync_rate")
