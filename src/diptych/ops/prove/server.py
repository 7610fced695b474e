"""The server of a proof: whether it will do, a schema there that goes again, and another database."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any, cast
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg

from diptych.adapters.postgres.address import SCHEMES, Address, address
from diptych.adapters.postgres.connection import ERRORS, Connection, connect, fault
from diptych.adapters.postgres.preparing import refuse_server
from diptych.errors import StoreUnavailable, WiringError

_OTHERS = """
SELECT datname FROM pg_database
WHERE datallowconn AND NOT datistemplate AND datname <> current_database()
    AND has_database_privilege(datname, 'CONNECT')
ORDER BY datname <> 'postgres', datname
"""

_MAY_CREATE = "SELECT has_database_privilege(current_database(), 'CREATE')"

_IN_THE_WAY = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE pid <> pg_backend_pid() AND datname = current_database()
    AND position($1::text IN query) > 0
"""


class Server:
    """A server that will do.

    Attributes:
        address: With the schema of the proof.
        url: The same, for an app.
        version: For people.
        others: Databases of it that can be connected to.
    """

    def __init__(self, url: str, where: Address, version: str, others: list[str]) -> None:
        self.url = url
        self.address = where
        self.version = version
        self.others = others

    @asynccontextmanager
    async def schema(self) -> AsyncGenerator[None, None]:
        """Its schema; afterwards it is gone, however the proof has ended."""
        await self._execute(f"CREATE SCHEMA {self.address.schema}")
        try:
            yield
        finally:
            await self._drop()

    async def connect(self) -> Connection:
        """A connection for looking, or for disturbing."""
        return await connect(self.address)

    async def elsewhere(self, database: str) -> Connection:
        """A connection to another database."""
        connection: Any = await asyncpg.connect(self.address.dsn, database=database, timeout=10)
        return cast(Connection, connection)

    async def _drop(self) -> None:
        schema = self.address.schema
        for attempt in range(5):
            try:
                connection = await connect(self.address)
                try:
                    # by now the processes are gone; a server may take a while to notice
                    await connection.fetch(_IN_THE_WAY, schema)
                    await connection.execute(
                        "BEGIN; SET LOCAL lock_timeout = 5000; "
                        f"DROP SCHEMA IF EXISTS {schema} CASCADE; COMMIT"
                    )
                finally:
                    await connection.close(timeout=2)
                return
            except (StoreUnavailable, *ERRORS) as error:
                if attempt == 4:
                    raise StoreUnavailable(
                        f"{self.address.where}: the schema {schema} could not be removed: {error} "
                        f"Remove it yourself: DROP SCHEMA {schema} CASCADE."
                    ) from error
                await asyncio.sleep(0.5)

    async def _execute(self, sql: str) -> None:
        connection = await connect(self.address)
        try:
            await connection.execute(sql)
        except ERRORS as error:
            raise fault(error, self.address.where) from error
        finally:
            with suppress(*ERRORS):
                await connection.close(timeout=2)


async def look(dsn: str) -> Server:
    """Whether a server will do; creates nothing.

    Raises:
        StoreUnavailable: It is no DSN, cannot be reached, is too old, or lets nobody create a schema.
    """
    schema = f"diptych_prove_{os.urandom(6).hex()}"
    if dsn.partition("://")[0] not in SCHEMES:
        raise StoreUnavailable(
            "that is no DSN of PostgreSQL. Write it as 'postgresql://user:password@host/database'."
        )
    try:
        url = with_schema(dsn, schema)
        there = address(url)
        there = replace(there, where=there.where.partition(" (")[0])
        connection = await connect(there)
    except WiringError as error:
        raise StoreUnavailable(str(error)) from error
    try:
        await refuse_server(connection, there)
        ((version,),) = await connection.fetch("SELECT current_setting('server_version')")
        ((may_create,),) = await connection.fetch(_MAY_CREATE)
        others = [row[0] for row in await connection.fetch(_OTHERS)]
    except ERRORS as error:
        raise fault(error, there.where) from error
    finally:
        with suppress(*ERRORS):
            await connection.close(timeout=2)
    if not may_create:
        raise StoreUnavailable(
            f"{there.where}: this user may not create a schema, and the proof works in one of its own. "
            "GRANT CREATE ON DATABASE … TO …, or name another database."
        )
    return Server(url, there, version, others)


def with_schema(dsn: str, schema: str) -> str:
    """A URL with another schema."""
    parts = urlsplit(dsn)
    words = [pair for pair in parse_qsl(parts.query) if pair[0] != "schema"]
    return urlunsplit(parts._replace(query=urlencode([*words, ("schema", schema)])))


def lock_of(where: Address) -> tuple[int, int]:
    """The store's lock as pg_locks shows it."""
    first, second = where.lock
    return first, second & 0xFFFFFFFF
