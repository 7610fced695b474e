"""Who has the file open: one row for each process, written by itself."""

from __future__ import annotations

import os
import socket
import sqlite3
import time
from collections.abc import Sequence

import msgspec

from diptych.adapters.machine import space
from diptych.adapters.sql.processes import process_of
from diptych.log.inspection import Process
from diptych.log.presence import SILENT, ViewProgress

UPSERT = (
    "INSERT INTO diptych_processes (id, host, space, pid, started, seen, left, views) "
    "VALUES (?, ?, ?, ?, ?, ?, NULL, ?) "
    "ON CONFLICT (id) DO UPDATE SET seen = excluded.seen, left = NULL, views = excluded.views"
)

FORGET = (
    "DELETE FROM diptych_processes WHERE id <> ?1 AND (left IS NOT NULL OR seen < ?2) "
    "AND NOT EXISTS (SELECT 1 FROM json_each(diptych_processes.views) theirs "
    "WHERE json_extract(theirs.value, '$.view') NOT IN "
    "(SELECT json_extract(mine.value, '$.view') FROM json_each(?3) mine))"
)
"""Who is gone, and kept nothing going that this process does not."""


def now() -> int:
    """The machine's time in microseconds."""
    return time.time_ns() // 1000


class Attendance:
    """This process's own row. Its methods run in the writer's thread, in a transaction."""

    def __init__(self) -> None:
        self._id = os.urandom(8).hex()
        self._started = now()

    def attend(self, connection: sqlite3.Connection, views: Sequence[ViewProgress]) -> None:
        """Writes the row, and forgets those that it replaces."""
        at = now()
        told = msgspec.json.encode(views).decode()
        who = (self._id, socket.gethostname(), space(), os.getpid(), self._started, at, told)
        connection.execute(UPSERT, who)
        connection.execute(FORGET, (self._id, at - int(SILENT * 1_000_000), told))

    def leave(self, connection: sqlite3.Connection) -> None:
        """Marks the row: this process has gone of its own accord."""
        at = now()
        connection.execute(
            "UPDATE diptych_processes SET seen = ?, left = ? WHERE id = ?", (at, at, self._id)
        )


def processes(connection: sqlite3.Connection) -> list[Process]:
    """All rows, the last started first."""
    rows = connection.execute(
        "SELECT id, host, space, pid, started, seen, left, views FROM diptych_processes "
        "ORDER BY started DESC, id"
    )
    return [process_of(row) for row in rows.fetchall()]
