"""Behind a pooler that hands each transaction to another connection, a store is the same."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from diptych.adapters import news as polling
from diptych.adapters.postgres.address import address
from diptych.adapters.postgres.connection import connect, is_pooled
from diptych.adapters.postgres.store import PostgresStore
from diptych.errors import StoreUnavailable
from diptych.log.port import Store
from tests.contract.commits import CONTEXT, WAITING, append, everything, happened
from tests.contract.store_contract import StoreContract
from tests.integration.pots import AllTotals, bank, refuse_old_states
from tests.integration.test_processes import work
from tests.servers.pgbouncer import PgBouncer

ROOT = Path(__file__).parents[2]
NEVER = 3600.0

HAMMER = """
import asyncio, sys
from diptych.adapters.postgres.address import address
from diptych.adapters.postgres.store import PostgresStore
from diptych.log.commit import Appended, Conflict, Settled
from tests.contract.commits import CONTEXT, append, command, event, outcome, under

MANY = 12

async def one(store, name, number):
    stream, tag = f"{name}:{number}", f"tag-{name}-{number}"
    for at in range(MANY):
        id = f"{name}-{number}-{at}"
        commit = command(stream, at, event(text=id, tags=[tag]), id=id, outcome=outcome())
        assert isinstance(await store.commit(commit), Appended)
        assert isinstance(await store.commit(append("shared", None)), Appended)
        assert isinstance(await store.commit(append(stream, at)), Conflict)
        settled = await store.outcome("", id)
        assert settled is not None and (settled.id, settled.version) == (id, at + 1)
        found = await store.read_stream("", stream, after=0, limit=100)
        assert [e.causation for e in found] == [f"{name}-{number}-{n}" for n in range(at + 1)]
        page = await store.read_page("", stream, after=0, limit=100)
        assert len(page.names) == at + 1
        batch = await store.read_tagged("", under(tag), after=0)
        assert [e.stream for e in batch.events] == [stream] * (at + 1)
        assert await store.head() >= batch.events[-1].position

async def main(url, name):
    store = PostgresStore(address(url), waiting=1000)
    await store.open(CONTEXT, [])
    await asyncio.gather(*[one(store, name, number) for number in range(8)])
    await store.close()

asyncio.run(main(*sys.argv[1:]))
"""


class TestPostgresStoreBehindAPooler(StoreContract):
    @pytest.fixture
    async def store(self, pooled: str) -> AsyncIterator[Store]:
        store = PostgresStore(address(pooled), waiting=WAITING)
        await store.open(CONTEXT, [])
        yield store
        await store.close()


async def hammer(url: str) -> list[bytes]:
    """What two processes complained of, which used a store in all ways at once."""
    words = [sys.executable, "-c", HAMMER, url]
    workers = [
        await asyncio.create_subprocess_exec(*words, name, cwd=ROOT, stderr=asyncio.subprocess.PIPE)
        for name in ("x", "y")
    ]
    said = [(await worker.communicate())[1] for worker in workers]
    return [error for error, worker in zip(said, workers, strict=True) if worker.returncode]


@pytest.mark.parametrize("said", ["?statement_cache_size=0", ""], ids=["said", "seen"])
async def test_two_processes_share_two_connections(
    pooler: PgBouncer, postgres: str, said: str
) -> None:
    async with asyncio.timeout(60):
        assert await hammer(pooler.dsn(postgres) + said) == []
        direct = await asyncpg.connect(postgres)
        rows = await direct.fetch(
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'diptych' "
            "AND datname = current_database()"
        )
        assert 1 <= len(rows) <= 2
        await direct.close()


async def test_statements_that_are_kept_would_be_mixed_up(pooler: PgBouncer, postgres: str) -> None:
    """The control of the one above."""
    if pooler.version >= (1, 21):
        pytest.skip("this pgbouncer keeps prepared statements apart itself")
    async with asyncio.timeout(60):
        errors = await hammer(pooler.dsn(postgres) + "?statement_cache_size=100")
    assert errors
    assert all(b"statement_cache_size=0" in error for error in errors)


async def test_nothing_is_left_on_the_connections_of_the_pooler(
    pooler: PgBouncer, postgres: str
) -> None:
    async with asyncio.timeout(60):
        assert await hammer(pooler.dsn(postgres)) == []
        looks = [
            await asyncpg.connect(pooler.dsn(postgres), statement_cache_size=0) for _ in range(2)
        ]
        pids = set()
        for look in looks:
            await look.execute("BEGIN")  # both of the pooler's connections are held at once
        for look in looks:
            pids.add((await look.fetchrow("SELECT pg_backend_pid()"))[0])
            assert await look.fetch("SELECT name FROM pg_prepared_statements") == []
            assert await look.fetch("SELECT 1 FROM pg_listening_channels()") == []
            assert (
                await look.fetch(
                    "SELECT name, setting FROM pg_settings WHERE source = 'session' "
                    "AND name NOT IN ('application_name', 'client_encoding')"
                )
                == []
            )
            locks = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
            assert await look.fetch(locks) == []
        assert len(pids) == 2
        for look in looks:
            await look.close()


async def test_a_pooler_is_seen(pooler: PgBouncer, postgres: str) -> None:
    for dsn, pooled in ((postgres, False), (pooler.dsn(postgres), True)):
        connection = await connect(address(dsn))
        assert await is_pooled(connection) is pooled
        await connection.close()


async def test_a_value_that_the_driver_refuses_holds_no_connection(
    pooler: PgBouncer, postgres: str
) -> None:
    store = PostgresStore(address(pooler.dsn(postgres)), waiting=10)
    await store.open(CONTEXT, [])
    async with asyncio.timeout(30):
        for _ in range(4):
            with pytest.raises(StoreUnavailable):
                await store.read_stream("", "s:1", after=2**70, limit=1)
        await happened(store, append("s:1", 0))
        assert len(await everything(store)) == 1
        await store.close()


async def test_apps_of_three_processes_share_two_connections(pooled: str, postgres: str) -> None:
    """Streams, a boundary, a view, answers that wait for it."""
    async with asyncio.timeout(100), bank(pooled, wake_dsn=postgres) as app:
        workers = [await work(pooled, name, 30) for name in ("x", "y")]
        assert [await worker.wait() for worker in workers] == [0, 0]
        head = await refuse_old_states(app)
        (row,) = await app.ask(AllTotals(), after=head)
        events = [recorded async for recorded in app.log.read(stream="pot:shared")]
        assert (row.amount, row.events) == (60, 60) == (len(events), len(events))


@pytest.fixture
def no_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SOONEST", "LATEST", "CALMEST"):
        monkeypatch.setattr(polling, name, NEVER)


@pytest.mark.usefixtures("no_polls")
async def test_wake_ups_come_past_the_pooler(pooler: PgBouncer, postgres: str) -> None:
    pooled = address(pooler.dsn(postgres))
    woken = PostgresStore(pooled, waiting=10, wake=address(postgres))
    another = PostgresStore(pooled, waiting=10)
    async with asyncio.timeout(30):
        for store in (woken, another):
            await store.open(CONTEXT, [])
        waiting = asyncio.create_task(woken.wait_for_news(0))
        await happened(another, append("s:1", 0))
        await waiting
        for store in (woken, another):
            await store.close()


async def test_without_a_way_past_the_pooler_others_are_polled_for(
    pooler: PgBouncer, postgres: str
) -> None:
    one, another = (PostgresStore(address(pooler.dsn(postgres)), waiting=10) for _ in range(2))
    async with asyncio.timeout(30):
        for store in (one, another):
            await store.open(CONTEXT, [])
        for at in range(3):
            waiting = asyncio.create_task(one.wait_for_news(at))
            await happened(another, append("s:1", at))
            await waiting
        for store in (one, another):
            await store.close()
