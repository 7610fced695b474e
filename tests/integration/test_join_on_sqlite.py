"""Joins on SQLite: who has the write lock, and when."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import create_engine, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import sessionmaker

from diptych import App, Principal, View
from diptych.errors import JoinFailed
from tests.integration.shop import (
    Article,
    Deliver,
    Delivered,
    Order,
    OrderPlaced,
    shop,
)

Sessions = async_sessionmaker[AsyncSession]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "shop.db"


@pytest.fixture
async def app(file: Path) -> AsyncIterator[App]:
    async with shop(file) as app:
        yield app


@pytest.fixture
async def sessions(app: App, file: Path) -> AsyncIterator[Sessions]:
    """The user's own, as an application has them already."""
    engine = create_async_engine(f"sqlite+aiosqlite:///{file}")
    yield async_sessionmaker(engine, expire_on_commit=False)
    await engine.dispose()


async def test_a_session_that_read_before_somebody_wrote_is_told_to_join_first(
    app: App, sessions: Sessions
) -> None:
    async with sessions() as session:
        connection = await session.connection()
        await connection.exec_driver_sql("BEGIN")
        await session.scalars(select(Article))
        await app.execute(Deliver("tea", 1))
        with pytest.raises(JoinFailed, match="before it reads"):
            async with app.join(session):
                pass
        await session.rollback()


async def test_a_session_without_a_transaction_or_without_a_sync_is_refused(
    app: App, file: Path
) -> None:
    engine = create_async_engine(f"sqlite+aiosqlite:///{file}", isolation_level="AUTOCOMMIT")
    async with async_sessionmaker(engine)() as session:
        with pytest.raises(JoinFailed, match="autocommit"):
            async with app.join(session):
                pass
    await engine.dispose()
    engine = create_async_engine(f"sqlite+aiosqlite:///{file}")
    async with async_sessionmaker(engine)() as session:
        await (await session.connection()).exec_driver_sql("PRAGMA synchronous = NORMAL")
        with pytest.raises(JoinFailed, match="power cut"):
            async with app.join(session):
                pass
    await engine.dispose()


async def test_a_transaction_that_has_written_joins_before_those_who_wait_for_it(
    app: App, sessions: Sessions
) -> None:
    async with sessions.begin() as session:
        session.add(Order(id="o1", placed_by="ann"))
        await session.flush()
        waiting = asyncio.ensure_future(app.execute(Deliver("tea", 1)))
        await asyncio.sleep(0.05)
        async with app.join(session) as unit:
            unit.record(OrderPlaced("o1", "ann"), stream="shop:o1")
    assert unit.receipt.position == 1
    assert (await waiting).position == 2


async def test_joins_and_commands_of_one_app_take_turns(app: App, sessions: Sessions) -> None:
    """Who came first has the lock first, whether by a session of his own or by a command."""
    order: list[str] = []
    at_work, go_on = asyncio.Event(), asyncio.Event()

    async def joined(name: str) -> None:
        async with sessions.begin() as session, app.join(session) as unit:
            order.append(name)
            if name == "first":
                at_work.set()
                await go_on.wait()
            unit.record(OrderPlaced(name, "ann"), stream=f"shop:{name}")

    async def commanded(name: str) -> None:
        await app.execute(Deliver(name, 1))
        order.append(name)

    calls = [asyncio.ensure_future(joined("first"))]
    await at_work.wait()
    for name in ("a", "b", "c", "d"):
        calls.append(asyncio.ensure_future(joined(name) if name in "ac" else commanded(name)))
        await asyncio.sleep(0.02)
    go_on.set()
    await asyncio.gather(*calls)
    assert order == ["first", "a", "b", "c", "d"]


@dataclass(frozen=True)
class Level:
    """A row that is found by a decimal."""

    stock: Decimal
    deliveries: int


def level(row: Level | None, event: Delivered) -> Level:
    return Level(Decimal(event.stock), 1 + (row.deliveries if row else 0))


async def test_an_inline_view_with_a_decimal_key_is_kept_on_the_users_connection(
    file: Path,
) -> None:
    by_stock = {Delivered: lambda event: Decimal(event.stock)}
    view = View(Level, level, key="stock", keys=by_stock, inline=True)
    asynchronous = create_async_engine(f"sqlite+aiosqlite:///{file}")
    blocking = create_engine(f"sqlite:///{file}")

    def joined_in_a_thread(app: App) -> None:
        with sessionmaker(blocking).begin() as session:
            with app.joining.join_now(session, principal=Principal("ann")) as unit:
                unit.record(Delivered("tea", 1, 5), stream="shop:tea")

    async with shop(file, read=[view]) as app:
        await app.execute(Deliver("tea", 5))
        for _ in range(2):
            async with async_sessionmaker(asynchronous).begin() as session:
                async with app.join(session) as unit:
                    unit.record(Delivered("tea", 1, 5), stream="shop:tea")
        await asyncio.to_thread(joined_in_a_thread, app)
        connection = sqlite3.connect(file)
        connection.create_collation("diptych_decimal", lambda a, b: (a > b) - (a < b))
        found = connection.execute("SELECT stock, deliveries FROM view_level_1").fetchall()
        assert found == [("5", 4)]
        connection.close()
    await asynchronous.dispose()
    blocking.dispose()
