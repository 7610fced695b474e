"""Views in the database of the log keep the contract, also when others move them on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg
import pytest

from diptych.adapters.postgres.address import address
from diptych.adapters.postgres.store import PostgresStore
from diptych.adapters.postgres.views import ViewsBesideLog
from diptych.read.port import SqlViewStore
from tests.contract.commits import CONTEXT, WAITING
from tests.contract.view_rows import ORIGIN
from tests.contract.view_sessions import ManyMoments
from tests.contract.view_store_contract import ALL_SHAPES, SqlViewStoreContract


async def opened(dsn: str, stack: AsyncExitStack) -> SqlViewStore:
    """Views in a database, closed with the stack."""
    store = PostgresStore(address(dsn), waiting=WAITING)
    await store.open(CONTEXT, [])
    stack.push_async_callback(store.close)
    views = ViewsBesideLog(store)
    await views.open(ALL_SHAPES, origin=ORIGIN)
    stack.push_async_callback(views.close)
    return views


TRACES = """
SELECT 'relation', c.oid::regclass::text, c.relkind::text FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname !~ '^(pg_(?!temp)|information_)'
UNION ALL SELECT 'lock', objid::text, mode FROM pg_locks WHERE locktype = 'advisory'
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
UNION ALL SELECT 'setting', setconfig::text, '' FROM pg_db_role_setting
UNION ALL SELECT 'function', proname, '' FROM pg_proc p
    JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'public'
UNION ALL SELECT 'prepared', gid, '' FROM pg_prepared_xacts ORDER BY 1, 2, 3
"""


async def everything_in(dsn: str) -> object:
    """What is in a database, and what somebody holds of it."""
    connection = await asyncpg.connect(dsn)
    try:
        traces = [tuple(row) for row in await connection.fetch(TRACES)]
        tables = [name for kind, name, relkind in traces if kind == "relation" and relkind == "r"]
        rows = {name: await connection.fetch(f"SELECT t::text FROM {name} t") for name in tables}
        return traces, {name: sorted(row[0] for row in found) for name, found in rows.items()}
    finally:
        await connection.close()


class TestPostgresViews(SqlViewStoreContract, ManyMoments):
    BY_HAND = "SET transaction_read_only = off"

    @pytest.fixture
    def path(self, tmp_path: Path, postgres: str) -> Path:
        self.dsn = postgres
        return tmp_path / "never.db"

    async def written(self, path: Path) -> object:
        return await everything_in(self.dsn), list(path.parent.iterdir())

    @pytest.fixture
    async def views(self, postgres: str) -> AsyncIterator[SqlViewStore]:
        async with AsyncExitStack() as stack:
            yield await opened(postgres, stack)
