"""Who has the store open: one row for each process, written by itself, with the database's time."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence

import msgspec

from diptych.adapters.machine import world
from diptych.adapters.postgres.connection import Executes
from diptych.adapters.sql.processes import process_of
from diptych.log.inspection import Process
from diptych.log.presence import SILENT, ViewProgress


def now() -> str:
    """The database's time in microseconds, as SQL: the machines of its clients need not agree."""
    return "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"


class Attendance:
    """This process's own row.

    Nothing here takes the store's lock: no commit reads who is there.
    """

    def __init__(self, schema: str) -> None:
        self._id = os.urandom(8).hex()
        processes = f"{schema}.diptych_processes"
        # Who is gone, and kept nothing going that this process does not, is forgotten. Rows that
        # somebody else is just forgetting are left to him: nobody waits, so nobody waits in a ring.
        self._attend = (
            f"WITH told AS (INSERT INTO {processes} AS p "
            '(id, host, space, pid, started, seen, "left", views) '
            f"VALUES ($1::text, $2::text, $3::text, $4::integer, {now()}, {now()}, NULL, $5::text) "
            'ON CONFLICT (id) DO UPDATE SET seen = excluded.seen, "left" = NULL, '
            "views = excluded.views) "
            f"DELETE FROM {processes} WHERE id IN (SELECT id FROM {processes} g "
            f'WHERE id <> $1::text AND ("left" IS NOT NULL OR seen < {now()} - $6::bigint) '
            "AND NOT EXISTS (SELECT 1 FROM json_array_elements(g.views::json) v "
            "WHERE v ->> 'view' <> ALL ($7::text[])) FOR UPDATE SKIP LOCKED)"
        )
        self._leave = f'UPDATE {processes} SET seen = {now()}, "left" = {now()} WHERE id = $1::text'

    async def attend(self, connection: Executes, views: Sequence[ViewProgress]) -> None:
        """Writes the row, and forgets those that it replaces."""
        await connection.fetch(
            self._attend,
            self._id,
            socket.gethostname(),
            world(),
            os.getpid(),
            msgspec.json.encode(views).decode(),
            int(SILENT * 1_000_000),
            [one.view for one in views],
        )

    async def leave(self, connection: Executes) -> None:
        """Marks the row: this process has gone of its own accord."""
        await connection.fetch(self._leave, self._id)


async def processes(connection: Executes, schema: str) -> list[Process]:
    """All rows, the last started first."""
    rows = await connection.fetch(
        'SELECT id, host, space, pid, started, seen, "left", views '
        f"FROM {schema}.diptych_processes ORDER BY started DESC, id"
    )
    return [process_of(row) for row in rows]
