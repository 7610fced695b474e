"""Events in a transaction that the user owns: rows and events together, or neither."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import create_engine, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, sessionmaker

from diptych import App, BadResult, Part, Principal, Query, StreamConflict, View, Views
from diptych.errors import ForeignStore, JoinFailed, NestedCall
from diptych.write.joining import JoinUnit
from tests.integration.other_program import look
from tests.integration.pots import file_url
from tests.integration.shop import (
    Article,
    Deliver,
    Delivered,
    OneTaken,
    Order,
    OrderPlaced,
    PlaceOrder,
    TakeOne,
    shop,
)


@dataclass(frozen=True)
class Placed:
    order_id: str
    placed_by: str


def placed(row: Placed | None, event: OrderPlaced) -> Placed:
    return Placed(event.order_id, event.placed_by)


@dataclass(frozen=True)
class PlacedOrder(Query[Placed | None]):
    order_id: str


async def placed_order(query: PlacedOrder, views: Views) -> Placed | None:
    return await views.get(Placed, query.order_id)


Sessions = async_sessionmaker[AsyncSession]


class Users:
    """How the users' own sessions are connected.

    Attributes:
        url: As the app has it.
    """

    def __init__(self, url: str, driver: str) -> None:
        self.url = url
        self._scheme, _, self._place = url.partition("://")
        self._driver = driver

    @property
    def sessions(self) -> str:
        """URL for an AsyncSession."""
        return f"{self._scheme}+{self._driver}://{self._place}"

    @property
    def blocking(self) -> str:
        """URL for a Session."""
        return f"{self._scheme}{'' if self._scheme == 'sqlite' else '+psycopg'}://{self._place}"


@pytest.fixture(params=["aiosqlite", "asyncpg", "psycopg"])
def users(request: pytest.FixtureRequest) -> Users:
    driver: str = request.param
    if driver == "aiosqlite":
        return Users(file_url(Path(request.getfixturevalue("tmp_path")) / "shop.db"), driver)
    return Users(request.getfixturevalue("postgres"), driver)


@pytest.fixture
def database(users: Users) -> str:
    return users.url


@pytest.fixture(params=[False, True], ids=["asynchronous", "inline"])
async def app(database: str, request: pytest.FixtureRequest) -> AsyncIterator[App]:
    view = View(Placed, placed, key="order_id", inline=request.param)
    async with shop(database, read=[view], answer=[placed_order]) as app:
        yield app


@pytest.fixture
async def sessions(app: App, users: Users) -> AsyncIterator[Sessions]:
    """The user's own, as an application has them already."""
    engine = create_async_engine(users.sessions)
    yield async_sessionmaker(engine, expire_on_commit=False)
    await engine.dispose()


async def events(app: App) -> list[object]:
    return [recorded.event async for recorded in app.log.read()]


async def test_rows_and_events_of_the_users_transaction_are_one(
    app: App, sessions: Sessions
) -> None:
    async with sessions.begin() as session, app.join(session) as unit:
        session.add(Order(id="o1", placed_by="ann"))
        unit.record(OrderPlaced("o1", "ann"), stream="shop:o1")
    assert (unit.receipt.stream, unit.receipt.version, unit.receipt.position) == ("shop:o1", 1, 1)
    assert await app.ask(PlacedOrder("o1"), after=unit.receipt) == Placed("o1", "ann")
    assert await events(app) == [OrderPlaced("o1", "ann")]
    async with sessions() as session:
        assert (await session.scalars(select(Order.id))).all() == ["o1"]


async def test_what_is_rolled_back_was_never_recorded(app: App, sessions: Sessions) -> None:
    with pytest.raises(LookupError):
        async with sessions.begin() as session:
            async with app.join(session) as unit:
                session.add(Order(id="o1"))
                unit.record(OrderPlaced("o1", "ann"), stream="shop:o1")
            raise LookupError
    with pytest.raises(LookupError):
        async with sessions.begin() as session, app.join(session) as unit:
            unit.record(OrderPlaced("o1", "ann"), stream="shop:o1")
            raise LookupError
    assert await events(app) == []
    receipt = await app.execute(Deliver("tea", 1))
    assert receipt.position == 1
    async with sessions() as session:
        assert (await session.scalars(select(Order.id))).all() == []


async def test_joined_transactions_and_commands_never_lose_an_update(
    app: App, sessions: Sessions
) -> None:
    await app.execute(Deliver("tea", 60))

    async def joined() -> None:
        async with sessions.begin() as session, app.join(session) as unit:
            article = await session.get_one(Article, "tea", with_for_update=True)
            article.stock -= 1
            unit.record(OneTaken("tea", article.stock), stream="shop:tea")

    calls = [joined() for _ in range(10)] + [app.execute(TakeOne("tea")) for _ in range(50)]
    await asyncio.gather(*calls)
    lefts = [event.left for event in await events(app) if isinstance(event, OneTaken)]
    assert lefts == list(range(59, -1, -1))


@dataclass(frozen=True)
class OrderLooked:
    order_id: str


async def test_events_that_no_model_writes_are_named_where_the_app_is_made(
    database: str, sessions: Sessions, app: App
) -> None:
    async with sessions.begin() as session:
        with pytest.raises(BadResult, match=r"OrderLooked, which is no event here\..*events="):
            async with app.join(session) as unit:
                unit.record(OrderLooked("o1"), stream="look:o1")
    part = Part(events=[OrderLooked])
    async with App("shop", store=database, parts=[part]) as looking:
        async with sessions.begin() as session, looking.join(session) as unit:
            unit.record(OrderLooked("o1"), stream="look:o1")
        assert await events(looking) == [OrderLooked("o1")]


async def test_an_event_that_cannot_be_kept_leaves_the_users_work_to_the_user(
    app: App, sessions: Sessions
) -> None:
    async with sessions.begin() as session:
        with pytest.raises(BadResult):
            async with app.join(session) as unit:
                session.add(Order(id="o1"))
                unit.record(OrderPlaced("o1", 5), stream="shop:o1")  # type: ignore[arg-type]
        with pytest.raises(StreamConflict):
            async with app.join(session) as unit:
                unit.record(OrderPlaced("o1", "ann"), stream="shop:o1", expected=3)
    assert await events(app) == []
    async with sessions() as session:
        assert (await session.scalars(select(Order.id))).all() == ["o1"]


async def test_the_app_is_not_called_from_inside_a_join(app: App, sessions: Sessions) -> None:
    async with sessions.begin() as session:
        async with app.join(session):
            with pytest.raises(NestedCall):
                await app.execute(Deliver("tea", 1))
    await app.execute(Deliver("tea", 1))


async def test_a_session_on_a_file_elsewhere_is_refused(app: App, tmp_path: Path) -> None:
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'other.db'}")
    async with async_sessionmaker(engine).begin() as session:
        with pytest.raises(ForeignStore, match=r"other\.db|on sqlite, the log in"):
            async with app.join(session):
                pass
    await engine.dispose()


async def test_a_stream_needs_a_model_and_a_key(app: App, sessions: Sessions) -> None:
    async with sessions.begin() as session, app.join(session) as unit:
        for stream in ("", "shop", "shop:", ":o1"):
            with pytest.raises(JoinFailed, match="names no stream"):
                unit.record(OrderPlaced("o1", "ann"), stream=stream)
        with pytest.raises(JoinFailed, match="after the block"):
            _ = unit.receipt


async def test_a_plain_session_joins_from_its_own_thread(app: App, users: Users) -> None:
    engine = create_engine(users.blocking)
    sessions: sessionmaker[Session] = sessionmaker(engine)

    def work() -> None:
        with sessions.begin() as session:
            with app.joining.join_now(session, principal=ANN) as unit:
                session.add(Article(sku="tea", stock=5))
                unit.record(Delivered("tea", 5, 5), stream="shop:tea")

    ANN = Principal("ann")
    await asyncio.to_thread(work)
    recorded = [one async for one in app.log.read()]
    assert [(one.event, one.principal) for one in recorded] == [(Delivered("tea", 5, 5), "ann")]
    engine.dispose()


async def test_nothing_is_left_locked_when_a_join_is_cancelled(
    app: App, sessions: Sessions, database: str
) -> None:
    async def joined() -> None:
        async with sessions.begin() as session, app.join(session) as unit:
            session.add(Order(id="o1"))
            unit.record(OrderPlaced("o1", "ann"), stream="shop:o1")
            await asyncio.sleep(60)

    task = asyncio.ensure_future(joined())
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await app.execute(Deliver("tea", 1))
    assert look(database, "SELECT count(*) FROM orders") == [(0,)]


async def test_a_join_inside_the_join_of_another_session_is_nested(
    app: App, sessions: Sessions
) -> None:
    async with sessions.begin() as session, app.join(session):
        async with sessions.begin() as other:
            with pytest.raises(NestedCall):
                async with app.join(other):
                    pass
    await app.execute(Deliver("tea", 1))


async def test_one_transaction_joins_once_for_each_stream(app: App, sessions: Sessions) -> None:
    async with sessions.begin() as session:
        async with app.join(session) as one, app.join(session) as two:
            session.add(Order(id="o1", placed_by="ann"))
            one.record(OrderPlaced("o1", "ann"), stream="shop:o1")
            two.record(OrderPlaced("o2", "ann"), stream="shop:o2")
        async with app.join(session) as three:
            three.record(OrderPlaced("o3", "ann"), stream="shop:o3")
    positions = {unit.receipt.stream: unit.receipt.position for unit in (one, two, three)}
    assert positions == {"shop:o2": 1, "shop:o1": 2, "shop:o3": 3}
    assert len(await events(app)) == 3


@pytest.mark.parametrize("blocking", [False, True], ids=["asynchronous", "blocking"])
async def test_what_an_inline_view_has_missed_is_taken_in_before_a_join_has_the_lock(
    database: str, users: Users, blocking: bool
) -> None:
    folded: list[str] = []

    def counted(row: Placed | None, event: OrderPlaced) -> Placed:
        folded.append(event.order_id)
        return placed(row, event)

    async with shop(database) as app:
        await app.execute(Deliver("tea", 1))
        commands = [PlaceOrder(f"o{number}", ()) for number in range(500)]
        await asyncio.gather(*map(app.execute, commands))
    engine = create_engine(users.blocking)
    within: list[int] = []

    def record(unit: JoinUnit) -> None:
        within.append(len(folded))
        unit.record(OrderPlaced("last", "ann"), stream="shop:last")

    def joined_in_a_thread(app: App) -> None:
        with sessionmaker(engine).begin() as session:
            with app.joining.join_now(session, principal=Principal("ann")) as unit:
                record(unit)

    view = View(Placed, counted, key="order_id", inline=True)
    async with shop(database, read=[view], answer=[placed_order]) as app:
        if blocking:
            await asyncio.to_thread(joined_in_a_thread, app)
        else:
            asynchronous = create_async_engine(users.sessions)
            async with async_sessionmaker(asynchronous).begin() as session:
                async with app.join(session) as unit:
                    record(unit)
            await asynchronous.dispose()
        assert len(folded) - within[0] == 1
        assert await app.ask(PlacedOrder("o499"), timeout=0) == Placed("o499", "anonymous")
    engine.dispose()
