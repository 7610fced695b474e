"""Rows of the users' own tables that keep states: read, compared and written in few statements."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from diptych.adapters.postgres.connection import Executes
from diptych.adapters.sql.quoting import quoted
from diptych.adapters.states import Change
from diptych.log.commit import Commit, StateRow, StateTable
from diptych.log.rows import Values

RowRequest: TypeAlias = tuple[str, str, StateTable, Any]
"""Tenant, stream, table, key."""

_COLUMNS = """
SELECT a.attname, format_type(CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.oid END, -1),
    t.typcategory = 'S'
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
WHERE a.attrelid = to_regclass($1::text) AND a.attnum > 0 AND NOT a.attisdropped
"""


class RowMoved(Exception):
    """Somebody's row has come under the same key while ours was written; nothing is committed."""


class RowTables:
    """The tables in one schema that keep states, with the types that their columns have."""

    def __init__(self, schema: str) -> None:
        self._schema = schema
        self._tables: dict[StateTable, _RowSql] = {}

    async def learn(self, connection: Executes, table: StateTable) -> list[str]:
        """Looks at a table.

        Returns:
            The columns that it lacks.
        """
        name = f"{self._schema}.{quoted(table.name)}"
        found = {row[0]: row for row in await connection.fetch(_COLUMNS, name)}
        missing = [column for column in table.columns if column not in found]
        if not missing:
            types = {column: found[column][1] for column in table.columns}
            texts = {column for column in table.columns if found[column][2]}
            self._tables[table] = _RowSql(
                name, f"{self._schema}.diptych_events", table, types, texts
            )
        return missing

    async def read(
        self, connection: Executes, requests: Sequence[RowRequest]
    ) -> list[tuple[int, Values | None]]:
        """Version and row of each stream, the two of one snapshot."""
        found: list[tuple[int, Values | None]] = [(0, None)] * len(requests)
        for table, places in _by_table([request[2] for request in requests]).items():
            sql = self._tables[table]
            rows = await connection.fetch(
                sql.select,
                [requests[place][0] for place in places],
                [requests[place][1] for place in places],
                [requests[place][3] for place in places],
            )
            for place, (version, *values) in zip(places, rows, strict=True):
                # Exactly this key: a column may take others for the same (citext).
                there = values[sql.key] == requests[place][3]
                found[place] = (version or 0, tuple(values) if there else None)
        return found

    async def hold(self, connection: Executes, commits: Sequence[Commit]) -> None:
        """Locks the rows that commits may write, before the store's lock is taken: whoever has a row
        locked, and waits for the store's lock, must not be waited for with that in hand."""
        rows = [a.row for commit in commits for a in commit.appends if a.row is not None]
        by_table = _by_table([row.table for row in rows])
        for table in sorted(by_table, key=lambda one: one.name):
            keys = [rows[place].key for place in by_table[table]]
            await connection.fetch(self._tables[table].hold, keys)

    async def differing(self, connection: Executes, rows: Sequence[StateRow]) -> set[int]:
        """Places of those that are not in the database as the decision knew them.

        Compared by the database, which knows what a column makes of a value.
        """
        found: set[int] = set()
        for table, places in _by_table([row.table for row in rows]).items():
            nothing = (None,) * len(table.columns)
            stood = [rows[place].stood for place in places]
            columns = zip(*[values or nothing for values in stood], strict=True)
            result = await connection.fetch(
                self._tables[table].differing,
                [rows[place].key for place in places],
                [values is not None for values in stood],
                *[list(column) for column in columns],
            )
            found |= {places[int(row[0]) - 1] for row in result}
        return found

    async def write(self, connection: Executes, changes: Iterable[Change]) -> None:
        """Writes what became of rows, each kind of change in one statement.

        Raises:
            RowMoved: One of them is there already.
        """
        for change in changes:
            sql = self._tables[change.table]
            if change.deletes:
                await connection.fetch(sql.delete, change.deletes)
            for puts, rows in change.inserts.items():
                written = await connection.fetch(sql.insert(puts), *_columns_of(rows))
                if len(written) < len(rows):
                    raise RowMoved(change.table.name)
            for puts, rows in change.updates.items():
                await connection.fetch(sql.update(puts), *_columns_of(rows))


class _RowSql:
    """The statements for one table."""

    def __init__(
        self,
        name: str,
        events: str,
        table: StateTable,
        types: Mapping[str, str],
        texts: set[str],
    ) -> None:
        self._name = name
        self._table = table
        self._types = types
        self.key = table.columns.index(table.key)
        key, of_key = quoted(table.key), types[table.key]
        columns = ", ".join(f"t.{quoted(column)}" for column in table.columns)
        self.select = (
            "SELECT (SELECT max(e.version) "
            f"FROM {events} e WHERE e.tenant = w.tenant AND e.stream = w.stream), {columns} "
            f"FROM unnest($1::text[], $2::text[], $3::{of_key}[]) WITH ORDINALITY "
            f"AS w (tenant, stream, key, n) LEFT JOIN {name} t ON t.{key} = w.key ORDER BY w.n"
        )
        self.hold = (
            f"SELECT 1 FROM {name} t WHERE t.{key} = ANY ($1::{of_key}[]) "
            f"ORDER BY t.{key} FOR UPDATE"
        )
        self.delete = f"DELETE FROM {name} t WHERE t.{key} = ANY ($1::{of_key}[])"
        wanted = ", ".join(
            f"${place}::{types[column]}[]" for place, column in enumerate(table.columns, 3)
        )
        names = ", ".join(f"c{place}" for place in range(len(table.columns)))
        same = " AND ".join(
            f"{_comparable(f't.{quoted(column)}', types[column], column in texts)} IS NOT DISTINCT "
            f"FROM {_comparable(f'w.c{place}', types[column], column in texts)}"
            for place, column in enumerate(table.columns)
        )
        self.differing = (
            f"SELECT w.n FROM unnest($1::{of_key}[], $2::boolean[], {wanted}) WITH ORDINALITY "
            f"AS w (key, there, {names}, n) LEFT JOIN {name} t ON t.{key} = w.key "
            f"WHERE (t.{key} IS NOT NULL) <> w.there OR (w.there AND NOT ({same}))"
        )
        self._inserts: dict[tuple[int, ...], str] = {}
        self._updates: dict[tuple[int, ...], str] = {}

    def insert(self, puts: tuple[int, ...]) -> str:
        """Of these columns; gives a row for each that was not there."""
        sql = self._inserts.get(puts)
        if sql is None:
            columns = [self._table.columns[place] for place in puts]
            named = ", ".join(quoted(column) for column in columns)
            given = ", ".join(f"${n}::{self._types[c]}[]" for n, c in enumerate(columns, 1))
            sql = self._inserts[puts] = (
                f"INSERT INTO {self._name} ({named}) SELECT * FROM unnest({given}) "
                f"ON CONFLICT ({quoted(self._table.key)}) DO NOTHING RETURNING 1"
            )
        return sql

    def update(self, puts: tuple[int, ...]) -> str:
        """Of these columns, by the key."""
        sql = self._updates.get(puts)
        if sql is None:
            columns = [self._table.columns[place] for place in puts]
            sets = ", ".join(f"{quoted(column)} = w.c{n}" for n, column in enumerate(columns))
            names = ", ".join(f"c{n}" for n in range(len(columns)))
            given = ", ".join(
                f"${n}::{self._types[c]}[]" for n, c in enumerate([self._table.key, *columns], 1)
            )
            sql = self._updates[puts] = (
                f"UPDATE {self._name} t SET {sets} FROM unnest({given}) AS w (key, {names}) "
                f"WHERE t.{quoted(self._table.key)} = w.key"
            )
        return sql


def _comparable(value: str, type_: str, is_text: bool) -> str:
    """What differs wherever the value does: a type may find others equal, or not compare at all."""
    if is_text:
        return f'{value}::text COLLATE "C"'
    return f"{value}::text" if type_ == "json" else value


def _by_table(tables: Iterable[StateTable]) -> dict[StateTable, list[int]]:
    found: dict[StateTable, list[int]] = {}
    for place, table in enumerate(tables):
        found.setdefault(table, []).append(place)
    return found


def _columns_of(rows: Sequence[Values]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]
