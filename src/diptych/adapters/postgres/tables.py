"""The tables of views on PostgreSQL: how they are made, written and read by key."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from asyncpg import exceptions as pg

from diptych.adapters.postgres.columns import POSTGRES
from diptych.adapters.postgres.connection import Executes
from diptych.adapters.sql.columns import RowCodec
from diptych.adapters.sql.quoting import quoted
from diptych.errors import BadResult
from diptych.log.commit import Rows
from diptych.log.inline import Key
from diptych.message import Position
from diptych.read.port import Loaded, Shape

LONGEST = 63
"""Bytes of a name; PostgreSQL cuts off the rest."""


class ViewTable:
    """One version of a view as a table.

    Args:
        schema: Where it is.
    """

    def __init__(self, shape: Shape, schema: str) -> None:
        self.shape = shape
        self.codec = RowCodec(shape, POSTGRES)
        self.name = _name(shape)
        self.qualified = f"{schema}.{quoted(self.name)}"
        columns = self.codec.columns
        self._types = tuple(column.sql.partition(" COLLATE")[0] for column in columns)
        by_name = dict(zip(self.codec.names, self._types, strict=True))
        self._key_at = self.codec.names.index(shape.key[0])
        selected = ", ".join(f"t.{quoted(name)}" for name in self.codec.names)
        key = [(f"t.{quoted(name)}", by_name[name]) for name in shape.key]
        self._all = f"SELECT {selected} FROM {self.qualified} t"
        one = " AND ".join(f"{name} = ${n}::{type_}" for n, (name, type_) in enumerate(key, 1))
        self._get = f"{self._all} WHERE {one}"
        self._read = self._all + _among(key, 1)
        self._load = (
            f"SELECT c.position, r.* FROM (SELECT coalesce((SELECT position "
            f"FROM {schema}.diptych_checkpoints WHERE name = $1::text), 0) AS position) c "
            f"LEFT JOIN LATERAL ({self._all}{_among(key, 2)}) r ON true"
        )

    def create(self) -> str:
        """The DDL."""
        columns = [
            f"{quoted(column.name)} {column.sql}" + ("" if column.nullable else " NOT NULL")
            for column in self.codec.columns
        ]
        key = ", ".join(map(quoted, self.shape.key))
        return (
            f"CREATE TABLE IF NOT EXISTS {self.qualified} "
            f"({', '.join(columns)}, PRIMARY KEY ({key}))"
        )

    def rows(self, upserts: Sequence[Any], deletes: Sequence[Key]) -> Rows:
        """What a commit should write."""
        return Rows(
            table=self.name,
            columns=self.codec.names,
            key=self.shape.key,
            types=self._types,
            upserts=tuple(map(self.codec.encode, upserts)),
            deletes=tuple(map(self.codec.encode_key, deletes)),
        )

    async def read(self, connection: Executes, keys: Sequence[Key]) -> Mapping[Key, Any]:
        """The rows of these keys that exist, in one statement."""
        if not keys:
            return {}
        return self._by_key(await connection.fetch(self._read, *self._columns_of(keys)))

    async def load(self, connection: Executes, keys: Sequence[Key]) -> Loaded:
        """The same with the checkpoint, both of one snapshot, in one trip."""
        found = await connection.fetch(self._load, self.shape.checkpoint, *self._columns_of(keys))
        position: Position = found[0][0]
        rows = [row[1:] for row in found]
        return Loaded(position, self._by_key(r for r in rows if r[self._key_at] is not None))

    async def get(self, connection: Executes, key: Key) -> Any | None:
        """One row, or None."""
        found = await connection.fetch(self._get, *self.codec.encode_key(key))
        return self.codec.decode(found[0]) if found else None

    async def all(self, connection: Executes) -> list[Any]:
        """All rows."""
        return list(map(self.codec.decode, await connection.fetch(self._all)))

    def _columns_of(self, keys: Sequence[Key]) -> list[list[Any]]:
        return _transposed(list(map(self.codec.encode_key, keys)), len(self.shape.key))

    def _by_key(self, rows: Iterable[Sequence[Any]]) -> dict[Key, Any]:
        decode, key_of = self.codec.decode, self.codec.key_of
        return {key_of(row): row for row in map(decode, rows)}


def _name(shape: Shape) -> str:
    name = f"view_{shape.view.replace('-', '_')}_{shape.version}"
    data = name.encode()
    if len(data) <= LONGEST:
        return name
    return f"{data[: LONGEST - 9].decode(errors='ignore')}_{zlib.crc32(data):08x}"


def _among(key: Sequence[tuple[str, str]], first: int) -> str:
    """Follows a FROM: only rows whose key is one of those in arrays, each a parameter.

    Args:
        key: Columns and their types.
        first: Number of the first array.
    """
    if len(key) == 1:
        ((name, type_),) = key
        return f" WHERE {name} = ANY (${first}::{type_}[])"
    arrays = ", ".join(f"${n}::{type_}[]" for n, (_, type_) in enumerate(key, first))
    names = ", ".join(f"k{n}" for n in range(len(key)))
    equal = " AND ".join(f"{name} = k.k{n}" for n, (name, _) in enumerate(key))
    return f" JOIN unnest({arrays}) AS k ({names}) ON {equal}"


def _transposed(rows: Sequence[Sequence[Any]], width: int) -> list[list[Any]]:
    return [[row[column] for row in rows] for column in range(width)]


async def write_rows(connection: Executes, schema: str, rows: Rows) -> None:
    """Writes one commit's rows of one table, in one statement for each kind.

    Raises:
        BadResult: An index does not take a key.
    """
    name = f"{schema}.{quoted(rows.table)}"
    try:
        if rows.upserts:
            upsert = _upsert(name, rows.columns, rows.key, rows.types)
            await connection.fetch(upsert, *_transposed(rows.upserts, len(rows.columns)))
        if rows.deletes:
            delete = _delete(name, rows.columns, rows.key, rows.types)
            await connection.fetch(delete, *_transposed(rows.deletes, len(rows.key)))
    except pg.ProgramLimitExceededError as error:
        raise BadResult(
            f"table {rows.table}", f"has a row that cannot be kept: {error}. Make its key shorter."
        ) from error


@cache
def _upsert(
    name: str, columns: tuple[str, ...], key: tuple[str, ...], types: tuple[str, ...]
) -> str:
    arrays = ", ".join(f"${n}::{type_}[]" for n, type_ in enumerate(types, 1))
    update = ", ".join(f"{quoted(c)} = excluded.{quoted(c)}" for c in columns if c not in key)
    return (
        f"INSERT INTO {name} ({', '.join(map(quoted, columns))}) SELECT * FROM unnest({arrays}) "
        f"ON CONFLICT ({', '.join(map(quoted, key))}) "
        f"DO {f'UPDATE SET {update}' if update else 'NOTHING'}"
    )


@cache
def _delete(
    name: str, columns: tuple[str, ...], key: tuple[str, ...], types: tuple[str, ...]
) -> str:
    by_name = dict(zip(columns, types, strict=True))
    arrays = ", ".join(f"${n}::{by_name[column]}[]" for n, column in enumerate(key, 1))
    names = ", ".join(f"k{n}" for n in range(len(key)))
    equal = " AND ".join(f"t.{quoted(column)} = k.k{n}" for n, column in enumerate(key))
    return f"DELETE FROM {name} t USING unnest({arrays}) AS k ({names}) WHERE {equal}"
