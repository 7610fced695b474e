"""The tables of views on SQLite: how they are made, written and read by key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import msgspec

from diptych.adapters.sql.columns import RowCodec
from diptych.adapters.sql.quoting import quoted
from diptych.adapters.sqlite.connection import DECIMAL, Executes
from diptych.log.commit import Rows
from diptych.read.port import Shape

_encode = msgspec.json.encode


class ViewTable:
    """One version of a view as a table."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.codec = RowCodec(shape)
        self.name = f"view_{shape.view.replace('-', '_')}_{shape.version}"
        self.has_decimals = any(column.sql == "DECIMAL" for column in self.codec.columns)
        self._columns = ", ".join(map(quoted, self.codec.names))

    def create(self) -> str:
        """The DDL. STRICT: a value of another type is refused, not bent."""
        columns = [
            f"{quoted(column.name)} "
            + (f"TEXT COLLATE {DECIMAL}" if column.sql == "DECIMAL" else column.sql)
            + ("" if column.nullable else " NOT NULL")
            for column in self.codec.columns
        ]
        key = ", ".join(map(quoted, self.shape.key))
        return (
            f"CREATE TABLE IF NOT EXISTS {quoted(self.name)} "
            f"({', '.join(columns)}, PRIMARY KEY ({key})) STRICT, WITHOUT ROWID"
        )

    def rows(self, upserts: Sequence[Any], deletes: Sequence[tuple[Any, ...]]) -> Rows:
        """What a commit should write."""
        return Rows(
            table=self.name,
            columns=self.codec.names,
            key=self.shape.key,
            upserts=tuple(map(self.codec.encode, upserts)),
            deletes=tuple(map(self.codec.encode_key, deletes)),
        )

    def read(
        self, connection: Executes, keys: Sequence[tuple[Any, ...]]
    ) -> dict[tuple[Any, ...], Any]:
        """The rows of these keys that exist, in one statement."""
        if not keys:
            return {}
        encoded = [self.codec.encode_key(key) for key in keys]
        if any("\0" in part for key in encoded for part in key if part.__class__ is str):
            # SQLite's JSON functions end a text at NUL; a row by itself is found as it is.
            found = [self.get(connection, key) for key in keys]
            return {key: row for key, row in zip(keys, found, strict=True) if row is not None}
        if len(self.shape.key) == 1:
            marks = "SELECT value FROM json_each(?)"
            values = _encode([key[0] for key in encoded])
        else:
            parts = (f"json_extract(value, '$[{i}]')" for i in range(len(self.shape.key)))
            marks = f"SELECT {', '.join(parts)} FROM json_each(?)"
            values = _encode(encoded)
        key = ", ".join(map(quoted, self.shape.key))
        sql = f"SELECT {self._columns} FROM {quoted(self.name)} WHERE ({key}) IN ({marks})"
        found = connection.execute(sql, (values.decode(),)).fetchall()
        decode, key_of = self.codec.decode, self.codec.key_of
        return {key_of(row): row for row in map(decode, found)}

    def all(self, connection: Executes) -> list[Any]:
        """All rows."""
        found = connection.execute(f"SELECT {self._columns} FROM {quoted(self.name)}").fetchall()
        return [self.codec.decode(row) for row in found]

    def get(self, connection: Executes, key: tuple[Any, ...]) -> Any | None:
        """One row, or None."""
        where = " AND ".join(f"{quoted(name)} = ?" for name in self.shape.key)
        found = connection.execute(
            f"SELECT {self._columns} FROM {quoted(self.name)} WHERE {where}",
            self.codec.encode_key(key),
        ).fetchone()
        return None if found is None else self.codec.decode(found)


CHUNKS = (64, 8, 1)
"""Rows of one INSERT: few sizes, so that their statements stay prepared."""


def insert_many(
    connection: Executes,
    into: str,
    width: int,
    rows: Sequence[Sequence[Any]],
    then: str = "",
) -> None:
    """Inserts rows in few statements.

    `executemany` lets go of Python's lock for every row, and waits for it again while the loop is
    busy: a hundred times slower then (measured).

    Args:
        into: The table and its columns, quoted.
        width: Number of the columns.
        then: What follows the values.
    """
    for at, size in chunks(len(rows)):
        values = [value for row in rows[at : at + size] for value in row]
        connection.execute(_insert(into, width, size, then), values)


def chunks(count: int) -> Iterator[tuple[int, int]]:
    """Where each statement begins, and its size."""
    at = 0
    for size in CHUNKS:
        while count - at >= size:
            yield at, size
            at += size


def values_of(width: int, size: int) -> str:
    """A VALUES clause: a table whose columns are column1, column2…"""
    return "VALUES " + ", ".join((f"({', '.join('?' * width)})",) * size)


@cache
def _delete(name: str, key: str, width: int, size: int) -> str:
    return f"DELETE FROM {name} WHERE ({key}) IN ({values_of(width, size)})"


@cache
def _insert(into: str, width: int, size: int, then: str) -> str:
    return f"INSERT INTO {into} {values_of(width, size)}{then}"


def write_rows(connection: Executes, rows: Rows) -> None:
    """Writes one commit's rows of one table, in one statement for each kind."""
    name = quoted(rows.table)
    key = ", ".join(map(quoted, rows.key))
    if rows.upserts:
        others = [column for column in rows.columns if column not in rows.key]
        update = ", ".join(f"{quoted(c)} = excluded.{quoted(c)}" for c in others)
        action = f"UPDATE SET {update}" if others else "NOTHING"
        insert_many(
            connection,
            f"{name} ({', '.join(map(quoted, rows.columns))})",
            len(rows.columns),
            rows.upserts,
            f" ON CONFLICT ({key}) DO {action}",
        )
    if rows.deletes:
        for at, size in chunks(len(rows.deletes)):
            values = [value for row in rows.deletes[at : at + size] for value in row]
            connection.execute(_delete(name, key, len(rows.key), size), values)
