"""Handlers on PostgreSQL: side by side, in turns for one stream, and past what can go wrong there."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.orm.exc import StaleDataError

from diptych import (
    App,
    BadResult,
    Handlers,
    Limits,
    Query,
    Receipt,
    Refused,
    StreamConflict,
    View,
    Views,
)
from diptych.adapters.postgres import unit as units
from diptych.errors import Overloaded, ProjectionFailed, StoreUnavailable
from tests.integration.other_program import OtherProgram, look
from tests.integration.shop import (
    Article,
    Deliver,
    Delivered,
    Misbehave,
    TakeOne,
    shop,
    shop_handlers,
)


def patient_shop(url: str, **more: Any) -> App:
    """Its handlers may take long, since the machine may be busy."""
    return shop(url, **{"write": [shop_handlers(seconds=30)]} | more)


@pytest.fixture
async def app(postgres: str) -> AsyncIterator[App]:
    async with patient_shop(postgres) as app:
        yield app


@pytest.fixture
def program(postgres: str) -> Iterator[OtherProgram]:
    program = OtherProgram(postgres)
    yield program
    program.close()


class Base(DeclarativeBase): ...


class Place(Base):
    __tablename__ = "places"
    id: Mapped[str] = mapped_column(primary_key=True)
    guests: Mapped[int]
    version: Mapped[int] = mapped_column()

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012


@dataclass(frozen=True)
class Enter:
    """First one place, then the other; the guest is the key."""

    guest: str
    first: str
    then: str


@dataclass(frozen=True)
class Entered:
    guest: str


async def enter_what_was_read(command: Enter, session: AsyncSession) -> list[Entered]:
    place = await session.get_one(Place, command.first)
    await asyncio.sleep(0.005)
    place.guests += 1
    return [Entered(command.guest)]


def hotel(url: str, function: Any, **more: Any) -> App:
    handlers = Handlers("hotel", [function], key="guest", tables=Base.metadata, seconds=30)
    return App("hotel", store=url, write=[handlers], **more)


def furnish(program: OtherProgram) -> None:
    for id in ("bar", "pool"):
        program("INSERT INTO places (id, guests, version) VALUES (?, 0, 1)", (id,))


async def test_commands_of_one_stream_take_turns_in_all_processes_though_they_lock_no_row(
    postgres: str, program: OtherProgram
) -> None:
    """`deliver` reads a row without a lock, then writes it: the classic lost update."""
    async with patient_shop(postgres) as one, patient_shop(postgres) as two:
        await one.execute(Deliver("tea", 1))
        calls = [app.execute(Deliver("tea", 1)) for _ in range(50) for app in (one, two)]
        await asyncio.gather(*calls)
    assert program("SELECT stock FROM articles") == [(101,)]


async def test_handlers_of_different_streams_run_side_by_side(
    app: App, program: OtherProgram
) -> None:
    inside, meet = 0, asyncio.Event()

    async def wait(command: Misbehave, session: AsyncSession) -> list[Delivered]:
        nonlocal inside
        inside += 1
        if inside == units.UNITS:
            meet.set()
        await meet.wait()
        return []

    waiting = Handlers("wait", [wait], key="sku")
    async with App("shop", store=str(program.url), write=[waiting]) as other:
        await asyncio.gather(
            *[other.execute(Misbehave(str(n), "")) for n in range(3 * units.UNITS)]
        )
    assert inside == 3 * units.UNITS


async def test_a_deadlock_between_handlers_is_run_again(
    postgres: str, program: OtherProgram
) -> None:
    inside = 0
    both = asyncio.Event()
    add = text("UPDATE places SET guests = guests + 1 WHERE id = :id")

    async def enter(command: Enter, session: AsyncSession) -> list[Entered]:
        nonlocal inside
        inside += 1
        await session.execute(add, {"id": command.first})
        if inside == 2:
            both.set()
        await both.wait()
        await session.execute(add, {"id": command.then})
        return [Entered(command.guest)]

    async with hotel(postgres, enter) as app:
        furnish(program)
        commands = [Enter("ann", "bar", "pool"), Enter("bob", "pool", "bar")]
        receipts = await asyncio.gather(*map(app.execute, commands))
        assert {receipt.position for receipt in receipts} == {1, 2}
    assert inside == 3
    assert program("SELECT guests FROM places") == [(2,), (2,)]


async def test_a_row_with_a_version_of_its_own_that_moved_on_is_read_again(
    postgres: str, program: OtherProgram
) -> None:
    async with hotel(postgres, enter_what_was_read, limits=Limits(attempts=100)) as app:
        furnish(program)
        await asyncio.gather(*[app.execute(Enter(f"guest-{n}", "bar", "")) for n in range(24)])
    assert program("SELECT guests FROM places WHERE id = 'bar'") == [(24,)]


async def test_what_does_not_help_in_the_end_is_the_error_of_the_database(
    postgres: str, program: OtherProgram
) -> None:
    runs = 0

    async def always_late(command: Enter, session: AsyncSession) -> list[Entered]:
        nonlocal runs
        runs += 1
        place = await session.get_one(Place, command.first)
        program("UPDATE places SET version = version + 1")
        place.guests += 1
        return [Entered(command.guest)]

    async with hotel(postgres, always_late, limits=Limits(attempts=3)) as app:
        furnish(program)
        with pytest.raises(StaleDataError):
            await app.execute(Enter("ann", "bar", ""))
        assert runs == 3
        assert [one async for one in app.log.read()] == []


async def test_the_same_command_in_two_processes_at_once_happens_once(
    postgres: str, program: OtherProgram
) -> None:
    async with patient_shop(postgres) as one, patient_shop(postgres) as two:
        calls = [app.execute(Deliver("tea", 5), id="d") for _ in range(5) for app in (one, two)]
        receipts = await asyncio.gather(*calls)
        assert {receipt.position for receipt in receipts} == {1}
    assert program("SELECT stock FROM articles") == [(5,)]


async def test_a_decision_on_a_screen_fails_if_a_join_comes_between_it_and_its_commit(
    postgres: str, program: OtherProgram
) -> None:
    at_work, go_on = asyncio.Event(), asyncio.Event()

    async def slowly(command: TakeOne, session: AsyncSession) -> list[Delivered]:
        at_work.set()
        await go_on.wait()
        return [Delivered(command.sku, 1, 1)]

    handlers = Handlers("shop", [slowly], key="sku")
    engine = create_async_engine(postgres.replace("postgresql:", "postgresql+asyncpg:"))
    async with patient_shop(postgres) as app, App("shop", store=postgres, write=[handlers]) as slow:
        seen = await app.execute(Deliver("tea", 1))
        deciding = asyncio.ensure_future(slow.execute(TakeOne("tea"), seen=seen))
        await at_work.wait()
        async with async_sessionmaker(engine).begin() as session, app.join(session) as unit:
            unit.record(Delivered("tea", 1, 2), stream="shop:tea")
        go_on.set()
        with pytest.raises(StreamConflict):
            await deciding
        await slow.execute(TakeOne("tea"), seen=unit.receipt)
    await engine.dispose()


def ending_with(statements: Sequence[str]) -> Handlers:
    async def escape(command: Misbehave, session: AsyncSession) -> list[Delivered]:
        (await session.get_one(Article, command.sku)).stock = 0
        await session.flush()
        for statement in statements:
            with suppress(Exception):
                await session.execute(text(statement))
        return [Delivered(command.sku, 0, 0)]

    return Handlers("escape", [escape], key="sku")


@pytest.mark.parametrize(
    "statements",
    [
        ("DO $$ BEGIN COMMIT; END $$",),
        ("/* a /* comment */ in a comment */ COMMIT", "UPDATE articles SET stock = 1"),
        ("SELECT 1 / 0",),
        ("SELECT 1 / 0", "UPDATE articles SET stock = 1"),
    ],
    ids="; ".join,
)
async def test_a_handler_that_ends_or_breaks_its_transaction_and_goes_on_leaves_nothing(
    postgres: str, program: OtherProgram, statements: Sequence[str]
) -> None:
    async with patient_shop(postgres) as app:
        await app.execute(Deliver("tea", 2))
    async with App("shop", store=postgres, write=[ending_with(statements)]) as app:
        with pytest.raises(BadResult, match="begin_nested"):
            await app.execute(Misbehave("tea", ""))
        assert len([one async for one in app.log.read()]) == 1
    assert program("SELECT stock FROM articles") == [(2,)]


async def test_a_part_that_fails_alone_is_undone_alone(app: App, program: OtherProgram) -> None:
    async def nested(command: Misbehave, session: AsyncSession) -> list[Delivered]:
        try:
            async with session.begin_nested():
                session.add(Article(sku="tea", stock=7))
                await session.flush()
        except DBAPIError:
            session.add(Article(sku="coffee", stock=1))
        return [Delivered("coffee", 1, 1)]

    await app.execute(Deliver("tea", 2))
    nesting = Handlers("nested", [nested], key="sku")
    async with App("shop", store=program.url, write=[nesting]) as other:
        await other.execute(Misbehave("tea", ""))
    assert program("SELECT sku, stock FROM articles ORDER BY sku") == [("coffee", 1), ("tea", 2)]


KILL_THE_OTHERS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


async def test_a_connection_that_is_lost_in_a_handler_is_named_and_the_next_one_goes_on(
    app: App, program: OtherProgram
) -> None:
    async def killed(command: Misbehave, session: AsyncSession) -> list[Delivered]:
        program(KILL_THE_OTHERS)
        await session.execute(text("SELECT 1"))
        return []

    await app.execute(Deliver("tea", 2))
    handlers = Handlers("killed", [killed], key="sku")
    async with App("shop", store=program.url, write=[handlers]) as other:
        with pytest.raises(StoreUnavailable, match="can be reached"):
            await other.execute(Misbehave("tea", ""))
    assert (await app.execute(TakeOne("tea"))).position == 2


async def test_connections_that_were_lost_between_two_commands_are_no_matter(
    app: App, program: OtherProgram
) -> None:
    await asyncio.gather(*[app.execute(Deliver(str(n), 1)) for n in range(20)])
    program(KILL_THE_OTHERS)
    await asyncio.sleep(0.05)
    await asyncio.gather(*[app.execute(Deliver(str(n), 1)) for n in range(20)])
    assert look(program.url, "SELECT DISTINCT stock FROM articles") == [(2,)]


@pytest.mark.parametrize("happens", [True, False])
async def test_what_became_of_a_commit_whose_connection_was_lost_is_looked_up(
    app: App, program: OtherProgram, monkeypatch: pytest.MonkeyPatch, happens: bool
) -> None:
    await app.execute(Deliver("tea", 2))
    original = units.Lender.commit

    async def commit(self: units.Lender, driver: Any, commit: Any) -> Any:
        return await original(self, Losing(driver, happens), commit)

    monkeypatch.setattr(units.Lender, "commit", commit)
    if happens:
        receipt = await app.execute(TakeOne("tea"))
        assert isinstance(receipt, Receipt)
        assert receipt.position == 2
    else:
        with pytest.raises(StoreUnavailable):
            await app.execute(TakeOne("tea"))
    monkeypatch.undo()
    assert program("SELECT stock FROM articles") == [(1 if happens else 2,)]
    await app.execute(TakeOne("tea"))


class Losing:
    """A connection that is lost when it commits: just before, or just after."""

    def __init__(self, driver: Any, happens: bool) -> None:
        self._driver = driver
        self._happens = happens

    def __getattr__(self, name: str) -> Any:
        return getattr(self._driver, name)

    async def execute(self, sql: str) -> str:
        if sql == "COMMIT":
            if self._happens:
                await self._driver.execute(sql)
            self._driver.terminate()
            raise ConnectionResetError("lost")
        done: str = await self._driver.execute(sql)
        return done


async def test_more_than_may_wait_are_refused_at_once(postgres: str) -> None:
    async with patient_shop(postgres, limits=Limits(waiting=20)) as app:
        calls = [app.execute(Deliver(str(n % 7), 1)) for n in range(60)]
        found = await asyncio.gather(*calls, return_exceptions=True)
        kinds = [type(one) for one in found]
        assert kinds.count(Receipt) == 20
        assert kinds.count(Overloaded) == 40
        await app.execute(Deliver("tea", 1))


async def test_an_app_that_closes_waits_for_its_handlers(
    postgres: str, program: OtherProgram
) -> None:
    async with patient_shop(postgres) as app:
        calls = [asyncio.ensure_future(app.execute(Deliver(str(n), 1))) for n in range(20)]
        await asyncio.sleep(0.02)
    found = await asyncio.gather(*calls, return_exceptions=True)
    done = [one for one in found if isinstance(one, Receipt)]
    assert program("SELECT count(*) FROM articles") == [(len(done),)]


async def test_in_a_schema_of_its_own_an_app_has_its_tables_there(
    postgres: str, program: OtherProgram
) -> None:
    program("CREATE SCHEMA one")
    program("CREATE SCHEMA two")
    apps = [patient_shop(f"{postgres}?schema={name}") for name in ("one", "two")]
    async with apps[0] as one, apps[1] as two:
        await one.execute(Deliver("tea", 1))
        receipt = await two.execute(Deliver("tea", 2))
        assert receipt.position == 1
        await one.execute(TakeOne("tea"))
        with pytest.raises(Refused):
            await one.execute(TakeOne("tea"))
    assert program("SELECT stock FROM one.articles") == [(0,)]
    assert program("SELECT stock FROM two.articles") == [(2,)]


async def test_a_pooler_s_address_keeps_no_prepared_statement(
    postgres: str, program: OtherProgram
) -> None:
    async with patient_shop(f"{postgres}?statement_cache_size=0") as app:
        for _ in range(20):
            await app.execute(Deliver("tea", 1))
        async with asyncio.timeout(5):
            await app.execute(TakeOne("tea"))
    assert program("SELECT stock FROM articles") == [(19,)]


@pytest.mark.parametrize("seed", range(3))
async def test_a_handler_cancelled_at_any_moment_leaves_nothing_or_all(
    app: App, program: OtherProgram, seed: int
) -> None:
    await app.execute(Deliver("tea", 1000))
    begun = time.perf_counter()
    await app.execute(TakeOne("tea"))
    lasts = time.perf_counter() - begun
    chance = random.Random(seed)

    async def leaves(number: int) -> None:
        call = asyncio.ensure_future(app.execute(TakeOne("tea"), id=f"take-{number}"))
        await asyncio.sleep(chance.random() * lasts * 1.5)
        call.cancel()
        await asyncio.wait([call])

    for number in range(60):
        await leaves(number)
    for start in range(60, 120, 6):
        await asyncio.gather(*map(leaves, range(start, start + 6)))
    taken = [one.event async for one in app.log.read(after=1)]
    assert program("SELECT stock FROM articles") == [(1000 - len(taken),)]
    ids = {id for (id,) in program("SELECT id FROM diptych_outcomes WHERE id LIKE 'take-%'")}
    assert len(ids) == len(taken) - 1
    for number in range(120):
        receipt = await app.execute(TakeOne("tea"), id=f"take-{number}")
        assert (receipt.position <= 1 + len(taken)) == (f"take-{number}" in ids)
    assert program("SELECT stock FROM articles") == [(1000 - 121,)]
    assert len(waiting_in(program)) == 0


def waiting_in(program: OtherProgram) -> list[Any]:
    """Who has a transaction open."""
    return program(
        "SELECT pid, query FROM pg_stat_activity WHERE datname = current_database() "
        "AND pid <> pg_backend_pid() AND state LIKE 'idle in transaction%'"
    )


@dataclass(frozen=True)
class Stock:
    sku: str
    stock: int


async def stocks(query: AllStocks, views: Views) -> list[Stock]:
    return sorted(await views.all(Stock), key=lambda row: row.sku)


@dataclass(frozen=True)
class AllStocks(Query[list[Stock]]): ...


async def test_an_inline_view_is_in_the_transaction_of_the_handler(
    postgres: str, program: OtherProgram
) -> None:
    def stock(row: Stock | None, event: Delivered) -> Stock:
        if event.quantity == 13:
            raise LookupError("thirteen")
        return Stock(event.sku, event.stock)

    view = View(Stock, stock, key="sku", inline=True)
    async with patient_shop(postgres, read=[view], answer=[stocks]) as app:
        calls = [app.execute(Deliver(sku, n)) for sku in ("tea", "rice") for n in range(9, 18)]
        found = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(one) for one in found if not isinstance(one, Receipt)] == [
            ProjectionFailed
        ] * 2
        expected = sum(range(9, 18)) - 13
        rows = [("rice", expected), ("tea", expected)]
        assert await app.ask(AllStocks(), timeout=0) == [Stock(*row) for row in rows]
        assert program("SELECT sku, stock FROM articles ORDER BY sku") == rows
