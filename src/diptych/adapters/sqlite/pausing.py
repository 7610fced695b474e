"""Pauses of views in the file of a store."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from diptych.adapters.sqlite.connection import (
    Executes,
    fault,
    patiently,
    prepare_to_write,
    refuse_foreign,
)
from diptych.adapters.sqlite.presence import now
from diptych.errors import ForeignStore, StoreUnavailable
from diptych.log.pauses import Pause

T = TypeVar("T")


def pauses(connection: Executes) -> Mapping[str, Pause]:
    """Those that have not ended."""
    rows = connection.execute(
        "SELECT view, by, reason, since, until FROM diptych_pauses WHERE until > ?", (now(),)
    )
    return {
        view: Pause(view=view, by=by, reason=reason, since=since, until=until)
        for view, by, reason, since, until in rows.fetchall()
    }


class SqlitePausing:
    """Pauses views in a file that exists; nothing else is written."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def pause(self, pause: Pause, *, context: str) -> None:
        await asyncio.to_thread(self._write, context, lambda c: _pause(c, pause))

    async def resume(self, view: str, *, context: str) -> Pause | None:
        return await asyncio.to_thread(self._write, context, lambda c: _resume(c, view))

    def _write(self, context: str, work: Callable[[sqlite3.Connection], T]) -> T:
        if not self._path.is_file():
            raise StoreUnavailable(
                f"{self._path.absolute()}: there is no such file. Run this where the app runs (a "
                "relative path begins there)."
            )
        try:
            with closing(
                sqlite3.connect(
                    f"file:{quote(str(self._path))}?mode=rw",
                    uri=True,
                    isolation_level=None,
                    timeout=0,
                )
            ) as connection:
                return self._transact(connection, context, work)
        except sqlite3.Error as error:
            raise fault(error, self._path) from error

    def _transact(
        self, connection: sqlite3.Connection, context: str, work: Callable[[sqlite3.Connection], T]
    ) -> T:
        refuse_foreign(connection, self._path)
        tables = connection.execute(
            "SELECT count(*) FROM sqlite_schema WHERE name IN ('diptych_store', 'diptych_pauses')"
        )
        if tables.fetchone() != (2,):
            raise StoreUnavailable(
                f"{self._path}: no app of this version has opened it yet. Start the app once."
            )
        (owner,) = connection.execute("SELECT context FROM diptych_store").fetchone()
        if owner != context:
            raise ForeignStore(
                f"{self._path} belongs to context {owner!r}, this app is {context!r}. "
                "Look at the app's store=, or name the other app with --app."
            )
        prepare_to_write(connection, self._path)
        patiently(lambda: connection.execute("BEGIN IMMEDIATE"))
        try:
            result = work(connection)
            patiently(lambda: connection.execute("COMMIT"))
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        return result


def _pause(connection: sqlite3.Connection, pause: Pause) -> None:
    connection.execute("DELETE FROM diptych_pauses WHERE until <= ?", (now(),))
    connection.execute(
        "INSERT OR REPLACE INTO diptych_pauses (view, by, reason, since, until) "
        "VALUES (?, ?, ?, ?, ?)",
        (pause.view, pause.by, pause.reason, pause.since, pause.until),
    )


def _resume(connection: sqlite3.Connection, view: str) -> Pause | None:
    found = pauses(connection).get(view)
    connection.execute("DELETE FROM diptych_pauses WHERE view = ?", (view,))
    return found
