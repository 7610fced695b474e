"""What a team writes without diptych: a row changed and an event recorded in one transaction."""

from __future__ import annotations

import time
from typing import Any

import msgspec
from sqlalchemy import create_engine, event, insert
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker

from benchmarks.durability import durability
from benchmarks.measuring import Measured, Settings

ROWS = 100


class Base(DeclarativeBase): ...


class Account(Base):
    __tablename__ = "accounts"
    id: Mapped[str] = mapped_column(primary_key=True)
    balance: Mapped[int]


class Outbox(DeclarativeBase): ...


class Event(Outbox):
    __tablename__ = "events"
    position: Mapped[int] = mapped_column(primary_key=True)
    stream: Mapped[str]
    name: Mapped[str]
    data: Mapped[str]


def _durable(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # SQLAlchemy begins, as its documentation has it
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.close()


def _begin(connection: Any) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def blocking(settings: Settings) -> Measured:
    """The same with a plain Session, in the only thread there is: no loop, nobody else served."""
    file = settings.fresh("plain") / "bench.db"
    engine = create_engine(f"sqlite:///{file}")
    event.listen(engine, "connect", _durable)
    event.listen(engine, "begin", _begin)
    with engine.begin() as connection:
        Base.metadata.create_all(connection)
        Outbox.metadata.create_all(connection)
    sessions = sessionmaker(engine, expire_on_commit=False)

    def deposit(id: str, amount: int) -> None:
        with sessions.begin() as session:
            account = session.get(Account, id)
            if account is None:
                account = Account(id=id, balance=0)
                session.add(account)
            account.balance += amount
            session.execute(insert(Event).values(_event(id, amount)))

    rows = settings.size(ROWS, 10)
    for n in range(rows):
        deposit(f"a{n}", 1)
    done = 0
    start = time.perf_counter()
    while time.perf_counter() - start < settings.seconds:
        deposit(f"a{done % rows}", 1250)
        done += 1
    took = time.perf_counter() - start
    durability.assert_full()
    engine.dispose()
    return Measured(done / took)


def _event(id: str, amount: int) -> dict[str, str]:
    data = msgspec.json.encode({"id": id, "amount": amount}).decode()
    return {"stream": f"account:{id}", "name": "deposited", "data": data}


def transaction(settings: Settings) -> Measured:
    """Get, change, add an event, commit; through aiosqlite or asyncpg, one caller."""

    async def main() -> float:
        if settings.postgres:
            engine = create_async_engine(f"postgresql+asyncpg{settings.postgres[10:]}")
        else:
            file = settings.fresh("plain") / "bench.db"
            engine = create_async_engine(f"sqlite+aiosqlite:///{file}")
            event.listen(engine.sync_engine, "connect", _durable)
            event.listen(engine.sync_engine, "begin", _begin)
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
            await connection.run_sync(Outbox.metadata.create_all)
        sessions = async_sessionmaker(engine, expire_on_commit=False)

        async def deposit(id: str, amount: int) -> None:
            async with sessions.begin() as session:
                account = await session.get(Account, id)
                if account is None:
                    account = Account(id=id, balance=0)
                    session.add(account)
                account.balance += amount
                await session.execute(insert(Event).values(_event(id, amount)))

        rows = settings.size(ROWS, 10)
        for n in range(rows):
            await deposit(f"a{n}", 1)
        done = 0
        start = time.perf_counter()
        while time.perf_counter() - start < settings.seconds:
            await deposit(f"a{done % rows}", 1250)
            done += 1
        took = time.perf_counter() - start
        if settings.postgres:
            await durability.assert_synchronous()
        else:
            durability.assert_full()
        await engine.dispose()
        return done / took

    return Measured(settings.run(main()))
