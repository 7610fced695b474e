"""Whose database it is, of which format, and whether its names mean what the code says."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from typing import TypeAlias

import msgspec
from asyncpg import exceptions as pg

from diptych.adapters.postgres.address import Address
from diptych.adapters.postgres.connection import (
    ERRORS,
    OLDEST,
    Connection,
    Executes,
    connect,
    fault,
    under_lock,
)
from diptych.adapters.postgres.rights import refuse_to_create, refuse_without_rights
from diptych.adapters.postgres.schema import FORMAT, INCARNATION, Statements, migration
from diptych.errors import ForeignStore, StoreUnavailable
from diptych.log.names import Stamp, compare
from diptych.read.port import Origin

_decode_shape = msgspec.json.Decoder(dict[str, str]).decode
_log = logging.getLogger("diptych.postgres")

Owner: TypeAlias = tuple[int, str, str, bool]
"""Format, context, epoch, and whether it is the incarnation that it says it is."""

MIGRATING = 3600.0
"""Seconds that the steps to today's format may take."""

_RESTORED = (
    "A backup was restored, or a replica has become the primary, so events may be gone of which "
    "somebody has a receipt."
)

VIEWS = Stamp("store", "views", 1, {})
"""Marks a store that keeps views of a log which is elsewhere."""


async def look(connection: Executes, sql: Statements) -> Owner | None:
    """Who owns the store; None where there is none."""
    (row,) = await connection.fetch(
        "SELECT to_regclass($1::text) IS NOT NULL", f"{sql.schema}.diptych_store"
    )
    if not row[0]:
        return None
    rows = await connection.fetch(sql.select_format)
    if not rows:
        return FORMAT, "", "", False
    format, context, epoch, stands = rows[0]
    return format, context, epoch, stands


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
    await refuse_server(connection, address)
    async with under_lock(connection, address):
        owner = await migrate(connection, address, sql)
        refuse_another(owner, address, context)
        epoch = await own(connection, address, sql, owner, context)
        stored = await stored_stamps(connection, sql)
        if VIEWS in stored:
            raise ForeignStore(
                f"{address.where} keeps views of a log that is elsewhere. Name another schema "
                "(?schema=…), or another database, for the app."
            )
        used = {
            row[0]
            for row in await connection.fetch(
                f"SELECT n FROM unnest($1::text[]) AS u (n) WHERE EXISTS "
                f"(SELECT 1 FROM {sql.schema}.diptych_events e WHERE e.name = n)",
                _doubtful(stored, stamps),
            )
        }
        await remember(connection, sql, compare(stored, stamps, used.__contains__))
    return epoch


def refuse_another(owner: Owner | None, address: Address, context: str) -> None:
    """Whether it is this app's.

    Raises:
        ForeignStore: It is another context's, or of a newer format.
    """
    if owner is not None and owner[0] > FORMAT:
        raise ForeignStore(
            f"{address.where} has store format {owner[0]}, this diptych writes {FORMAT}. "
            "Use the version of diptych that wrote it, or a newer one."
        )
    if owner is not None and owner[1] and owner[1] != context:
        raise ForeignStore(
            f"{address.where} belongs to context {owner[1]!r}, this app is {context!r}. Give "
            "each context a schema of its own (?schema=…), or a database."
        )


async def prepare_views(
    connection: Connection,
    address: Address,
    sql: Statements,
    origin: Origin,
    stamps: Sequence[Stamp],
) -> str:
    """Creates or checks a store that keeps views beside their log; returns the log's epoch.

    Raises:
        ForeignStore: It has another log's views, or a log.
        SchemaChanged: A view's fields changed, but not its version.
    """
    await refuse_server(connection, address)
    async with under_lock(connection, address):
        owner = await migrate(connection, address, sql)
        if owner is None or not owner[1]:
            await _write_owner(connection, sql, origin.context, origin.epoch, "")
            await remember(connection, sql, [VIEWS])
            stored = [VIEWS]
        else:
            stored = await stored_stamps(connection, sql)
            if VIEWS not in stored:
                raise ForeignStore(
                    f"{address.where} is the store of context {owner[1]!r}, with a log. Name "
                    "another schema (?schema=…), or another database, for the views."
                )
            if owner[1:3] != (origin.context, origin.epoch):
                raise ForeignStore(
                    f"{address.where} keeps views of context {owner[1]!r}, epoch {owner[2]}; this "
                    f"is {origin.context!r}, epoch {origin.epoch}. Drop it (DROP SCHEMA … CASCADE, "
                    "or the database): its views fill anew."
                )
        await remember(connection, sql, compare(stored, stamps, lambda _: False))
    return origin.epoch


def _doubtful(stored: Sequence[Stamp], stamps: Sequence[Stamp]) -> list[str]:
    """Names of events in doubt, of which it must be known whether there are any."""
    found: set[str] = set()

    def note(name: str) -> bool:
        found.add(name)
        return False

    compare(stored, stamps, note)
    return sorted(found)


async def refuse_server(connection: Executes, address: Address) -> None:
    """PostgreSQL 15 is needed, and a server that can be written.

    Raises:
        StoreUnavailable: It is an older one, or a replica.
    """
    ((version, replica),) = await connection.fetch(
        "SELECT current_setting('server_version_num')::int, pg_is_in_recovery()"
    )
    if version < OLDEST:
        raise StoreUnavailable(
            f"{address.where}: PostgreSQL {version // 10_000} is too old; {OLDEST // 10_000} is "
            "needed. Upgrade the server."
        )
    if replica:
        raise StoreUnavailable(
            f"{address.where}: it is a replica, which cannot be written. Name the primary in the "
            "store's URL."
        )


async def migrate(connection: Connection, address: Address, sql: Statements) -> Owner | None:
    """Brings the tables to today's format, under the lock; returns whose they were.

    Raises:
        ForeignStore: They are of a newer format.
        StoreUnavailable: A right is missing to use them, or to create them.
    """
    await refuse_without_rights(connection, address)
    owner = await look(connection, sql)
    found = 0 if owner is None else owner[0]
    if found > FORMAT:
        refuse_another(owner, address, "")
    steps = migration(sql.schema, address.lock, found)
    if steps:
        await refuse_to_create(connection, address, found, FORMAT)
        await connection.execute(steps, timeout=MIGRATING)
    return owner


async def own(
    connection: Executes, address: Address, sql: Statements, owner: Owner | None, context: str
) -> str:
    """Writes down whose it is, if that is new; returns the epoch.

    A database that was restored from a backup, or whose server was replaced by a replica, may have
    lost events that somebody holds a receipt of: it begins a new epoch.
    """
    if owner is not None and owner[3]:
        return owner[2]
    ((incarnation,),) = await connection.fetch(
        f"SELECT {INCARNATION}", f"{sql.schema}.diptych_store"
    )
    epoch = os.urandom(16).hex()
    if owner is None or not owner[1]:
        await _write_owner(connection, sql, context, epoch, incarnation)
        return epoch
    _log.warning("%s begins a new epoch; older receipts are refused. %s", address.where, _RESTORED)
    await connection.fetch(
        f"UPDATE {sql.schema}.diptych_store SET epoch = $1::text, incarnation = $2::text",
        epoch,
        incarnation,
    )
    return epoch


async def verify(connection: Executes, address: Address, sql: Statements, epoch: str) -> None:
    """Whether a new connection leads to the log that was opened.

    Raises:
        ForeignStore: It leads to another incarnation of it.
        StoreUnavailable: It leads to a replica.
    """
    try:
        rows = await connection.fetch(sql.select_incarnation)
    except (pg.UndefinedTableError, pg.InvalidSchemaNameError):
        rows = []
    if rows and rows[0][0]:
        raise StoreUnavailable(
            f"{address.where}: it is a replica now, which cannot be written. Name the primary in "
            "the store's URL."
        )
    if not rows or rows[0][1] != epoch or not rows[0][2]:
        raise rewound(address)


async def connect_to_log(address: Address, sql: Statements, epoch: str) -> Connection:
    """A connection to the log that was opened.

    Raises:
        StoreFault: There is none to be had, or it leads to another log.
    """
    connection = await connect(address)
    try:
        await verify(connection, address, sql, epoch)
    except BaseException as error:
        connection.terminate()
        if isinstance(error, ERRORS):
            raise fault(error, address.where) from error
        raise
    return connection


def rewound(address: Address) -> ForeignStore:
    """The error of who finds another log than the one that was opened."""
    return ForeignStore(
        f"{address.where} is not the log that was opened. {_RESTORED} Open the app again: that "
        "begins a new epoch, in which older receipts are refused."
    )


async def _write_owner(
    connection: Executes, sql: Statements, context: str, epoch: str, incarnation: str
) -> None:
    await connection.fetch(
        f"INSERT INTO {sql.schema}.diptych_store (id, format, context, epoch, incarnation) "
        "VALUES (1, $1::integer, $2::text, $3::text, $4::text) ON CONFLICT (id) DO UPDATE SET "
        "context = excluded.context, epoch = excluded.epoch, incarnation = excluded.incarnation",
        FORMAT,
        context,
        epoch,
        incarnation,
    )


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
