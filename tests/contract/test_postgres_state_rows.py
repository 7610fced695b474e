"""The store on PostgreSQL keeps states in rows of the user's tables."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table
from sqlalchemy.orm import registry

from diptych.adapters.postgres.address import address
from diptych.adapters.postgres.store import PostgresStore
from diptych.errors import SchemaChanged
from diptych.log.commit import Appended, StateRow
from tests.contract.commits import CONTEXT, WAITING
from tests.contract.state_rows import Program, Seat, StateRows, decided, kinds
from tests.integration.other_program import OtherProgram


def store_in(url: str) -> PostgresStore:
    return PostgresStore(address(url), waiting=WAITING)


class TestPostgresStateRows(StateRows):
    @pytest.fixture
    async def store(self, postgres: str) -> AsyncIterator[PostgresStore]:
        store = store_in(postgres)
        store.map_row(Seat)
        await store.open(CONTEXT, [])
        yield store
        await store.close()

    @pytest.fixture
    def program(self, store: PostgresStore, postgres: str) -> Iterator[Program]:
        program = OtherProgram(postgres)
        yield program
        program.close()

    async def test_a_database_that_has_the_table_already_becomes_the_store(
        self, postgres: str
    ) -> None:
        program = OtherProgram(postgres)
        program(
            "CREATE TABLE seats (id text PRIMARY KEY, free int, code text, beside text, more int)"
        )
        program("INSERT INTO seats (id, free) VALUES ('a', 5)")
        program.close()
        store = store_in(postgres)
        mapping = store.map_row(Seat)
        await store.open(CONTEXT, [])
        assert await store.read_row("", "seat:a", mapping.table, "a") == (0, ("a", 5, None, None))
        await store.close()

    async def test_where_the_tables_are_there_no_right_to_create_one_is_needed(
        self, store: PostgresStore, postgres: str, program: Program
    ) -> None:
        role = f"clerk_{secrets.token_hex(4)}"
        program(f"CREATE ROLE {role} LOGIN PASSWORD 'clerk'")
        try:
            program(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")
            user, _, server = postgres.partition("@")
            clerks = store_in(f"{user.partition('//')[0]}//{role}:clerk@{server}")
            clerks.map_row(Seat)
            await clerks.open(CONTEXT, [])
            await clerks.close()
        finally:
            program(f"DROP OWNED BY {role}")
            program(f"DROP ROLE {role}")

    async def test_a_table_without_a_mapped_column_is_refused_by_name(self, postgres: str) -> None:
        program = OtherProgram(postgres)
        program("CREATE TABLE seats (id text PRIMARY KEY, code text, beside text)")
        program.close()
        store = store_in(postgres)
        store.map_row(Seat)
        with pytest.raises(SchemaChanged, match=r"'seats' is not as Seat maps it.*free.*Migrate"):
            await store.open(CONTEXT, [])

    async def test_names_are_quoted_whatever_they_are(self, postgres: str) -> None:
        class Odd:
            pass

        table = Table(
            'select "x"',
            MetaData(),
            Column("group by", String, primary_key=True),
            Column("column1", Integer),
        )
        registry().map_imperatively(Odd, table)
        store = store_in(postgres)
        mapping = store.map_row(Odd)
        await store.open(CONTEXT, [])
        changes: list[tuple[Any, Any, tuple[int, ...]]] = [
            (None, ("k", 1), (0, 1)),
            (("k", 1), ("k", 2), (1,)),
            (("k", 2), None, ()),
        ]
        for stood, becomes, puts in changes:
            row = StateRow(table=mapping.table, key="k", stood=stood, becomes=becomes, puts=puts)
            assert await kinds(store, decided(row)) == [Appended]
            assert await store.read_row("", "seat:x", mapping.table, "k") == (0, becomes)
        await store.close()
