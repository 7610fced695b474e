"""Users' tables on PostgreSQL: how their columns are converted, and made where they are missing."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from asyncpg import exceptions as pg
from sqlalchemy import Connection as SqlConnection
from sqlalchemy import Table
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CheckFirst

from diptych.adapters.postgres.address import Address
from diptych.adapters.postgres.connection import Connection, begin, fault, search_path
from diptych.adapters.postgres.rows import RowTables
from diptych.adapters.postgres.statements import Lent, cause_of, let_go, sqlalchemy_on
from diptych.adapters.sql.mapped import MappedRow
from diptych.adapters.sql.quoting import quoted
from diptych.errors import SchemaChanged, WiringError


class RowDialect(PGDialect_asyncpg):
    """Converts for a connection of our own, which gives JSON as text."""

    supports_statement_cache = True
    supports_native_json_deserialization = False


def row_dialect() -> Dialect:
    """For the rows of a store here."""
    made: Any = RowDialect
    dialect: Dialect = made(dbapi=made.import_dbapi())
    return dialect


async def prepare_rows(
    connection: Connection, address: Address, rows: RowTables, mapped: Iterable[MappedRow]
) -> None:
    """Makes tables that keep states, where they are missing, and looks at what columns they have.

    Raises:
        SchemaChanged: A mapped column is missing.
    """
    for one in mapped:
        await create_missing(connection, address, one.tables)
        missing = await rows.learn(connection, one.table)
        if missing:
            raise SchemaChanged(
                f"table {one.table.name!r} is not as {one.row.__name__} maps it: it has no column "
                f"{', '.join(missing)}. Migrate the table, or map it as it is."
            )


async def create_missing(
    connection: Connection, address: Address, tables: Collection[Table]
) -> None:
    """Creates tables that are missing, with their types and indexes, under the store's lock.

    Where none is, nothing is locked, and no right to create anything is needed.

    Raises:
        WiringError: A table is none for PostgreSQL.
        StoreFault: The server does not do it.
    """
    if not await _missing(connection, address, tables):
        return
    try:
        await connection.execute(f"{begin(address.lock)}; {search_path(address)}")
        missing = await _missing(connection, address, tables)
        sqlalchemy = await sqlalchemy_on(Lent(connection), address)
        try:
            await sqlalchemy.run_sync(_create, missing)
        finally:
            await let_go(sqlalchemy)
        await connection.execute("COMMIT")
    except DBAPIError as error:
        cause = cause_of(error)
        if isinstance(cause, pg.InsufficientPrivilegeError | pg.InterfaceError):
            raise fault(cause, address.where) from error
        raise WiringError(
            f"the tables cannot be created on PostgreSQL: {cause}. Create what is missing by a "
            "migration, or map it otherwise."
        ) from error
    finally:
        if connection.is_in_transaction():
            await connection.execute("ROLLBACK")


async def _missing(
    connection: Connection, address: Address, tables: Collection[Table]
) -> list[Table]:
    by_name = {
        f"{quoted(table.schema or address.schema)}.{quoted(table.name)}": table for table in tables
    }
    rows = await connection.fetch(
        "SELECT n FROM unnest($1::text[]) AS u (n) WHERE to_regclass(n) IS NULL", list(by_name)
    )
    return [by_name[row[0]] for row in rows]


def _create(connection: SqlConnection, tables: Sequence[Table]) -> None:
    for metadata in dict.fromkeys(table.metadata for table in tables):
        own = [table for table in tables if table.metadata is metadata]
        metadata.create_all(connection, tables=own, checkfirst=CheckFirst.TYPES)
