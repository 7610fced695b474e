"""Whose database it is, and whether its names mean what the code says: looked at when it is opened."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from diptych.adapters.sqlite import schema
from diptych.adapters.sqlite.rows import probe
from diptych.errors import ForeignStore, SchemaChanged
from diptych.log.names import Stamp, compare
from diptych.message import Position
from diptych.read.port import Begun, Origin, Shape, TableSet

if TYPE_CHECKING:
    from diptych.adapters.sql.mapped import MappedRow

_decode_shape = msgspec.json.Decoder(dict[str, str]).decode


VIEWS = Stamp("store", "views", 1, {})
"""Marks a file that keeps views of a log which is elsewhere."""


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

    Raises:
        ForeignStore: It is another context's, or no log.
        SchemaChanged: The code cannot read what it holds.
    """
    _make_tables(connection, mapped)
    _create(connection)
    found = _owner(connection, path)
    stored = _stored(connection)
    if VIEWS in stored:
        raise ForeignStore(
            f"{path} keeps views of a log that is elsewhere. Name another file for the app."
        )
    if found is None:
        epoch = os.urandom(16).hex()
        _own(connection, context, epoch)
    else:
        owner, epoch = found
        if owner != context:
            raise ForeignStore(
                f"{path} belongs to context {owner!r}, this app is {context!r}. "
                "Give each context a file of its own."
            )

    def has_events(name: str) -> bool:
        row = connection.execute(
            "SELECT EXISTS (SELECT 1 FROM diptych_events WHERE name = ?)", (name,)
        )
        return bool(row.fetchone()[0])

    _remember(connection, compare(stored, stamps, has_events))
    return epoch


def prepare_views(
    connection: sqlite3.Connection, path: Path, origin: Origin, stamps: Sequence[Stamp]
) -> None:
    """Creates or checks the tables and names of a file that keeps views beside their log.

    Raises:
        ForeignStore: It has another log's views, or is no such file.
        SchemaChanged: A view's fields changed, but not its version.
    """
    _create(connection)
    found = _owner(connection, path)
    stored = _stored(connection)
    if found is None:
        _own(connection, origin.context, origin.epoch)
        _remember(connection, [VIEWS])
    elif VIEWS not in stored:
        raise ForeignStore(
            f"{path} is the store of context {found[0]!r}, with a log. "
            "Name another file for the views."
        )
    elif found != (origin.context, origin.epoch):
        raise ForeignStore(
            f"{path} keeps views of context {found[0]!r}, epoch {found[1]}; this is "
            f"{origin.context!r}, epoch {origin.epoch}. Delete it: its views fill anew."
        )
    _remember(connection, compare(stored, stamps, lambda _: False))


def begin_views(
    connection: sqlite3.Connection, shapes: Sequence[Shape], head: Position
) -> dict[str, Begun]:
    """Begins the checkpoints of views that are new, and looks at how the others stand."""
    stamps = _stored(connection)
    return {shape.checkpoint: _begun(connection, shape, head, stamps) for shape in shapes}


def begin_projections(
    connection: sqlite3.Connection,
    projections: Sequence[TableSet],
    tables: Sequence[str],
    head: Position,
) -> dict[str, Begun]:
    """The same for projections; their tables are created where they are missing.

    Args:
        tables: DDL.

    Raises:
        SchemaChanged: A table belongs to another projection, or to another version.
    """
    stamps = [stamp for one in projections for stamp in one.stamps]
    _remember(connection, compare(_stored(connection), stamps, lambda _: False))
    for statement in tables:
        connection.execute(statement)
    return {
        one.checkpoint: Begun(*_checkpoint(connection, one.checkpoint, head)) for one in projections
    }


def _checkpoint(
    connection: sqlite3.Connection, name: str, head: Position
) -> tuple[Position, Position]:
    """Where it is, and where it will have been filled."""
    connection.execute(schema.BEGIN_CHECKPOINT, (name, head))
    position, target = connection.execute(schema.SELECT_BEGUN, (name,)).fetchone()
    return position, target


def _begun(
    connection: sqlite3.Connection, shape: Shape, head: Position, stamps: Sequence[Stamp]
) -> Begun:
    position, target = _checkpoint(connection, shape.checkpoint, head)
    if position >= target:
        return Begun(position, target)
    return Begun(position, target, _older(connection, shape, stamps))


def _older(connection: sqlite3.Connection, shape: Shape, stamps: Sequence[Stamp]) -> Shape | None:
    """The newest older version that is filled and has the same fields."""
    versions = [s.schema for s in stamps if s.kind == "view" and s.schema < shape.version]
    for version in sorted(versions, reverse=True):
        older = replace(shape, version=version)
        row = connection.execute(schema.SELECT_BEGUN, (older.checkpoint,)).fetchone()
        if older.stamp in stamps and row is not None and row[0] >= row[1]:
            return older
    return None


def _create(connection: sqlite3.Connection) -> None:
    for statement in schema.TABLES.split(";\n"):
        if statement.strip():
            connection.execute(statement)
    for (table, column), statement in schema.ADDED.items():
        columns = connection.execute("SELECT name FROM pragma_table_info(?)", (table,)).fetchall()
        if (column,) not in columns:
            connection.execute(statement)


def _owner(connection: sqlite3.Connection, path: Path) -> tuple[str, str] | None:
    """Context and epoch; None where the file is new."""
    row = connection.execute("SELECT format, context, epoch FROM diptych_store").fetchone()
    if row is None:
        return None
    written, context, epoch = row
    if written != schema.FORMAT:
        raise ForeignStore(
            f"{path} has store format {written}, this diptych writes {schema.FORMAT}. "
            "Use the version of diptych that wrote it, or migrate the file."
        )
    return context, epoch


def _own(connection: sqlite3.Connection, context: str, epoch: str) -> None:
    connection.execute(
        "INSERT INTO diptych_store (id, format, context, epoch, fences) VALUES (1, ?, ?, ?, 0)",
        (schema.FORMAT, context, epoch),
    )


def _stored(connection: sqlite3.Connection) -> list[Stamp]:
    return [
        Stamp(kind, name, version, _decode_shape(shape))
        for kind, name, version, shape in connection.execute(
            "SELECT kind, name, schema, shape FROM diptych_names"
        )
    ]


def _remember(connection: sqlite3.Connection, stamps: Sequence[Stamp]) -> None:
    connection.executemany(
        "INSERT OR REPLACE INTO diptych_names (kind, name, schema, shape) VALUES (?, ?, ?, ?)",
        [
            (stamp.kind, stamp.name, stamp.schema, msgspec.json.encode(stamp.shape).decode())
            for stamp in stamps
        ],
    )


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
