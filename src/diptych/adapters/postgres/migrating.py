"""What a store on PostgreSQL lacks, as SQL: for teams who apply it themselves."""

from __future__ import annotations

from asyncpg import exceptions as pg

from diptych.adapters.postgres.address import Address
from diptych.adapters.postgres.connection import ERRORS, connect, fault
from diptych.adapters.postgres.preparing import look, refuse_another
from diptych.adapters.postgres.reading import SNAPSHOT
from diptych.adapters.postgres.schema import migration, statements
from diptych.errors import StoreUnavailable


async def found_format(address: Address, context: str) -> int:
    """The format of a store; 0 where there is none, or no database yet.

    Raises:
        ForeignStore: It is another context's, or of a newer format.
        StoreFault: It cannot be read.
    """
    try:
        connection = await connect(address)
    except StoreUnavailable as error:
        if isinstance(error.__cause__, pg.InvalidCatalogNameError):
            return 0
        raise
    try:
        await connection.execute(SNAPSHOT)
        owner = await look(connection, statements(address.schema))
    except ERRORS as error:
        raise fault(error, address.where) from error
    finally:
        await connection.close()
    refuse_another(owner, address, context)
    return 0 if owner is None else owner[0]


def script(address: Address, found: int) -> str:
    """A whole transaction that brings the tables from a format to today's; "" where they are.

    It may be applied while apps run, and fails where somebody else has applied it before.
    """
    steps = migration(address.schema, address.lock, found)
    if not steps:
        return ""
    lock = f"SELECT pg_advisory_xact_lock({address.lock[0]}, {address.lock[1]});\n\n"
    return f"BEGIN;\n\n{lock}{_refuse_other(address, found)}{steps}\nCOMMIT;\n"


def _refuse_other(address: Address, found: int) -> str:
    if not found:
        return ""  # the tables are there already then
    return (
        "DO $$ BEGIN\n"
        f"    IF (SELECT format FROM {address.schema}.diptych_store) <> {found} THEN\n"
        f"        RAISE EXCEPTION 'the store of diptych is not of format {found}';\n"
        "    END IF;\n"
        "END $$;\n\n"
    )
