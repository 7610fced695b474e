"""Of one process, one connection at a time has the store's lock on PostgreSQL or waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from diptych import App, Decider, EventSourced, Handlers, Receipt
from diptych.adapters.postgres.address import address


@dataclass(frozen=True)
class Note:
    key: str


@dataclass(frozen=True)
class Noted:
    key: str


@dataclass(frozen=True)
class Handle:
    key: str


@dataclass(frozen=True)
class Handled:
    key: str


def decide(command: Note, count: int) -> list[Noted]:
    return [Noted(command.key)]


def evolve(count: int, event: Noted) -> int:
    return count + 1


async def handle(command: Handle, session: AsyncSession) -> list[Handled]:
    return [Handled(command.key)]


Sessions = async_sessionmaker[AsyncSession]


@pytest.fixture
async def app(postgres: str) -> AsyncIterator[App]:
    notes = EventSourced("note", Decider(0, decide, evolve), key="key")
    async with App(
        "turns", store=postgres, write=[notes, Handlers("desk", handle, key="key")]
    ) as opened:
        yield opened


@pytest.fixture
async def sessions(postgres: str) -> AsyncIterator[Sessions]:
    engine = create_async_engine(address(postgres).url("asyncpg"), pool_size=20)
    yield async_sessionmaker(engine)
    await engine.dispose()


async def join(app: App, sessions: Sessions, key: str) -> Receipt:
    async with sessions.begin() as session, app.join(session) as unit:
        unit.record(Handled(key), stream=f"desk:{key}")
    return unit.receipt


async def waiting(connection: asyncpg.Connection) -> int:
    count: int = await connection.fetchval(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    return count


async def test_only_one_connection_waits_for_the_lock(
    app: App, sessions: Sessions, postgres: str
) -> None:
    """A stopped process would keep it for as long again with every other one."""
    holder, watcher = await asyncpg.connect(postgres), await asyncpg.connect(postgres)
    try:
        one, other = address(postgres).lock
        await holder.execute(f"BEGIN; SELECT pg_advisory_xact_lock({one}, {other})")
        calls = [asyncio.create_task(join(app, sessions, f"j{n}")) for n in range(3)]
        calls += [asyncio.create_task(app.execute(Handle(f"h{n}"))) for n in range(3)]
        calls += [asyncio.create_task(app.execute(Note(f"n{n}"))) for n in range(3)]
        seen = 0
        for _ in range(30):
            seen = max(seen, await waiting(watcher))
            await asyncio.sleep(0.02)
        assert seen == 1
        await holder.execute("COMMIT")
        receipts = await asyncio.gather(*calls)
        assert sorted(receipt.position for receipt in receipts) == list(range(1, 10))
    finally:
        await holder.close()
        await watcher.close()


async def test_whoever_is_cancelled_while_it_waits_leaves_the_turn_to_the_others(
    app: App, sessions: Sessions, postgres: str
) -> None:
    holder = await asyncpg.connect(postgres)
    try:
        one, other = address(postgres).lock
        await holder.execute(f"BEGIN; SELECT pg_advisory_xact_lock({one}, {other})")
        calls = [asyncio.create_task(join(app, sessions, f"j{n}")) for n in range(4)]
        calls += [asyncio.create_task(app.execute(Handle(f"h{n}"))) for n in range(4)]
        await asyncio.sleep(0.3)
        for call in calls[::2]:
            call.cancel()
        await asyncio.sleep(0.1)
        await holder.execute("COMMIT")
        await asyncio.wait_for(asyncio.gather(*calls[::2], return_exceptions=True), 10)
        await asyncio.wait_for(asyncio.gather(*calls[1::2]), 10)
        await asyncio.wait_for(join(app, sessions, "last"), 10)
    finally:
        await holder.close()


async def test_two_joins_of_one_transaction_have_one_turn(app: App, sessions: Sessions) -> None:
    async with asyncio.timeout(10), sessions.begin() as session:
        async with app.join(session) as first:
            first.record(Handled("a"), stream="desk:a")
        async with app.join(session) as second:
            second.record(Handled("b"), stream="desk:b")
    assert (first.receipt.position, second.receipt.position) == (1, 2)
    assert (await app.execute(Note("n"))).position == 3


async def test_a_session_that_does_not_go_on_gives_the_turn_back(
    app: App, sessions: Sessions
) -> None:
    session = sessions()
    async with app.join(session) as unit:
        unit.record(Handled("a"), stream="desk:a")
    async with asyncio.timeout(10):
        assert (await app.execute(Note("n"))).position == 1  # the other one was cut off
    await session.invalidate()


async def test_a_session_is_joined_again_and_again(app: App, sessions: Sessions) -> None:
    async with asyncio.timeout(20), sessions() as session:
        for n in range(5):
            async with app.join(session) as unit:
                unit.record(Handled("a"), stream="desk:a")
            await (session.commit() if n % 2 else session.rollback())
            await app.execute(Note("n"))
    assert await app.log.head() == 7
