"""Whose store it is, for whoever looks at it from outside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from diptych.adapters.postgres.address import Address
from diptych.adapters.postgres.connection import Executes
from diptych.adapters.postgres.schema import FORMAT, Statements
from diptych.errors import ForeignStore, StoreUnavailable


async def owner_of(connection: Executes, address: Address, sql: Statements) -> tuple[str, str]:
    """Context and epoch.

    Raises:
        StoreUnavailable: There is no store yet.
        ForeignStore: It is of another format.
    """
    ((there,),) = await connection.fetch(
        "SELECT to_regclass($1::text) IS NOT NULL", f"{sql.schema}.diptych_store"
    )
    rows: Sequence[Sequence[Any]] = ()
    if there:
        select = f"SELECT format, context, epoch FROM {sql.schema}.diptych_store"
        rows = await connection.fetch(select)
    if not rows or not rows[0][1]:
        raise StoreUnavailable(
            f"{address.where}: no app has opened it yet. Start the app once, or let "
            "`diptych migrate` create its tables."
        )
    ((format, context, epoch),) = rows
    if format != FORMAT:
        raise ForeignStore(
            f"{address.where} has store format {format}, this diptych reads {FORMAT}. "
            + (
                "Run `diptych migrate`."
                if format < FORMAT
                else "Use the version of diptych that wrote it, or a newer one."
            )
        )
    return context, epoch
