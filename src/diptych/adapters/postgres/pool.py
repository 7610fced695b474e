"""Connections that read: lent for one piece of work, tried once more where one was lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar, cast

import asyncpg
from asyncpg.exceptions import DataError

from diptych.adapters.postgres.address import Address
from diptych.adapters.postgres.connection import (
    COMMAND,
    CONNECTING,
    ERRORS,
    Connection,
    fault,
    is_lost,
    know_arrays,
)
from diptych.errors import NotOpen, StoreUnavailable

T = TypeVar("T")

MOST = 10
"""Connections of one process that read."""

CLOSING = 10.0
"""Seconds that saying good-bye may take."""


class Pool:
    """Opened when it is first used.

    Args:
        address: Of the server that is read from.
        verify: Looks at each new connection before it is used.
    """

    def __init__(
        self, address: Address, verify: Callable[[Connection], Awaitable[None]] | None = None
    ) -> None:
        self._address = address
        self._verify = verify
        self._pool: Any = None

    async def open(self) -> None:
        """Opens the first connection.

        Raises:
            StoreFault: It cannot be had.
        """
        self._pool = asyncpg.create_pool(
            self._address.dsn,
            min_size=0,  # with a minimum, asyncpg logs every attempt while a server is away
            max_size=MOST,
            timeout=CONNECTING,
            command_timeout=COMMAND,
            statement_cache_size=self._address.statement_cache,
            server_settings={"application_name": "diptych"},
            init=cast(Any, self._begin),
            reset=_leave,
        )
        try:
            await self._pool
            async with self.lend():
                pass
        except BaseException as error:
            await self.close()
            if isinstance(error, ERRORS):
                raise fault(error, self._address.where) from error
            raise

    async def _begin(self, connection: Connection) -> None:
        if not self._address.statement_cache:
            await know_arrays(connection)
        if self._verify is not None:
            await self._verify(connection)

    async def close(self) -> None:
        """Closes all of them; work under way is finished first, unless the server is silent."""
        if self._pool is not None:
            pool, self._pool = self._pool, None
            try:
                await asyncio.wait_for(pool.close(), CLOSING)
            except ERRORS:
                pool.terminate()

    @asynccontextmanager
    async def lend(self) -> AsyncGenerator[Connection, None]:
        """One connection, outside a transaction.

        Raises:
            StoreUnavailable: All of them are in use for too long.
        """
        pool = self._pool
        if pool is None:
            raise NotOpen(self._address.where)
        free = pool.get_idle_size() or pool.get_size() < MOST
        try:
            connection = await pool.acquire(timeout=CONNECTING)
        except TimeoutError as error:
            if free:
                raise
            raise StoreUnavailable(
                f"{self._address.where}: all {MOST} connections of this process that read have "
                f"been in use for {CONNECTING:g} s. Look for answerers that take long."
            ) from error
        try:
            yield cast(Connection, connection)
        except DataError:
            # A value that the driver itself refuses leaves a statement half sent, for which a pooler
            # would hold a connection to the server.
            connection.terminate()
            raise
        except ERRORS as error:
            if is_lost(error):
                connection.terminate()  # nobody waits for an answer from it any more
            raise
        finally:
            await pool.release(connection)

    async def read(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """What a piece of work that only reads returns; done again on another connection where the
        first one was lost.

        Raises:
            StoreFault: The server does not answer.
        """
        for attempt in (1, 2):
            try:
                async with self.lend() as connection:
                    return await work(connection)
            except ERRORS as error:
                if attempt == 2 or not is_lost(error):
                    raise fault(error, self._address.where) from error
        raise AssertionError


async def _leave(connection: object) -> None:
    """Nothing to be undone: no work of ours changes a session, and each ends its transaction."""
