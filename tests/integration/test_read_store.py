"""Answers that are read from a replica: as fresh as was asked for, and honest about the rest.

The replica that lags is a copy of the database as it was a while ago; what is replayed there is
written by the test.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from sqlalchemy import func, literal, select, text

from diptych import App, Query, Stale, Views, WiringError
from diptych.adapters.postgres import replica
from diptych.errors import ForeignStore, ReadOnly, StoreUnavailable
from tests.integration.pots import AllTotals, Put, Total, TotalOf, all_totals, bank, total_of
from tests.servers.databases import Databases, with_database


@dataclass(frozen=True)
class Place(Query[str]):
    """Which database answers."""


async def place(query: Place, views: Views) -> str:
    return await views.scalar(str, select(func.current_database()))


@dataclass(frozen=True)
class NoView(Query[int]):
    """Reads no view: true as of the log."""


async def no_view(query: NoView, views: Views) -> int:
    return await views.scalar(int, select(literal(1)))


def reading_from(url: str, read_store: str, **more: Any) -> App:
    parts: dict[str, Any] = {"answer": [total_of, all_totals, place, no_view]}
    return bank(url, read_store=read_store, **parts | more)


@asynccontextmanager
async def copy_of(url: str, server: str) -> AsyncIterator[str]:
    """A database as another one is now."""
    name = url.rpartition("/")[2]
    connection = await asyncpg.connect(server)
    await connection.execute(f'CREATE DATABASE "{name}_copy" TEMPLATE "{name}"')
    try:
        yield with_database(url, f"{name}_copy")
    finally:
        await connection.execute(f'DROP DATABASE "{name}_copy" WITH (FORCE)')
        await connection.close()


@pytest.fixture
async def lagging(postgres: str, postgres_server: str) -> AsyncIterator[str]:
    """A replica that is at position 1, where pot a holds 5, and stays there."""
    async with reading_from(postgres, postgres) as app:
        await app.execute(Put("a", 5))
        await app.settled()
    async with copy_of(postgres, postgres_server) as copy:
        yield copy


async def replay(copy: str, position: int, amount: int) -> None:
    """What the primary has done, in one transaction."""
    connection = await asyncpg.connect(copy)
    async with connection.transaction():
        await connection.execute("UPDATE diptych_head SET position = $1", position)
        await connection.execute("UPDATE view_total_1 SET amount = $1", amount)
        await connection.execute("UPDATE diptych_checkpoints SET position = $1", position)
    await connection.close()


class TestUpToDate:
    async def test_a_query_after_a_receipt_is_never_older(self, postgres: str) -> None:
        async with reading_from(postgres, f"{postgres}?application_name=answers") as app:
            for number in range(1, 20):
                receipt = await app.execute(Put("a", 1))
                row = await app.ask(TotalOf("a"), after=receipt)
                assert row == Total("a", number, number, receipt.position)
                assert await app.ask(NoView(), after=receipt) == 1
                answer = await app.answer(AllTotals(), after=receipt)
                assert (answer.position, answer.stale) == (receipt.position, False)

    async def test_what_would_write_is_refused(self, postgres: str) -> None:
        async def write(query: Place, views: Views) -> str:
            return await views.scalar(str, text("DELETE FROM view_total_1"))  # type: ignore[arg-type]

        async with reading_from(postgres, postgres, answer=[write]) as app:
            with pytest.raises(ReadOnly):
                await app.ask(Place())


class TestLagging:
    async def test_it_is_the_replica_that_answers(self, postgres: str, lagging: str) -> None:
        async with reading_from(postgres, lagging) as app:
            assert lagging.endswith(await app.ask(Place()))

    async def test_without_after_what_is_there_is_answered(
        self, postgres: str, lagging: str
    ) -> None:
        async with reading_from(postgres, lagging) as app:
            await app.execute(Put("a", 1))
            await app.settled()
            assert await app.ask(TotalOf("a")) == Total("a", 5, 1, 1)

    async def test_after_a_receipt_that_has_not_arrived_is_stale(
        self, postgres: str, lagging: str
    ) -> None:
        async with reading_from(postgres, lagging) as app:
            receipt = await app.execute(Put("a", 1))
            await app.settled()
            for query in (TotalOf("a"), AllTotals(), NoView(), Place()):
                with pytest.raises(Stale, match="at position 1, asked for 2"):
                    await app.ask(query, after=receipt, timeout=0.2)

    async def test_what_it_shows_says_how_old_it_is(self, postgres: str, lagging: str) -> None:
        async with reading_from(postgres, lagging) as app:
            receipt = await app.execute(Put("a", 1))
            for query in (TotalOf("a"), NoView()):
                for after in (None, receipt):
                    answer: Any = await app.answer(query, after=after, timeout=0.1)
                    assert (answer.position, answer.stale) == (1, True)
                    assert answer.age > timedelta(0)
            with pytest.raises(Stale):
                await app.ask(TotalOf("a"), max_age=timedelta(0), timeout=0.1)

    @pytest.mark.parametrize("query", [TotalOf("a"), NoView()], ids=["a view", "no view"])
    async def test_what_arrives_in_time_is_waited_for(
        self, postgres: str, lagging: str, query: Any
    ) -> None:
        async with reading_from(postgres, lagging) as app:
            receipt = await app.execute(Put("a", 1))
            asking = asyncio.create_task(app.answer(query, after=receipt, timeout=20))
            await asyncio.sleep(0.2)
            assert not asking.done()
            await replay(lagging, receipt.position, 6)
            answer = await asking
            assert (answer.position, answer.stale) == (receipt.position, False)
            if isinstance(query, TotalOf):
                assert answer.value == Total("a", 6, 1, 1)


class TestWhichReplica:
    async def test_a_copy_of_another_log_is_refused(
        self, postgres: str, postgres_databases: Databases, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(replica, "PATIENCE", 0.2)
        other = postgres_databases.new()
        async with bank(other):
            pass
        with pytest.raises(ForeignStore, match=r"read_store=.*Name a replica of the app's own"):
            async with reading_from(postgres, other):
                pass
        postgres_databases.drop(other)

    async def test_one_that_lacks_what_is_read_is_refused_after_a_while(
        self, postgres: str, postgres_databases: Databases, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(replica, "PATIENCE", 0.2)
        empty = postgres_databases.new()
        with pytest.raises(StoreUnavailable, match=r"has not got what the app's store has"):
            async with reading_from(postgres, empty):
                pass
        postgres_databases.drop(empty)

    async def test_one_that_lacks_a_new_view_gets_it_in_time(
        self, postgres: str, postgres_server: str
    ) -> None:
        async with bank(postgres, read=[], answer=[]) as app:
            await app.execute(Put("a", 5))
        async with copy_of(postgres, postgres_server) as copy:
            opening = asyncio.create_task(reading_from(postgres, copy).__aenter__())
            await asyncio.sleep(0.3)
            assert not opening.done()
            async with bank(postgres) as primary:
                await primary.settled()
            connection = await asyncpg.connect(copy)
            await connection.execute(
                "CREATE TABLE view_total_1 AS SELECT 'a' AS pot, 5::bigint AS amount, "
                "1::bigint AS events, 1::bigint AS position; "
                "INSERT INTO diptych_checkpoints VALUES ('total@1', 1, 1)"
            )
            await connection.close()
            app = await opening
            assert await app.ask(TotalOf("a")) == Total("a", 5, 1, 1)
            await app.__aexit__(None, None, None)

    @pytest.mark.parametrize(
        ("store", "read_store", "words"),
        [
            ("sqlite://", "postgresql://h/d", "where store= is a PostgreSQL"),
            ("postgresql://h/d", "sqlite:///x.db", "where store= is a PostgreSQL"),
            ("postgresql://h/d", "postgresql://u:secret@h/d?schema=x", "the same schema="),
        ],
    )
    def test_what_cannot_be_is_said_at_once(self, store: str, read_store: str, words: str) -> None:
        with pytest.raises(WiringError, match=words) as error:
            bank(store, read_store=read_store)
        assert "secret" not in str(error.value)
