"""Pauses of views in a store on PostgreSQL; when they begin and end is the database's time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from diptych.adapters.postgres.address import Address
from diptych.adapters.postgres.connection import BEGIN, Executes, visit
from diptych.adapters.postgres.ownership import owner_of
from diptych.adapters.postgres.presence import now
from diptych.adapters.postgres.schema import statements
from diptych.errors import ForeignStore
from diptych.log.pauses import Pause

T = TypeVar("T")


async def pauses(connection: Executes, schema: str) -> Mapping[str, Pause]:
    """Those that have not ended."""
    rows = await connection.fetch(
        f"SELECT view, by, reason, since, until FROM {schema}.diptych_pauses WHERE until > {now()}"
    )
    return {
        view: Pause(view=view, by=by, reason=reason, since=since, until=until)
        for view, by, reason, since, until in rows
    }


class PostgresPausing:
    """Pauses views in a store that exists; nothing else is written."""

    def __init__(self, address: Address) -> None:
        self._address = address

    async def pause(self, pause: Pause, *, context: str) -> None:
        schema = self._address.schema

        async def write(connection: Executes) -> None:
            await connection.fetch(
                f"WITH gone AS (DELETE FROM {schema}.diptych_pauses "
                f"WHERE until <= {now()} AND view <> $1::text) "
                f"INSERT INTO {schema}.diptych_pauses AS p (view, by, reason, since, until) "
                f"VALUES ($1::text, $2::text, $3::text, {now()}, {now()} + $4::bigint) "
                "ON CONFLICT (view) DO UPDATE SET by = excluded.by, reason = excluded.reason, "
                "since = excluded.since, until = excluded.until",
                pause.view,
                pause.by,
                pause.reason,
                pause.until - pause.since,
            )

        await self._write(context, write)

    async def resume(self, view: str, *, context: str) -> Pause | None:
        async def write(connection: Executes) -> Pause | None:
            found = (await pauses(connection, self._address.schema)).get(view)
            await connection.fetch(
                f"DELETE FROM {self._address.schema}.diptych_pauses WHERE view = $1::text", view
            )
            return found

        return await self._write(context, write)

    async def _write(self, context: str, work: Callable[[Executes], Awaitable[T]]) -> T:
        address = self._address
        async with visit(address, BEGIN) as connection:
            owner, _ = await owner_of(connection, address, statements(address.schema))
            if owner != context:
                raise ForeignStore(
                    f"{address.where} belongs to context {owner!r}, this app is {context!r}. "
                    "Look at the app's store=, or name the other app with --app."
                )
            result = await work(connection)
            await connection.execute("COMMIT")
            return result
