"""Views in a PostgreSQL of their own, away from their log: all of it can be made anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from diptych.adapters.postgres.address import Address
from diptych.adapters.postgres.preparing import prepare_views
from diptych.adapters.postgres.store import PostgresStore
from diptych.adapters.postgres.views import PostgresViews
from diptych.log.inline import RowFold
from diptych.read.port import Begun, Origin, Shape

WAITING = 10_000
"""Commits that may wait: there is one at a time of each view."""


class ViewDatabase(PostgresStore):
    """A store whose log stays empty; other processes may share it."""

    def __init__(self, address: Address) -> None:
        super().__init__(address, waiting=WAITING, retention=timedelta(0))

    async def begin(self, origin: Origin, shapes: Sequence[Shape]) -> None:
        """Creates it, or makes sure that it keeps the views of this log."""
        stamps = [shape.stamp for shape in shapes]
        await self._begin(
            lambda connection: prepare_views(connection, self.address, self.sql, origin, stamps)
        )


class ViewsInDatabase(PostgresViews):
    """Views in a database of their own."""

    def __init__(self, address: Address) -> None:
        self._own = ViewDatabase(address)
        super().__init__(self._own, has_log=False)

    async def open(
        self,
        shapes: Sequence[Shape],
        *,
        origin: Origin,
        inline: Mapping[str, RowFold] | None = None,
    ) -> Mapping[str, Begun]:
        await self._own.begin(origin, shapes)
        try:
            return await super().open(shapes, origin=origin)
        except BaseException:
            await self._own.close()
            raise

    async def close(self) -> None:
        await super().close()
        await self._own.close()
