"""A replica of the store's database, which answers are read from: it may lag, and says how far it is.

Replication, and when it is switched over, is PostgreSQL's business; here is only read.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import NoReturn, TypeVar

from diptych.adapters.news import News
from diptych.adapters.postgres.address import Address
from diptych.adapters.postgres.beginning import stand
from diptych.adapters.postgres.connection import ERRORS, Connection, meet
from diptych.adapters.postgres.pool import Pool
from diptych.adapters.postgres.preparing import look
from diptych.adapters.postgres.schema import statements
from diptych.adapters.postgres.views import PostgresViews
from diptych.errors import Fault, ForeignStore, StoreUnavailable
from diptych.log.commit import Commit, Committed
from diptych.message import Position
from diptych.read.port import Followed, Origin

T = TypeVar("T")

PATIENCE = 10.0
"""Seconds in which a replica must get what the primary has just made."""


class ReadDatabase:
    """A database that is only read."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.sql = statements(address.schema)
        self._pool = Pool(address)
        self.epoch = ""

    async def open(self) -> None:
        """Opens the first connection."""
        connection, self.address = await meet(self.address)
        with suppress(*ERRORS):
            await connection.close(timeout=2)
        self._pool = Pool(self.address)
        await self._pool.open()

    async def close(self) -> None:
        """Closes all of them."""
        await self._pool.close()

    async def look(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """What a piece of work that only reads returns; it may be done twice."""
        return await self._pool.read(work)

    async def transact(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        self._refuse()

    def commit(self, commit: Commit) -> Awaitable[Committed]:
        self._refuse()

    def news_of(self, checkpoint: str, ask: Callable[[], Awaitable[Position]]) -> News:
        return News(ask)

    async def verify(self, connection: Connection) -> None:
        """Whether a new connection leads to a copy of the log that was opened."""
        owner = await look(connection, self.sql)
        if owner is None or owner[2] != self.epoch:
            raise ForeignStore(
                f"{self.address.where} (read_store=) is no copy of the log that was opened. Look "
                "which server that is, then open the app again."
            )

    def _refuse(self) -> NoReturn:
        raise Fault(f"{self.address.where} is read_store=, and only read.")


class ViewsOnReplica(PostgresViews):
    """The views beside the log, as a replica of their database has them.

    Args:
        primary: Keeps them; the tables are the same.
    """

    def __init__(self, address: Address, primary: PostgresViews) -> None:
        self._replica = ReadDatabase(address)
        super().__init__(self._replica, has_log=True)
        self.tables = primary.tables
        self._log = News(self.head)

    async def follow(self, kept: Sequence[Followed], *, origin: Origin) -> None:
        """See `diptych.read.port.ReadReplica`."""
        self._follow(kept)
        replica = self._replica
        await replica.open()
        self._log = News(self.head)
        names = {one.checkpoint for one in kept}
        until = time.monotonic() + PATIENCE
        try:
            while True:
                lacking = await replica.look(
                    lambda connection: self._lacking(connection, names, origin)
                )
                if lacking is None:
                    break
                if time.monotonic() > until:
                    raise lacking
                await asyncio.sleep(0.1)
        except BaseException:
            await replica.close()
            raise
        replica.epoch = origin.epoch
        self._begin_lanes()

    async def _lacking(
        self, connection: Connection, names: set[str], origin: Origin
    ) -> Fault | None:
        """What the replica has not got (yet)."""
        where, sql = self._replica.address.where, self._replica.sql
        owner = await look(connection, sql)
        late = StoreUnavailable(
            f"{where} (read_store=) has not got what the app's store has, after {PATIENCE:.0f} s. "
            "Look whether it is a replica of that store, and how far it lags."
        )
        if owner is None or not owner[1]:
            return late
        if owner[1:3] != (origin.context, origin.epoch):
            return ForeignStore(
                f"{where} (read_store=) has the log of context {owner[1]!r}, epoch {owner[2]}; "
                f"this is {origin.context!r}, epoch {origin.epoch}. Name a replica of the app's "
                "own store."
            )
        return None if (await stand(connection, sql)).keys() >= names else late

    async def close(self) -> None:
        self._log.close()
        await super().close()
        await self._replica.close()

    async def head(self) -> Position:
        """Of the log, as far as the replica has it."""
        rows = await self._replica.look(
            lambda connection: connection.fetch(self._replica.sql.select_head)
        )
        head: Position = rows[0][0]
        return head

    async def wait_for_news(self, after: Position) -> None:
        """Returns when that is beyond `after`."""
        await self._log.wait(after)
