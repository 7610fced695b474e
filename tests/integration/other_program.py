"""Another program that uses the same database, whichever that is."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

import psycopg


class OtherProgram:
    """A connection that commits each statement at once."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.connection: Any
        if url.startswith("sqlite"):
            self.connection = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
            self.connection.execute("PRAGMA busy_timeout = 5000")
        else:
            self.connection = psycopg.connect(url, autocommit=True)

    def __call__(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        """The rows; parameters are question marks."""
        if isinstance(self.connection, sqlite3.Connection):
            return self.connection.execute(sql, values).fetchall()
        if values:
            sql = sql.replace("%", "%%").replace("?", "%s")
        cursor = self.connection.execute(sql, values or None)
        return list(cursor.fetchall()) if cursor.description else []

    def close(self) -> None:
        self.connection.close()


def look(url: str, sql: str) -> list[Any]:
    """What another program sees."""
    program = OtherProgram(url)
    try:
        return program(sql)
    finally:
        program.close()
