"""A connection for users' queries: before a statement runs, the server says whether it gives rows.

What gives none would write, lock, or end the transaction: none of that is executed. What gives rows
and writes all the same is refused by the server, since the transaction is READ ONLY.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from asyncpg import exceptions as pg

from diptych.adapters.postgres.connection import Connection
from diptych.adapters.postgres.lane import BACK
from diptych.adapters.postgres.statements import Lent
from diptych.adapters.sql.intent import is_query
from diptych.errors import ReadOnly

_TOUCHES = re.compile(
    r"\b(pg_(?:try_)?advisory_\w+|set_config|pg_notify|pg_(?:terminate|cancel)_backend"
    r"|pg_logical_emit_message|pg_reload_conf|pg_rotate_logfile|pg_promote|pg_switch_wal"
    r"|pg_create_\w+|lo_\w+|dblink\w*)\"?\s*\(",
    re.IGNORECASE,
)
"""Functions that change something, which a READ ONLY transaction lets pass."""

_HARMLESS = frozenset({"is_closed", "set_type_codec", "reload_schema_state", "get_server_version"})


class Guarded(Lent):
    """A connection in a READ ONLY transaction that has a savepoint."""

    def __getattr__(self, name: str) -> Any:
        if name not in _HARMLESS:
            raise ReadOnly(f"{name} of the driver")
        return getattr(self._connection, name)

    async def prepare(self, sql: str, *, name: str | None = None) -> Prepared:
        """A statement that gives rows.

        Raises:
            ReadOnly: It gives none, or does more than that.
        """
        touching = _TOUCHES.search(sql)
        if touching is not None:
            raise ReadOnly(f"{touching[1]} changes more than it gives")
        connection: Any = self._connection
        try:
            prepared = await connection.prepare(sql, name=name)
        except pg.PostgresError as error:
            await back(self._connection)
            if isinstance(error, pg.PostgresSyntaxError) and not is_query(sql):
                raise ReadOnly(str(error)) from error
            raise
        if not prepared.get_attributes():
            raise ReadOnly(f"{sql.strip()[:60]!r} gives no rows")
        return Prepared(self._connection, prepared)


class Prepared:
    """A prepared statement; when it fails, the snapshot goes on."""

    def __init__(self, connection: Connection, prepared: Any) -> None:
        self._connection = connection
        self._prepared = prepared
        self.get_attributes = prepared.get_attributes
        self.get_statusmsg = prepared.get_statusmsg

    async def fetch(self, *values: Any) -> Sequence[Any]:
        """Its rows."""
        try:
            rows: Sequence[Any] = await self._prepared.fetch(*values)
        except pg.PostgresError:
            await back(self._connection)
            raise
        return rows


async def back(connection: Connection) -> None:
    """Lets a transaction in which a statement failed go on."""
    if not connection.is_closed() and connection.is_in_transaction():
        await connection.execute(BACK)
