"""What lies in a file, to be compared before and after."""

from __future__ import annotations

import sqlite3
from pathlib import Path


def path_of(url: str) -> Path:
    """The file of a `sqlite:///` URL."""
    return Path(url.removeprefix("sqlite:///"))


PRESENCE = ("diptych_processes",)
"""Who has the file open: written with the time, not by commands."""


def dump(url: str) -> dict[str, list[tuple[object, ...]]]:
    """All tables with all their rows, but for who is there."""
    connection = sqlite3.connect(f"file:{path_of(url)}?mode=ro", uri=True)
    try:
        # Views keep Decimals in an order of their own.
        connection.create_collation("diptych_decimal", lambda a, b: (a > b) - (a < b))
        tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        return {
            name: sorted(connection.execute(f'SELECT * FROM "{name}"'), key=repr)
            for (name,) in tables.fetchall()
            if name not in PRESENCE
        }
    finally:
        connection.close()
