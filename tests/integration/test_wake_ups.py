"""Notifications between processes: they wake, they are few, and nothing depends on them."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg
import pytest

from diptych.adapters import news as polling
from diptych.adapters.postgres import listening
from diptych.adapters.postgres.address import address
from diptych.adapters.postgres.notifying import INTERVAL, channel_of, positions_of
from diptych.adapters.postgres.store import PostgresStore
from diptych.log.commit import Appended
from diptych.log.port import Wakes
from tests.contract.commits import CONTEXT, append, command, happened, outcome
from tests.contract.test_postgres_views import opened
from tests.contract.view_rows import COUNTS, Count
from tests.servers.databases import Databases, with_database

NEVER = 3600.0
ROOT = Path(__file__).parents[2]

ANOTHER = """
import asyncio, os, sys
from diptych.adapters.postgres.address import address
from diptych.adapters.postgres.store import PostgresStore
from tests.contract.commits import CONTEXT, append, happened

async def main(dsn, dies):
    store = PostgresStore(address(dsn), waiting=10)
    await store.open(CONTEXT, [])
    await happened(store, append("s:other", None))
    if dies:
        os._exit(0)
    await store.close()

asyncio.run(main(*sys.argv[1:]))
"""


async def another_process_appends(dsn: str, *, dies: str = "") -> None:
    words = [sys.executable, "-c", ANOTHER, dsn, dies]
    process = await asyncio.create_subprocess_exec(*words, cwd=ROOT)
    assert await process.wait() == 0


class Outside:
    """Somebody who looks at the server."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.connection = connection

    async def listeners(self) -> set[int]:
        rows = await self.connection.fetch(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() "
            "AND query LIKE 'LISTEN%' AND state = 'idle'"
        )
        return {row[0] for row in rows}

    async def one_listens(self, *, but: int = 0) -> int:
        """Waits for it."""
        while not (found := await self.listeners() - {but}):
            await asyncio.sleep(0.005)
        (pid,) = found
        return pid

    async def connected(self) -> int:
        ((many,),) = await self.connection.fetch(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
            "AND application_name = 'diptych'"
        )
        return int(many)


@pytest.fixture
async def outside(postgres: str) -> AsyncIterator[Outside]:
    connection = await asyncpg.connect(postgres)
    yield Outside(connection)
    await connection.close()


@pytest.fixture
async def stores(postgres: str) -> AsyncIterator[tuple[PostgresStore, PostgresStore]]:
    """Two on one database."""
    async with AsyncExitStack() as stack:
        one, two = (PostgresStore(address(postgres), waiting=10_000) for _ in range(2))
        for store in (one, two):
            await store.open(CONTEXT, [])
            stack.push_async_callback(store.close)
        yield one, two


@pytest.fixture
async def store(postgres: str) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(address(postgres), waiting=10_000)
    await store.open(CONTEXT, [])
    yield store
    await store.close()


@pytest.fixture
def no_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SOONEST", "LATEST", "CALMEST"):
        monkeypatch.setattr(polling, name, NEVER)


@pytest.fixture(autouse=True)
async def limit() -> AsyncIterator[None]:
    """A test that waits for what does not come fails."""
    async with asyncio.timeout(60):
        yield


async def news(store: Wakes, after: int) -> None:
    async with asyncio.timeout(30):
        await store.wait_for_news(after)


@pytest.mark.usefixtures("no_polls")
async def test_a_commit_of_another_process_wakes_without_a_poll(
    store: PostgresStore, outside: Outside, postgres: str
) -> None:
    await outside.one_listens()
    waiting = asyncio.create_task(news(store, 0))
    await another_process_appends(postgres)
    await waiting
    assert await store.head() == 1


@pytest.mark.usefixtures("no_polls")
async def test_a_listener_that_was_killed_is_replaced_and_nothing_is_missed(
    store: PostgresStore, outside: Outside, postgres: str
) -> None:
    killed = await outside.one_listens()
    for after in range(3):
        waiting = asyncio.create_task(news(store, after))
        await asyncio.sleep(0)
        ((ended,),) = await outside.connection.fetch("SELECT pg_terminate_backend($1)", killed)
        assert ended
        await another_process_appends(postgres)
        await waiting
        killed = await outside.one_listens(but=killed)
    waiting = asyncio.create_task(news(store, 3))
    await another_process_appends(postgres)
    await waiting


@pytest.mark.usefixtures("no_polls")
async def test_what_was_committed_while_nobody_listened_wakes_when_somebody_does(
    stores: tuple[PostgresStore, PostgresStore],
    outside: Outside,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listening, "SOONEST", 0.5)
    one, two = stores
    while len(await outside.listeners()) < 2:
        await asyncio.sleep(0.01)
    waiting = asyncio.create_task(news(one, 0))
    await outside.connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND query LIKE 'LISTEN%'"
    )
    while await outside.listeners():
        await asyncio.sleep(0.001)
    await happened(two, append("s:1", 0))
    await waiting


async def test_polls_find_what_nobody_lived_to_say(
    store: PostgresStore, outside: Outside, postgres: str
) -> None:
    await outside.one_listens()
    for after in range(2):
        waiting = asyncio.create_task(news(store, after))
        await another_process_appends(postgres, dies="at once")
        await waiting


@pytest.mark.usefixtures("no_polls")
async def test_a_checkpoint_that_another_process_moves_wakes(
    stores: tuple[PostgresStore, PostgresStore], outside: Outside
) -> None:
    async def ask() -> int:
        return 0

    one, two = stores
    while len(await outside.listeners()) < 2:
        await asyncio.sleep(0.01)
    kept = one.news.of("it's a \\ view@1", ask)
    waiting = asyncio.create_task(kept.wait(6))
    for number in range(200):
        two.news.of(f"view{number}@1", ask).move(1)
    two.news.of("it's a \\ view@1", ask).move(7)
    await waiting


@pytest.mark.usefixtures("no_polls")
async def test_a_view_that_another_process_moves_wakes_who_waits_for_it(
    postgres: str, outside: Outside
) -> None:
    async with AsyncExitStack() as stack:
        one, two = [await opened(postgres, stack) for _ in range(2)]
        while len(await outside.listeners()) < 2:
            await asyncio.sleep(0.01)
        waiting = asyncio.create_task(one.wait(COUNTS, 3))
        await asyncio.sleep(0)
        assert await two.save(COUNTS, [Count("a", 1)], [], expected=0, position=3)
        await waiting


async def test_no_transaction_that_appends_notifies(store: PostgresStore, outside: Outside) -> None:
    await outside.connection.execute(
        "CREATE TABLE appended (pid integer);"
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN INSERT INTO appended VALUES (pg_backend_pid()); RETURN NULL; END';"
        "CREATE TRIGGER note AFTER INSERT ON diptych_events EXECUTE FUNCTION note()"
    )
    notified: list[tuple[int, str]] = []
    await outside.connection.add_listener(
        channel_of(store.epoch), lambda _, pid, __, payload: notified.append((pid, payload))
    )
    for number in range(50):
        await happened(store, command("s:1", None, id=f"c-{number}", outcome=outcome()))
        await happened(store, append("s:2", None))
    head = await store.head()
    while not any(positions_of(payload)[""] == head for _, payload in notified):
        await asyncio.sleep(0.005)
    rows = await outside.connection.fetch("SELECT DISTINCT pid FROM appended")
    assert rows
    assert {row[0] for row in rows}.isdisjoint(pid for pid, _ in notified)
    await outside.connection.reset()


async def test_thousands_of_commits_send_few_notifications(
    store: PostgresStore, outside: Outside
) -> None:
    notified: list[int] = []
    await outside.connection.add_listener(
        channel_of(store.epoch),
        lambda _, __, ___, payload: notified.append(positions_of(payload)[""]),
    )
    await outside.one_listens()
    began = time.monotonic()
    for _ in range(4):
        for answer in await asyncio.gather(
            *(store.commit(append(f"s:{number}", None)) for number in range(1000))
        ):
            assert isinstance(answer, Appended)
    while 4000 not in notified:
        await asyncio.sleep(0.005)
    # the first, and the one by which the listener tries itself, come when they like
    assert len(notified) <= 3 + (time.monotonic() - began) / INTERVAL
    assert len(notified) < 4000 / 10
    assert notified == sorted(notified)
    await outside.connection.reset()


async def test_nothing_is_left_of_a_closed_store(postgres: str, outside: Outside) -> None:
    before = asyncio.all_tasks()
    for moment in range(20):  # some while it connects, the last when it listens
        store = PostgresStore(address(postgres), waiting=10)
        await store.open(CONTEXT, [])
        waiting = asyncio.create_task(store.wait_for_news(30))
        await happened(store, append("s:1", None))
        await asyncio.sleep(0.001 * moment)
        if moment == 19:
            await outside.one_listens()
        await store.close()
        await waiting
        gc.collect()  # a connection that nobody has closed complains
        assert asyncio.all_tasks() == before
    while await outside.connected():
        await asyncio.sleep(0.005)


async def test_who_listens_on_another_database_says_so_and_polls(
    postgres: str,
    postgres_databases: Databases,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(listening, "PULSE", 0.2)
    elsewhere = postgres_databases.new()
    store = PostgresStore(address(postgres), waiting=10, wake=address(elsewhere))
    await store.open(CONTEXT, [])
    try:
        with caplog.at_level(logging.WARNING):
            while "did not come back" not in caplog.text:
                await asyncio.sleep(0.01)
        assert "wake_dsn" in caplog.text
        waiting = asyncio.create_task(news(store, 0))
        await another_process_appends(postgres)
        await waiting
    finally:
        await store.close()
        postgres_databases.drop(elsewhere)


async def test_a_server_to_listen_on_that_cannot_be_had_costs_latency_only(
    postgres: str, caplog: pytest.LogCaptureFixture
) -> None:
    nowhere = address(with_database(postgres, "not_there"))
    store = PostgresStore(address(postgres), waiting=10, wake=nowhere)
    with caplog.at_level(logging.WARNING):
        await store.open(CONTEXT, [])
        waiting = asyncio.create_task(news(store, 0))
        await another_process_appends(postgres)
        await waiting
        while "nobody can be heard" not in caplog.text:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)
        await store.close()
    assert caplog.text.count("nobody can be heard") == 1
