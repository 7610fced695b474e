"""Rows by key from the bare driver: a dictionary, and sqlite3 in the only thread there is."""

from __future__ import annotations

import sqlite3
import time

from benchmarks.measuring import Measured, Settings
from benchmarks.ours.domain import Total

ROWS = 500


def dictionary(settings: Settings) -> Measured:
    """Microseconds for each row."""
    rows = {f"a{n}": Total(f"a{n}", 1250) for n in range(ROWS)}
    done = 0
    total = 0
    start = time.perf_counter()
    while time.perf_counter() - start < settings.seconds:
        for n in range(1000):
            total += rows[f"a{n % ROWS}"].total
        done += 1000
    took = time.perf_counter() - start
    if total != done * 1250:
        raise RuntimeError("a row is missing")
    return Measured(took / done * 1e6)


def driver(settings: Settings) -> Measured:
    """Microseconds for each row: SELECT by primary key in one read transaction, then an object."""
    connection = sqlite3.connect(settings.fresh("bare") / "bench.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE totals (id TEXT PRIMARY KEY, total INTEGER) WITHOUT ROWID")
    connection.executemany("INSERT INTO totals VALUES (?, 1250)", [(f"a{n}",) for n in range(ROWS)])
    done = 0
    total = 0
    start = time.perf_counter()
    while time.perf_counter() - start < settings.seconds:
        connection.execute("BEGIN")
        for n in range(1000):
            found = connection.execute(
                "SELECT id, total FROM totals WHERE id = ?", (f"a{n % ROWS}",)
            ).fetchone()
            total += Total(*found).total
        connection.execute("ROLLBACK")
        done += 1000
    took = time.perf_counter() - start
    if total != done * 1250:
        raise RuntimeError("a row is missing")
    connection.close()
    return Measured(took / done * 1e6)
