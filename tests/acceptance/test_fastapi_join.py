"""FastAPI code that exists already, with a session of its own in each request, joined to the log."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import pytest
from fastapi import Depends, FastAPI, HTTPException
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from diptych import App, Query, View, Views
from tests.integration.shop import Order, OrderPlaced, shop


@dataclass(frozen=True)
class Placed:
    order_id: str
    placed_by: str


def placed(row: Placed | None, event: OrderPlaced) -> Placed:
    return Placed(event.order_id, event.placed_by)


orders = View(Placed, placed, key="order_id")


@dataclass(frozen=True)
class OrderBy(Query[Placed | None]):
    order_id: str


async def order_by(query: OrderBy, views: Views) -> Placed | None:
    return await views.get(Placed, query.order_id)


def application(url: str, driver: str) -> tuple[FastAPI, App]:
    """The application as it was, and the three lines by which its orders become events."""
    app = shop(url, read=[orders], answer=[order_by])
    engine = create_async_engine(url.replace(":", f"+{driver}:", 1))
    sessions = async_sessionmaker(engine, expire_on_commit=False)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with app:
            yield
        await engine.dispose()

    async def session() -> AsyncGenerator[AsyncSession, None]:
        async with sessions.begin() as opened:
            yield opened

    web = FastAPI(lifespan=lifespan)

    @web.post("/orders/{order_id}")
    async def place(order_id: str, by: str, session: AsyncSession = Depends(session)) -> None:  # noqa: B008
        async with app.join(session) as unit:
            if await session.get(Order, order_id):
                raise HTTPException(409, "it exists")
            session.add(Order(id=order_id, placed_by=by))
            unit.record(OrderPlaced(order_id, by), stream=f"shop:{order_id}")
        if by == "nobody":
            raise HTTPException(403, "who are you?")  # after the join: both are rolled back

    @web.get("/orders/{order_id}")
    async def show(order_id: str) -> dict[str, str]:
        await app.settled()
        row = await app.ask(OrderBy(order_id))
        if row is None:
            raise HTTPException(404)
        return {"by": row.placed_by}

    return web, app


@pytest.mark.parametrize("driver", ["aiosqlite", "asyncpg", "psycopg"])
async def test_rows_of_an_endpoint_and_its_events_are_one_transaction(
    driver: str, request: pytest.FixtureRequest
) -> None:
    if driver == "aiosqlite":
        url = f"sqlite:///{request.getfixturevalue('tmp_path') / 'shop.db'}"
    else:
        url = request.getfixturevalue("postgres")
    web, app = application(url, driver)
    async with web.router.lifespan_context(web):
        transport = httpx.ASGITransport(app=web)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            assert (await client.post("/orders/o1?by=ann")).status_code == 200
            assert (await client.get("/orders/o1")).json() == {"by": "ann"}
            assert (await client.post("/orders/o1?by=bob")).status_code == 409
            assert (await client.post("/orders/o2?by=nobody")).status_code == 403
            assert (await client.get("/orders/o2")).status_code == 404
        events = [recorded.event async for recorded in app.log.read()]
        assert events == [OrderPlaced("o1", "ann")]
