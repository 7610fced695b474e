"""Joins on PostgreSQL: which transactions can carry events, and whom they keep waiting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from asyncpg.exceptions import DeadlockDetectedError
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import sessionmaker

from diptych import App, Limits, Principal, StreamConflict
from diptych.adapters.postgres.writer import Writer
from diptych.errors import ForeignStore, JoinFailed, WouldBlock
from tests.integration.other_program import OtherProgram, look
from tests.integration.pots import Added, Put
from tests.integration.shop import Deliver, Delivered, Order, OrderPlaced, TakeOne, shop
from tests.integration.tables import table_bank
from tests.servers.databases import Databases

Sessions = async_sessionmaker[AsyncSession]


@pytest.fixture
async def app(postgres: str) -> AsyncIterator[App]:
    async with shop(postgres) as app:
        yield app


@pytest.fixture(params=["asyncpg", "psycopg"])
def driver(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def on(url: str, driver: str) -> str:
    """The same URL for SQLAlchemy."""
    return url.replace("postgresql://", f"postgresql+{driver}://")


@pytest.fixture
async def sessions(app: App, postgres: str, driver: str) -> AsyncIterator[Sessions]:
    engine = create_async_engine(on(postgres, driver))
    yield async_sessionmaker(engine, expire_on_commit=False)
    await engine.dispose()


async def recorded(app: App) -> int:
    return len([one async for one in app.log.read()])


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        ({"isolation_level": "REPEATABLE READ"}, r"REPEATABLE READ.*Use .*READ COMMITTED"),
        ({"isolation_level": "SERIALIZABLE"}, r"SERIALIZABLE.*with_for_update"),
        ({"isolation_level": "AUTOCOMMIT"}, r"autocommit.*begins transactions"),
        ({"postgresql_readonly": True}, r"READ ONLY.*may write"),
    ],
)
async def test_a_transaction_that_cannot_carry_events_is_told_so_before_its_block(
    app: App, postgres: str, driver: str, options: dict[str, Any], remedy: str
) -> None:
    engine = create_async_engine(on(postgres, driver)).execution_options(**options)
    async with AsyncSession(engine) as session:
        with pytest.raises(JoinFailed, match=remedy):
            async with app.join(session):
                raise AssertionError
        await session.rollback()
    await engine.dispose()
    blocking = create_engine(on(postgres, "psycopg")).execution_options(**options)

    def join() -> None:
        with sessionmaker(blocking)() as session:
            with pytest.raises(JoinFailed, match=remedy):
                with app.joining.join_now(session, principal=Principal("ann")):
                    raise AssertionError

    await asyncio.to_thread(join)
    blocking.dispose()


async def test_a_session_on_another_database_is_refused(
    app: App, postgres_databases: Databases, driver: str
) -> None:
    for other_has_a_log in (False, True):
        other = postgres_databases.new()
        if other_has_a_log:
            async with shop(other):
                pass
        engine = create_async_engine(on(other, driver))
        async with AsyncSession(engine) as session:
            with pytest.raises(ForeignStore, match=r"another database \(diptych_.*the log in"):
                async with app.join(session):
                    raise AssertionError
        await engine.dispose()
        postgres_databases.drop(other)


async def test_a_copy_of_the_database_is_another_one(
    postgres: str, postgres_databases: Databases, driver: str
) -> None:
    async with shop(postgres) as app:
        await app.execute(Deliver("tea", 1))
    template, copy = (url.rpartition("/")[2] for url in (postgres, f"{postgres}_copy"))
    anywhere = postgres_databases.new()
    admin = OtherProgram(anywhere)
    admin(f'CREATE DATABASE "{copy}" TEMPLATE "{template}"')
    admin.close()
    engine = create_async_engine(on(f"{postgres}_copy", driver))
    async with shop(postgres) as app, AsyncSession(engine) as session:
        with pytest.raises(ForeignStore):
            async with app.join(session):
                raise AssertionError
    await engine.dispose()
    postgres_databases.drop(f"{postgres}_copy")
    postgres_databases.drop(anywhere)


async def test_a_blocking_join_in_the_loop_of_the_app_is_refused(app: App, postgres: str) -> None:
    engine = create_engine(on(postgres, "psycopg"))
    with sessionmaker(engine)() as session:
        with pytest.raises(WouldBlock):
            with app.joining.join_now(session, principal=Principal("ann")):
                raise AssertionError
    engine.dispose()


async def test_nobody_waits_for_a_transaction_that_has_only_joined(
    app: App, sessions: Sessions
) -> None:
    has_written = asyncio.Event()

    async def deliver() -> int:
        await has_written.wait()
        return (await app.execute(Deliver("tea", 1))).position

    delivered = asyncio.ensure_future(deliver())
    async with sessions.begin() as session, app.join(session) as unit:
        session.add(Order(id="o1"))
        await session.flush()
        has_written.set()
        assert await asyncio.wait_for(delivered, 5) == 1
        unit.record(OrderPlaced("o1", "ann"), stream="shop:o1")
    assert unit.receipt.position == 2


async def test_a_failed_join_gives_the_lock_back_and_leaves_the_users_work(
    app: App, sessions: Sessions, postgres: str
) -> None:
    async with sessions.begin() as session:
        with pytest.raises(StreamConflict):
            async with app.join(session) as unit:
                session.add(Order(id="o1"))
                unit.record(OrderPlaced("o1", "ann"), stream="shop:o1", expected=7)
        assert (await asyncio.wait_for(app.execute(Deliver("tea", 1)), 5)).position == 1
    assert look(postgres, "SELECT id FROM orders") == [("o1",)]
    assert await recorded(app) == 1


async def test_a_transaction_with_events_is_on_the_disk_before_it_is_answered(
    app: App, sessions: Sessions
) -> None:
    durable = text("SELECT current_setting('synchronous_commit')")
    async with sessions.begin() as session:
        await session.execute(text("SET LOCAL synchronous_commit = off"))
        async with app.join(session):
            pass
        assert await session.scalar(durable) == "off"
        async with app.join(session) as unit:
            unit.record(OrderPlaced("o1", "ann"), stream="shop:o1")
        assert await session.scalar(durable) == "on"


async def test_who_stands_still_with_the_lock_is_cut_off_and_the_others_go_on(
    app: App, sessions: Sessions, postgres: str
) -> None:
    with pytest.raises(Exception, match=r"idle|closed|terminat"):
        async with sessions.begin() as session:
            async with app.join(session) as unit:
                session.add(Order(id="o1"))
                unit.record(OrderPlaced("o1", "ann"), stream="shop:o1")
            receipt = await asyncio.wait_for(app.execute(Deliver("tea", 1)), 10)
            await session.execute(text("SELECT 1"))
    assert receipt.position == 1
    assert look(postgres, "SELECT id FROM orders") == []
    assert await recorded(app) == 1


async def test_joins_and_handlers_that_lock_the_same_row_wait_for_each_other_and_not_in_a_circle(
    app: App, sessions: Sessions, postgres: str
) -> None:
    await app.execute(Deliver("tea", 1000))

    async def joined(number: int) -> None:
        async with sessions.begin() as session, app.join(session) as unit:
            await session.execute(text("UPDATE articles SET stock = stock - 1"))
            unit.record(Delivered("tea", -1, number), stream=f"shop:{number % 3}")

    calls: list[Any] = [joined(number) for number in range(20)]
    calls += [app.execute(TakeOne("tea")) for _ in range(20)]
    await asyncio.gather(*calls)
    assert look(postgres, "SELECT stock FROM articles") == [(960,)]
    assert await recorded(app) == 41


async def test_states_in_a_table_are_not_waited_for_with_the_store_s_lock_in_hand(
    postgres: str, driver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session that has a row, and waits for the lock; and the app, which has the lock and waits
    for the row: that is a circle."""
    circles: list[Exception] = []
    original = Writer._write_under_lock

    async def write(self: Writer, *given: Any) -> Any:
        try:
            return await original(self, *given)
        except DeadlockDetectedError as error:
            circles.append(error)
            raise

    monkeypatch.setattr(Writer, "_write_under_lock", write)
    engine = create_async_engine(on(postgres, driver))
    sessions = async_sessionmaker(engine)
    adding = text("UPDATE pots SET amount = amount + 1 WHERE id = 'a'")

    async def joined(app: App, number: int) -> None:
        async with sessions.begin() as session, app.join(session) as unit:
            await session.execute(adding)
            await asyncio.sleep(0.002)
            unit.record(Added(f"s{number}", 1), stream=f"session:{number}")

    async def put(app: App) -> None:
        for _ in range(20):
            await app.execute(Put("a", 1))

    async with table_bank(postgres, limits=Limits(attempts=1000)) as app:
        await app.execute(Put("a", 1))
        calls: list[Any] = [joined(app, number) for number in range(30)]
        await asyncio.gather(*calls, *[put(app) for _ in range(3)])
    await engine.dispose()
    assert look(postgres, "SELECT amount FROM pots WHERE id = 'a'") == [(91,)]
    assert circles == []
