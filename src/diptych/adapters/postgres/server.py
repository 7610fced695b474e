"""What a server says of itself, and of who stands in whose way there. Nothing is written."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from diptych.adapters.postgres.address import Address
from diptych.adapters.postgres.connection import visit
from diptych.adapters.postgres.presence import now
from diptych.adapters.postgres.reading import SNAPSHOT
from diptych.adapters.postgres.rights import grants, missing_rights


class Transaction(Struct, frozen=True, kw_only=True):
    """One that is open.

    Attributes:
        pid: Of the server's process.
        application: As its client calls itself.
        state: In the server's words: ``idle in transaction``; "" where that may not be seen.
        seconds: Since when it is open; None where that may not be seen.
    """

    pid: int
    user: str
    application: str
    state: str
    seconds: float | None


class Server(Struct, frozen=True, kw_only=True):
    """A server, a database of it, and the user who looks.

    Attributes:
        version: ``server_version_num``: 180001.
        isolation: The default.
        now: The server's time in microseconds.
        may_create: Whether the user may create tables in the schema.
        missing: Rights that an app needs on the tables that are there, and this user has not.
        grants: SQL that gives them.
        oldest: The transaction that has been open for longest in this database.
        holder: Who has the store's lock; None while nobody has.
        transactions: Since somebody has frozen the oldest rows: their age.
    """

    version: int
    is_replica: bool
    fsync: bool
    full_page_writes: bool
    synchronous_commit: str
    isolation: str
    read_only: bool
    now: int
    user: str
    is_superuser: bool
    may_create: bool
    missing: tuple[str, ...]
    grants: str
    oldest: Transaction | None
    holder: Transaction | None
    transactions: int


_ABOUT = f"""
SELECT current_setting('server_version_num')::int, pg_is_in_recovery(),
    current_setting('fsync')::boolean, current_setting('full_page_writes')::boolean,
    current_setting('synchronous_commit'), current_setting('default_transaction_isolation'),
    current_setting('default_transaction_read_only')::boolean, {now()}, current_user::text,
    (SELECT rolsuper FROM pg_roles WHERE rolname = current_user),
    coalesce(has_schema_privilege(to_regnamespace($1::text), 'CREATE'), false),
    (SELECT age(datfrozenxid) FROM pg_database WHERE datname = current_database())
"""

_TRANSACTION = """
SELECT a.pid, coalesce(a.usename, ''), coalesce(a.application_name, ''), coalesce(a.state, ''),
    extract(epoch FROM clock_timestamp() - a.xact_start)::double precision
FROM pg_stat_activity a
"""

_OLDEST = (
    f"{_TRANSACTION} WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() "
    "AND a.xact_start IS NOT NULL AND a.backend_type = 'client backend' "
    "ORDER BY a.xact_start LIMIT 1"
)

_HOLDER = (
    f"{_TRANSACTION} JOIN pg_locks l ON l.pid = a.pid WHERE l.locktype = 'advisory' AND l.granted "
    "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
    "AND l.classid = $1::bigint::oid AND l.objid = $2::bigint::oid AND l.objsubid = 2"
)


async def look_at_server(address: Address) -> Server:
    """Looks around.

    Raises:
        StoreFault: It cannot be reached.
    """
    async with visit(address, SNAPSHOT) as connection:
        (about,) = await connection.fetch(_ABOUT, address.schema)
        oldest = await connection.fetch(_OLDEST)
        holder = await connection.fetch(_HOLDER, *(number % 2**32 for number in address.lock))
        missing = await missing_rights(connection, address.schema)
    return Server(
        version=about[0],
        is_replica=about[1],
        fsync=about[2],
        full_page_writes=about[3],
        synchronous_commit=about[4],
        isolation=about[5],
        read_only=about[6],
        now=about[7],
        user=about[8],
        is_superuser=about[9],
        may_create=about[10],
        missing=tuple(missing),
        grants=grants(address.schema, about[8]),
        oldest=_transaction(oldest),
        holder=_transaction(holder),
        transactions=about[11],
    )


def _transaction(rows: Any) -> Transaction | None:
    if not rows:
        return None
    pid, user, application, state, seconds = rows[0]
    return Transaction(pid=pid, user=user, application=application, state=state, seconds=seconds)
