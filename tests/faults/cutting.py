"""A connection to PostgreSQL that the server ends exactly before or after one of its statements."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import asyncpg

from diptych.adapters.postgres import preparing
from diptych.adapters.postgres.address import Address
from diptych.adapters.postgres.connection import connect


class Cuts:
    """Which statements of the writer's connections meet their end, counted from when it was armed.

    Attributes:
        made: How many have.
    """

    def __init__(self, session: asyncpg.Connection[Any]) -> None:
        self._session = session
        self._statements = 0
        self._meets: Callable[[int], bool] = lambda _: False
        self._after = False
        self.made = 0

    def arm(self, meets: Callable[[int], bool], *, after: bool) -> None:
        """From now on.

        Args:
            meets: Whether a statement does, by its number from 1.
            after: The server has carried it out; else it has not heard of it.
        """
        self._statements = self.made = 0
        self._meets, self._after = meets, after

    def disarm(self) -> None:
        self._meets = lambda _: False

    async def carry_out(self, connection: Any, statement: Callable[[], Any]) -> Any:
        self._statements += 1
        if not self._meets(self._statements):
            return await statement()
        self.made += 1
        if not self._after:
            await self._end(connection)
            return await statement()
        await statement()
        await self._end(connection)
        raise asyncpg.ConnectionDoesNotExistError("planted: the answer never came")

    async def _end(self, connection: Any) -> None:
        """Ended by the server; both sides know of it when this returns."""
        pid = connection.get_server_pid()
        await self._session.fetch("SELECT pg_terminate_backend($1, 5000)", pid)
        while not connection.is_closed():
            await asyncio.sleep(0.001)


class Cut:
    """A connection of asyncpg that is cut as planned."""

    def __init__(self, connection: Any, cuts: Cuts) -> None:
        self._connection = connection
        self._cuts = cuts

    async def fetch(self, *given: Any, **named: Any) -> Any:
        return await self._cuts.carry_out(
            self._connection, lambda: self._connection.fetch(*given, **named)
        )

    async def execute(self, *given: Any, **named: Any) -> Any:
        return await self._cuts.carry_out(
            self._connection, lambda: self._connection.execute(*given, **named)
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


@contextmanager
def cutting(session: asyncpg.Connection[Any]) -> Iterator[Cuts]:
    """Plans for every connection that a writer, or a handler, opens within.

    Args:
        session: By which the server is told to end them.
    """
    cuts = Cuts(session)

    async def cut(address: Address) -> Any:
        return Cut(await connect(address), cuts)

    preparing.connect = cut
    try:
        yield cuts
    finally:
        preparing.connect = connect
