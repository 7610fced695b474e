"""Rows of the users' own tables that keep states: read, compared and written in few statements."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, TypeAlias

import msgspec

from diptych.adapters.sql.quoting import quoted
from diptych.adapters.sqlite import schema
from diptych.adapters.sqlite.connection import Executes
from diptych.adapters.sqlite.tables import chunks, insert_many, values_of
from diptych.adapters.states import Change
from diptych.log.commit import StateRow, StateTable
from diptych.log.rows import Values

RowRequest: TypeAlias = tuple[str, str, StateTable, Any]
"""Tenant, stream, table, key."""

_encode = msgspec.json.encode
_decode_versions = msgspec.json.Decoder(list[int | None]).decode
_decode_places = msgspec.json.Decoder(list[int]).decode


def read_rows(connection: Executes, requests: list[RowRequest]) -> list[tuple[int, Values | None]]:
    """Version and row of each stream, all of one snapshot."""
    connection.execute("BEGIN")
    try:
        streams = _encode([request[:2] for request in requests]).decode()
        found = connection.execute(schema.SELECT_VERSIONS, (streams,)).fetchone()[0]
        rows: list[Values | None] = [None] * len(requests)
        by_table: dict[StateTable, list[int]] = {}
        for place, request in enumerate(requests):
            by_table.setdefault(request[2], []).append(place)
        for table, places in by_table.items():
            key = table.columns.index(table.key)
            for at, size in chunks(len(places)):
                wanted = [(place, requests[place][3]) for place in places[at : at + size]]
                flat = [value for pair in wanted for value in pair]
                for place, *values in connection.execute(_select(table, size), flat).fetchall():
                    # Exactly this key: a column may take others for the same (COLLATE NOCASE).
                    if values[key] == requests[place][3]:
                        rows[place] = tuple(values)
    finally:
        connection.execute("ROLLBACK")
    versions = [version or 0 for version in _decode_versions(found)]
    return list(zip(versions, rows, strict=True))


def differing(connection: Executes, rows: Sequence[StateRow]) -> set[int]:
    """Places of those that are not in the database as the decision knew them.

    Compared by the database, which knows what a column makes of a value (5 and '5', 1 and 1.0).
    """
    found: set[int] = set()
    by_table: dict[StateTable, list[int]] = {}
    for place, row in enumerate(rows):
        by_table.setdefault(row.table, []).append(place)
    for table, places in by_table.items():
        nothing = (None,) * len(table.columns)
        for at, size in chunks(len(places)):
            flat: list[Any] = []
            for place in places[at : at + size]:
                row = rows[place]
                flat += (place, row.key, *(nothing if row.stood is None else row.stood))
            result = connection.execute(_select_differing(table, size), flat)
            found.update(_decode_places(result.fetchone()[0]))
    return found


def write_changes(connection: Executes, changes: Iterable[Change]) -> None:
    """Writes what became of rows, each kind of change in one statement."""
    for change in changes:
        table = change.table
        if change.deletes:
            for at, size in chunks(len(change.deletes)):
                connection.execute(_delete(table, size), change.deletes[at : at + size])
        for puts, rows in change.inserts.items():
            columns = ", ".join(quoted(table.columns[place]) for place in puts)
            insert_many(connection, f"{quoted(table.name)} ({columns})", len(puts), rows)
        for puts, rows in change.updates.items():
            for at, size in chunks(len(rows)):
                flat = [value for row in rows[at : at + size] for value in row]
                connection.execute(_update(table, puts, size), flat)


def probe(table: StateTable) -> str:
    """A statement that fails where the table lacks a column."""
    # Qualified: SQLite takes a quoted name alone for a text where there is no such column.
    columns = ", ".join(f"t.{quoted(column)}" for column in table.columns)
    return f"SELECT {columns} FROM {quoted(table.name)} t LIMIT 0"


@cache
def _select(table: StateTable, size: int) -> str:
    columns = ", ".join(f"t.{quoted(column)}" for column in table.columns)
    return (
        f"SELECT v.column1, {columns} FROM ({values_of(2, size)}) v "
        f"CROSS JOIN {quoted(table.name)} t ON t.{quoted(table.key)} = v.column2"
    )


@cache
def _select_differing(table: StateTable, size: int) -> str:
    same = " AND ".join(
        f"t.{quoted(column)} IS v.column{place}" for place, column in enumerate(table.columns, 3)
    )
    return (
        "SELECT json_group_array(v.column1) "
        f"FROM ({values_of(2 + len(table.columns), size)}) v "
        f"LEFT JOIN {quoted(table.name)} t ON t.{quoted(table.key)} = v.column2 WHERE NOT ({same})"
    )


@cache
def _update(table: StateTable, puts: tuple[int, ...], size: int) -> str:
    sets = ", ".join(
        f"{quoted(table.columns[place])} = v.column{at}" for at, place in enumerate(puts, 2)
    )
    return (
        f"UPDATE {quoted(table.name)} SET {sets} FROM ({values_of(1 + len(puts), size)}) v "
        f"WHERE {quoted(table.name)}.{quoted(table.key)} = v.column1"
    )


@cache
def _delete(table: StateTable, size: int) -> str:
    return (
        f"DELETE FROM {quoted(table.name)} WHERE {quoted(table.key)} IN ({', '.join('?' * size)})"
    )
