"""SQLAlchemy's engine on connections of ours, for sessions that are lent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from diptych.adapters.postgres.address import Address
from diptych.adapters.postgres.connection import Connection
from diptych.adapters.worker import through


def open_engine(
    address: Address, connect: Callable[[], Coroutine[Any, Any, Connection]], *, size: int
) -> AsyncEngine:
    """An engine that begins and ends no transaction: who borrows a connection does so himself.

    Args:
        connect: Gives it a connection.
        size: Connections at most.
    """

    async def create(**_: Any) -> Any:
        # Not left half-way, of which asyncpg complains: that takes but a moment.
        connecting = asyncio.ensure_future(connect())
        try:
            return await through(connecting)
        except asyncio.CancelledError:
            if not connecting.cancelled() and connecting.exception() is None:
                connecting.result().terminate()
            raise

    cached = address.statement_cache
    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=create,
        isolation_level="AUTOCOMMIT",
        pool_size=size,
        max_overflow=0,
        connect_args={
            "prepared_statement_cache_size": cached,
            # Behind a pooler nobody else's statement may be taken for ours: it is given no name.
            "prepared_statement_name_func": None if cached else str,
        },
    )
