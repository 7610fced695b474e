"""Users' tables on PostgreSQL: how their columns are converted, and made where they are missing."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import partial
from typing import Any

from asyncpg import exceptions as pg
from sqlalchemy import Table
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import DBAPIError

from diptych.adapters.postgres.address import Address
from diptych.adapters.postgres.connection import BEGIN, Executes, connect, fault, take
from diptych.adapters.postgres.engine import cause_of, open_engine
from diptych.adapters.postgres.rows import RowTables, quoted
from diptych.adapters.sql.mapped import MappedRow
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
    connection: Executes, address: Address, rows: RowTables, mapped: Iterable[MappedRow]
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


async def create_missing(connection: Executes, address: Address, tables: Collection[Table]) -> None:
    """Creates tables that are missing, with their types and indexes, under the store's lock.

    Where none is, nothing is locked, and no right to create anything is needed.
    """
    by_name = {
        f"{quoted(table.schema or address.schema)}.{quoted(table.name)}": table for table in tables
    }
    names = [
        row[0]
        for row in await connection.fetch(
            "SELECT n FROM unnest($1::text[]) AS u (n) WHERE to_regclass(n) IS NULL", list(by_name)
        )
    ]
    if not names:
        return
    metadata = {id(by_name[name].metadata): by_name[name].metadata for name in names}
    engine = open_engine(address, lambda: connect(address), size=1)
    try:
        async with engine.connect() as other:
            await other.execution_options(schema_translate_map={None: address.schema})
            driver: Any = (await other.get_raw_connection()).driver_connection
            await driver.execute(f"{BEGIN}; {take(address.lock)}")
            for one in metadata.values():
                only = [table for table in tables if table.metadata is one]
                await other.run_sync(partial(one.create_all, tables=only))
            await driver.execute("COMMIT")
    except DBAPIError as error:
        cause = cause_of(error)
        if isinstance(cause, pg.SyntaxOrAccessError) and not isinstance(
            cause, pg.InsufficientPrivilegeError
        ):
            raise WiringError(
                f"{', '.join(names)} cannot be created on PostgreSQL: {cause}. Create what is "
                "missing by a migration, or map it otherwise."
            ) from error
        raise fault(cause, address.where) from error
    finally:
        await engine.dispose()
