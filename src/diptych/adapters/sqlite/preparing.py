"""Whose database it is, and whether its names mean what the code says: looked at when it is opened."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from diptych.adapters.sqlite import schema
from diptych.adapters.sqlite.rows import probe
from diptych.errors import ForeignStore, SchemaChanged
from diptych.log.names import Stamp, compare

if TYPE_CHECKING:
    from diptych.adapters.sql.mapped import MappedRow

_decode_shape = msgspec.json.Decoder(dict[str, str]).decode


def prepare_log(
    connection: sqlite3.Connection,
    path: Path,
    context: str,
    stamps: Sequence[Stamp],
    mapped: Sequence[MappedRow] = (),
) -> str:
    """Creates or checks the tables and names of a log; returns the epoch.

    Args:
        mapped: Whose tables are created where they are missing.
    """
    _make_tables(connection, mapped)
    for statement in schema.TABLES.split(";\n"):
        if statement.strip():
            connection.execute(statement)
    row = connection.execute("SELECT format, context, epoch FROM diptych_store").fetchone()
    if row is None:
        epoch = os.urandom(16).hex()
        connection.execute(
            "INSERT INTO diptych_store (id, format, context, epoch, fences) VALUES (1, ?, ?, ?, 0)",
            (schema.FORMAT, context, epoch),
        )
    else:
        written, owner, epoch = row
        if written != schema.FORMAT:
            raise ForeignStore(
                f"{path} has store format {written}, this diptych writes {schema.FORMAT}. "
                "Use the version of diptych that wrote it, or migrate the file."
            )
        if owner != context:
            raise ForeignStore(
                f"{path} belongs to context {owner!r}, this app is {context!r}. "
                "Give each context a file of its own."
            )
    stored = [
        Stamp(kind, name, version, _decode_shape(shape))
        for kind, name, version, shape in connection.execute(
            "SELECT kind, name, schema, shape FROM diptych_names"
        )
    ]

    def has_events(name: str) -> bool:
        found = connection.execute(
            "SELECT EXISTS (SELECT 1 FROM diptych_events WHERE name = ?)", (name,)
        )
        return bool(found.fetchone()[0])

    connection.executemany(
        "INSERT OR REPLACE INTO diptych_names (kind, name, schema, shape) VALUES (?, ?, ?, ?)",
        [
            (stamp.kind, stamp.name, stamp.schema, msgspec.json.encode(stamp.shape).decode())
            for stamp in compare(stored, stamps, has_events)
        ],
    )
    return epoch


def _make_tables(connection: sqlite3.Connection, mapped: Sequence[MappedRow]) -> None:
    for one in mapped:
        for statement in one.ddl:
            connection.execute(statement)
        try:
            connection.execute(probe(one.table))
        except sqlite3.OperationalError as error:
            raise SchemaChanged(
                f"table {one.table.name!r} is not as {one.row.__name__} maps it: {error}. "
                "Migrate the table, or map it as it is."
            ) from error
