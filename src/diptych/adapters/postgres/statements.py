"""SQLAlchemy on a connection that the engine owns: it executes, and never ends a transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import create_engine
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.pool import StaticPool

from diptych.adapters.postgres.address import Address
from diptych.adapters.postgres.connection import Connection, is_fault, search_path
from diptych.errors import BadResult


class Lent:
    """A connection as SQLAlchemy sees it: beginning and ending are not its business."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    async def close(self, *, timeout: float | None = None) -> None: ...
    def terminate(self) -> None: ...


async def sqlalchemy_on(lent: Lent, address: Address) -> AsyncConnection:
    """SQLAlchemy's Core on this very connection, within whatever transaction has begun on it."""
    dialect: Any = PGDialect_asyncpg
    driver: Any = dialect.import_dbapi()

    async def connect() -> Lent:
        return lent

    def adapted() -> Any:
        return driver.connect(
            async_creator_fn=connect,
            prepared_statement_cache_size=address.statement_cache,
            # Behind a pooler a name might be there already, of another client.
            prepared_statement_name_func=None if address.statement_cache else str,
        )

    engine = create_engine(
        "postgresql+asyncpg://", creator=adapted, poolclass=StaticPool, isolation_level="AUTOCOMMIT"
    )
    return await AsyncEngine(engine).connect()


async def let_go(sql: AsyncConnection | None) -> None:
    """Ends SQLAlchemy's hold on a connection, which stays open."""
    if sql is not None:
        await sql.close()
        await sql.engine.dispose()


def cause_of(error: DBAPIError) -> BaseException:
    """The driver's own error behind one of SQLAlchemy's."""
    orig = error.orig
    if orig is None:
        return error
    return orig.__cause__ or orig


class Executor:
    """Executes what projections want written, within transactions that the writer has begun."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._of: Connection | None = None
        self._sql: AsyncConnection | None = None

    async def close(self) -> None:
        """Lets go of the connection."""
        sql, self._sql = self._sql, None
        await let_go(sql)

    async def execute(self, connection: Connection, statements: Sequence[Any]) -> None:
        """Executes them in order.

        Raises:
            BadResult: The database does not take one of them.
            asyncpg.PostgresError: The database itself has a problem.
        """
        if self._sql is None or self._of is not connection:
            await self.close()
            self._of, self._sql = connection, await sqlalchemy_on(Lent(connection), self._address)
        path = search_path(self._address)
        if path:
            await connection.execute(path)
        for statement in statements:
            try:
                await self._sql.execute(statement)
            except DBAPIError as error:
                cause = cause_of(error)
                if is_fault(cause):
                    raise cause from error
                raise BadResult(_words(statement), f"failed: {_said(cause)}.") from error
            except (SQLAlchemyError, AttributeError) as error:
                raise BadResult(
                    _words(statement),
                    f"cannot be written for PostgreSQL: {error}. Use insert of "
                    "sqlalchemy.dialects.postgresql for ON CONFLICT: SQLite takes it as well.",
                ) from error


def _words(statement: Any) -> str:
    return f"{type(statement).__name__.lower()} of {statement.table.name}"


def _said(cause: BaseException) -> str:
    message, detail = getattr(cause, "message", None), getattr(cause, "detail", None)
    return f"{message or cause}".rstrip(".") + (f" ({detail.rstrip('.')})" if detail else "")
