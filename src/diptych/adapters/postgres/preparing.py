"""Whose database it is, of which format, and whether its names mean what the code says."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from diptych.adapters.postgres.address import Address
from diptych.adapters.postgres.connection import OLDEST, Connection, Executes, begin
from diptych.adapters.postgres.schema import FORMAT, Statements, migration
from diptych.errors import ForeignStore, StoreUnavailable
from diptych.log.names import Stamp, compare

_decode_shape = msgspec.json.Decoder(dict[str, str]).decode
_log = logging.getLogger("diptych.postgres")

Owner: TypeAlias = tuple[int, str, str, str]
"""Format, context, epoch, incarnation."""

_INCARNATION = """
SELECT (SELECT system_identifier FROM pg_control_system()) || '/'
    || (SELECT timeline_id FROM pg_control_checkpoint()) || '/'
    || (SELECT oid FROM pg_database WHERE datname = current_database()) || '/'
    || $1::text::regclass::oid
"""


async def look(connection: Executes, sql: Statements) -> Owner | None:
    """Who owns the store; None where there is none."""
    (row,) = await connection.fetch(
        "SELECT to_regclass($1::text) IS NOT NULL", f"{sql.schema}.diptych_store"
    )
    if not row[0]:
        return None
    rows = await connection.fetch(sql.select_format)
    if not rows:
        return FORMAT, "", "", ""
    format, context, epoch, incarnation = rows[0]
    return format, context, epoch, incarnation


async def prepare_log(
    connection: Connection,
    address: Address,
    sql: Statements,
    context: str,
    stamps: Sequence[Stamp],
) -> str:
    """Creates or checks the tables and names of a log; returns the epoch.

    Ten processes may do so at once: whoever has the lock first does the work. Where nothing is to
    be done, nothing is written, so that a user without the right to create tables will do.

    Raises:
        ForeignStore: It is another context's, or of a newer format.
        SchemaChanged: The code cannot read what it holds.
    """
    await refuse_old_server(connection, address)
    await connection.execute(begin(address.lock))
    try:
        owner = await migrate(connection, address, sql)
        if owner is not None and owner[1] and owner[1] != context:
            raise ForeignStore(
                f"{address.where} belongs to context {owner[1]!r}, this app is {context!r}. Give "
                "each context a schema of its own (?schema=…), or a database."
            )
        epoch = await own(connection, address, sql, owner, context)
        stored = await stored_stamps(connection, sql)
        used = {
            row[0]
            for row in await connection.fetch(
                f"SELECT n FROM unnest($1::text[]) AS u (n) WHERE EXISTS "
                f"(SELECT 1 FROM {sql.schema}.diptych_events e WHERE e.name = n)",
                _doubtful(stored, stamps),
            )
        }
        await remember(connection, sql, compare(stored, stamps, used.__contains__))
        await connection.execute("COMMIT")
    except BaseException:
        if not connection.is_closed():
            await connection.execute("ROLLBACK")
        raise
    return epoch


def _doubtful(stored: Sequence[Stamp], stamps: Sequence[Stamp]) -> list[str]:
    """Names of events in doubt, of which it must be known whether there are any."""
    found: set[str] = set()

    def note(name: str) -> bool:
        found.add(name)
        return False

    compare(stored, stamps, note)
    return sorted(found)


async def refuse_old_server(connection: Executes, address: Address) -> None:
    """PostgreSQL 15 is needed."""
    ((version,),) = await connection.fetch("SELECT current_setting('server_version_num')::int")
    if version < OLDEST:
        raise StoreUnavailable(
            f"{address.where}: PostgreSQL {version // 10_000} is too old; 15 is needed. "
            "Upgrade the server."
        )


async def migrate(connection: Connection, address: Address, sql: Statements) -> Owner | None:
    """Brings the tables to today's format, under the lock; returns whose they were.

    Raises:
        ForeignStore: They are of a newer format.
    """
    owner = await look(connection, sql)
    found = 0 if owner is None else owner[0]
    if found > FORMAT:
        raise ForeignStore(
            f"{address.where} has store format {found}, this diptych writes {FORMAT}. "
            "Use the version of diptych that wrote it, or a newer one."
        )
    steps = migration(sql.schema, address.lock, found)
    if steps:
        await connection.execute(steps)
    return owner


async def own(
    connection: Executes, address: Address, sql: Statements, owner: Owner | None, context: str
) -> str:
    """Writes down whose it is, if that is new; returns the epoch.

    A database that was restored from a backup, or whose server was replaced by a replica, may have
    lost events that somebody holds a receipt of: it begins a new epoch.
    """
    ((incarnation,),) = await connection.fetch(_INCARNATION, f"{sql.schema}.diptych_store")
    if owner is not None and owner[3] == incarnation:
        return owner[2]
    epoch = os.urandom(16).hex()
    if owner is None or not owner[1]:
        await connection.fetch(
            f"INSERT INTO {sql.schema}.diptych_store (id, format, context, epoch, incarnation) "
            "VALUES (1, $1::integer, $2::text, $3::text, $4::text)",
            FORMAT,
            context,
            epoch,
            incarnation,
        )
        return epoch
    _log.warning(
        "%s is not where it was written (it was restored, or its server replaced): it begins a "
        "new epoch, and receipts of the old one are refused",
        address.where,
    )
    await connection.fetch(
        f"UPDATE {sql.schema}.diptych_store SET epoch = $1::text, incarnation = $2::text",
        epoch,
        incarnation,
    )
    return epoch


async def stored_stamps(connection: Executes, sql: Statements) -> list[Stamp]:
    """What the store remembers of names."""
    rows = await connection.fetch(
        f"SELECT kind, name, schema, shape FROM {sql.schema}.diptych_names"
    )
    return [Stamp(kind, name, version, _decode_shape(shape)) for kind, name, version, shape in rows]


async def remember(connection: Executes, sql: Statements, stamps: Sequence[Stamp]) -> None:
    """Writes stamps down."""
    if not stamps:
        return
    await connection.fetch(
        f"INSERT INTO {sql.schema}.diptych_names (kind, name, schema, shape) "
        "SELECT * FROM unnest($1::text[], $2::text[], $3::integer[], $4::text[]) "
        "ON CONFLICT (kind, name) DO UPDATE SET schema = excluded.schema, shape = excluded.shape",
        [stamp.kind for stamp in stamps],
        [stamp.name for stamp in stamps],
        [stamp.schema for stamp in stamps],
        [msgspec.json.encode(stamp.shape).decode() for stamp in stamps],
    )
