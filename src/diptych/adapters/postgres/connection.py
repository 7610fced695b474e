"""Connections to PostgreSQL: how they are opened, and what their errors mean."""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Protocol, TypeVar, cast

import asyncpg
from asyncpg import exceptions as pg

from diptych.adapters.postgres.address import Address
from diptych.adapters.postgres.schema import LOCK_MS
from diptych.errors import StoreCorrupt, StoreFault, StoreFull, StoreUnavailable, WiringError

T = TypeVar("T")

OLDEST = 150_000

CONNECTING = 10.0
"""Seconds that a connection may take."""

COMMAND = 30.0
"""Seconds that a statement of the engine's own may take; then the server counts as gone."""

IDLE_MS = 1_000
"""Milliseconds that a transaction with the store's lock may wait for its client: one that is paused
must not stop all the others."""


class Executes(Protocol):
    """A transaction that takes statements: on a connection of ours, or one that a user owns."""

    async def fetch(self, sql: str, /, *values: Any) -> Sequence[Sequence[Any]]:
        """The rows of a statement; its parameters are $1, $2… with their types."""
        ...


class Connection(Executes, Protocol):
    """A connection of asyncpg, as far as it is used here."""

    async def execute(self, sql: str, /, *values: Any, timeout: float | None = None) -> str: ...

    async def close(self, *, timeout: float | None = None) -> None: ...

    def terminate(self) -> None: ...

    def is_closed(self) -> bool: ...

    def is_in_transaction(self) -> bool: ...

    def get_server_pid(self) -> int: ...


async def connect(address: Address) -> Connection:
    """A connection of one's own.

    Where the URL leaves it open, it keeps no statements if a pooler is seen.

    Raises:
        WiringError: The URL asks for what there is not.
        StoreFault: What stands in the way, with the remedy.
    """
    return (await meet(address))[0]


async def meet(address: Address) -> tuple[Connection, Address]:
    """The same, and the address with what was seen of a pooler, so that it need not be looked for
    again."""
    connection = await _connect(address)
    try:
        if address.chosen:
            return connection, address
        if not await is_pooled(connection):
            return connection, replace(address, chosen=True)
        await connection.close()
    except ERRORS as error:
        connection.terminate()
        raise fault(error, address.where) from error
    pooled = replace(address, statement_cache=0, chosen=True)
    return await _connect(pooled), pooled


@asynccontextmanager
async def visit(address: Address, begin: str) -> AsyncGenerator[Connection, None]:
    """A transaction on a connection that is closed afterwards; what was not committed is undone.

    Raises:
        StoreFault: What stands in the way.
    """
    connection = await connect(address)
    try:
        await connection.execute(begin)
        yield connection
    except ERRORS as error:
        raise fault(error, address.where) from error
    finally:
        await connection.close()


async def _connect(address: Address) -> Connection:
    try:
        connection: Any = await asyncpg.connect(
            address.dsn,
            timeout=CONNECTING,
            command_timeout=COMMAND,
            statement_cache_size=address.statement_cache,
            server_settings={"application_name": "diptych"},
        )
        if not address.statement_cache:
            await know_arrays(connection)
    except pg.ClientConfigurationError as error:
        raise WiringError(f"{address.where}: {error}. Correct the store's URL.") from error
    except ERRORS as error:
        raise fault(error, address.where) from error
    return cast(Connection, connection)


ARRAYS = "SELECT " + ", ".join(
    f"NULL::{type}[]"
    for type in (
        *("boolean", "smallint", "integer", "bigint", "double precision", "numeric"),
        *("text", "varchar", "bytea", "uuid", "json", "jsonb"),
        *("date", "time", "timestamp", "timestamptz", "interval"),
    )
)


async def know_arrays(connection: Any) -> None:
    """Behind a pooler: lets the driver look up the types that it does not know.

    It does so once for each connection, and changes a setting of the session meanwhile; in a
    transaction that is taken back, nothing of it is left to whoever gets the server's next.
    """
    try:
        await connection.execute("BEGIN")
        await connection.fetch(ARRAYS)
        await connection.execute("ROLLBACK")
    except BaseException:
        connection.terminate()
        raise


async def is_pooled(connection: Connection) -> bool:
    """Whether a pooler stands in front: it gives a client numbers of its own, so that it can tell
    whose statement is to be cancelled."""
    asked = f"SELECT 1 WHERE pg_backend_pid() = {connection.get_server_pid()}"
    return await connection.execute(asked) == "SELECT 0"


ERRORS = (pg.PostgresError, pg.InterfaceError, pg.InternalClientError, OSError, TimeoutError)
"""What asyncpg raises."""


def is_lost(error: BaseException) -> bool:
    """Whether the connection, or the server, has gone: what was under way may have happened."""
    if isinstance(error, ValueError):
        return False  # asyncpg says so of a value, in an InterfaceError
    return isinstance(
        error,
        OSError
        | pg.PostgresConnectionError
        | pg.InterfaceError
        | pg.InternalClientError  # a connection that was ended at an unlucky moment
        | pg.AdminShutdownError
        | pg.CrashShutdownError
        | pg.CannotConnectNowError
        | pg.IdleInTransactionSessionTimeoutError,
    ) and not isinstance(error, pg.DataError)


def is_fault(error: BaseException) -> bool:
    """Whether the store failed, not a statement."""
    return is_lost(error) or isinstance(
        error,
        pg.InsufficientResourcesError
        | pg.OperatorInterventionError
        | pg.PostgresSystemError
        | pg.InternalServerError
        | pg.InvalidAuthorizationSpecificationError
        | pg.InvalidCatalogNameError
        | pg.LockNotAvailableError
        | pg.ReadOnlySQLTransactionError
        | pg.InsufficientPrivilegeError
        | pg.DeadlockDetectedError
        | pg.InvalidSQLStatementNameError
        | pg.DuplicatePreparedStatementError,
    )


def fault(error: BaseException, where: str) -> StoreFault:
    """What an error of asyncpg means for whoever uses the store."""
    said = str(error) or type(error).__name__
    match error:
        case pg.InvalidAuthorizationSpecificationError() if "pg_hba.conf" in said:
            remedy = "Let the server's pg_hba.conf accept it, or ask for TLS with ?sslmode=require."
        case pg.InvalidPasswordError() | pg.InvalidAuthorizationSpecificationError():
            remedy = "Correct user and password in the store's URL, or let that role log in."
        case pg.InvalidCatalogNameError():
            remedy = "Create the database, or correct its name in the store's URL."
        case pg.InvalidSchemaNameError():
            remedy = "Create the schema, or correct ?schema= in the store's URL."
        case ssl.SSLError() | ConnectionError() if "SSL" in said:
            remedy = "Correct the server's TLS, or sslmode and sslrootcert in the store's URL."
        case pg.TargetServerAttributeNotMatched():
            remedy = "None of the servers in the store's URL is of that kind now: try again later."
        case pg.TooManyConnectionsError():
            remedy = "Raise the server's max_connections, or put a pooler before it."
        case pg.CannotConnectNowError():
            remedy = "The server is starting or stopping: try again a little later."
        case pg.LockNotAvailableError():
            said = "somebody else holds the store's lock for too long"
            remedy = "Look for a transaction that stands still (pg_stat_activity), and end it."
        case pg.ReadOnlySQLTransactionError():
            remedy = "It is a replica, or read-only: name the primary in the store's URL."
        case pg.InsufficientPrivilegeError():
            remedy = "Grant it to the user in the store's URL, or let `diptych migrate` run as one "
            remedy += "who may."
        case pg.InvalidSQLStatementNameError() | pg.DuplicatePreparedStatementError():
            remedy = "A pooler in transaction mode stands in front, which keeps no statements: use "
            remedy += "statement_cache_size=0 in the store's URL, or leave it out."
        case pg.DiskFullError():
            return StoreFull(
                f"{where}: {said}; nothing was written. Make room, then send the command again."
            )
        case pg.DataCorruptedError() | pg.IndexCorruptedError():
            return StoreCorrupt(f"{where}: {said}. Restore it from a backup.")
        case pg.QueryCanceledError():
            remedy = "Raise statement_timeout for the user in the store's URL."
        case TimeoutError():
            said = "no answer in time"
            remedy = "Look whether the server runs there and can be reached; then try again."
        case _ if is_lost(error):
            remedy = "Look whether the server runs there and can be reached; then try again."
        case _:
            remedy = "See the server's log."
    return StoreUnavailable(f"{where}: {said.rstrip('.')}. {remedy}")


def run_now(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that waits for nothing (over a connection that blocks)."""
    try:
        work.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    work.close()
    raise AssertionError("it waited")


BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"


def take(lock: tuple[int, int]) -> str:
    """Takes the store's lock in a transaction that has begun.

    The limits come first, so that a client that is paused cannot stop everybody else.
    """
    return (
        f"SET LOCAL lock_timeout = {LOCK_MS}; "
        f"SET LOCAL idle_in_transaction_session_timeout = {IDLE_MS}; "
        f"SELECT pg_advisory_xact_lock({lock[0]}, {lock[1]})"
    )


def begin(lock: tuple[int, int]) -> str:
    """Begins a transaction and takes the store's lock in it."""
    return f"{BEGIN}; {take(lock)}"


@asynccontextmanager
async def under_lock(connection: Connection, address: Address) -> AsyncGenerator[None, None]:
    """A transaction that has the store's lock; committed, or undone where something is raised."""
    await connection.execute(begin(address.lock))
    try:
        yield
        await connection.execute("COMMIT")
    except BaseException:
        if not connection.is_closed():
            await connection.execute("ROLLBACK")
        raise


def search_path(address: Address) -> str:
    """Lets names without a schema mean ours first, to the end of the transaction; "" where they do.

    Users' own tables may be in `public`.
    """
    schema = address.schema
    return "" if schema == "public" else f"SET LOCAL search_path = {schema}, public; "
