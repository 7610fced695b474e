"""The store on a file keeps states in rows of the user's tables."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table
from sqlalchemy.orm import registry

from diptych.adapters.sqlite.store import SqliteStore
from diptych.errors import ForeignStore, SchemaChanged
from diptych.log.commit import Appended, StateRow
from tests.contract.commits import CONTEXT, WAITING
from tests.contract.state_rows import Program, Seat, StateRows, decided, kinds


class TestSqliteStateRows(StateRows):
    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        return tmp_path / "seats.db"

    @pytest.fixture
    async def store(self, file: Path) -> AsyncIterator[SqliteStore]:
        store = SqliteStore(file, waiting=WAITING)
        store.map_row(Seat)
        await store.open(CONTEXT, [])
        yield store
        await store.close()

    @pytest.fixture
    def program(self, store: SqliteStore, file: Path) -> Iterator[Program]:
        connection = sqlite3.connect(file, isolation_level=None)

        def execute(sql: str, values: Sequence[Any] = ()) -> list[Any]:
            return connection.execute(sql, values).fetchall()

        yield execute
        connection.close()

    async def test_a_database_that_has_the_table_already_becomes_the_store(
        self, file: Path
    ) -> None:
        connection = sqlite3.connect(file)
        connection.executescript(
            "CREATE TABLE seats (id TEXT PRIMARY KEY, free INT, code TEXT, beside TEXT, more INT);"
            "INSERT INTO seats (id, free) VALUES ('a', 5);"
        )
        connection.close()
        store = SqliteStore(file, waiting=WAITING)
        mapping = store.map_row(Seat)
        await store.open(CONTEXT, [])
        assert await store.read_row("", "seat:a", mapping.table, "a") == (0, ("a", 5, None, None))
        await store.close()

    async def test_a_database_of_another_program_is_refused_as_ever(self, file: Path) -> None:
        connection = sqlite3.connect(file)
        connection.execute("CREATE TABLE others (id)")
        connection.close()
        store = SqliteStore(file, waiting=WAITING)
        store.map_row(Seat)
        with pytest.raises(ForeignStore, match="others"):
            await store.open(CONTEXT, [])

    async def test_a_table_without_a_mapped_column_is_refused_by_name(self, file: Path) -> None:
        connection = sqlite3.connect(file)
        connection.execute("CREATE TABLE seats (id TEXT PRIMARY KEY, code TEXT, beside TEXT)")
        connection.close()
        store = SqliteStore(file, waiting=WAITING)
        store.map_row(Seat)
        with pytest.raises(SchemaChanged, match=r"'seats' is not as Seat maps it.*free.*Migrate"):
            await store.open(CONTEXT, [])

    async def test_values_are_compared_as_the_column_keeps_them(
        self, store: SqliteStore, program: Program
    ) -> None:
        """An INT in a TEXT column is text afterwards, and so on."""
        mapping = store.map_row(Seat)
        stood = ("a", "5", 7, None)  # free is INTEGER, code is VARCHAR
        row = StateRow(table=mapping.table, key="a", stood=None, becomes=stood, puts=(0, 1, 2, 3))
        assert await kinds(store, decided(row)) == [Appended]
        assert program("SELECT free, code FROM seats") == [(5, "7")]
        looks = StateRow(table=mapping.table, key="a", stood=stood, becomes=stood)
        assert await kinds(store, decided(looks, happens=False)) == [Appended]

    async def test_names_are_quoted_whatever_they_are(self, file: Path) -> None:
        class Odd:
            pass

        table = Table(
            'select "x"',
            MetaData(),
            Column("group by", String, primary_key=True),
            Column("column1", Integer),
        )
        registry().map_imperatively(Odd, table)
        store = SqliteStore(file, waiting=WAITING)
        mapping = store.map_row(Odd)
        await store.open(CONTEXT, [])
        for stood, becomes, puts in [
            (None, ("k", 1), (0, 1)),
            (("k", 1), ("k", 2), (1,)),
            (("k", 2), None, ()),
        ]:
            row = StateRow(table=mapping.table, key="k", stood=stood, becomes=becomes, puts=puts)
            assert await kinds(store, decided(row)) == [Appended]
            assert await store.read_row("", "seat:x", mapping.table, "k") == (0, becomes)
        await store.close()
