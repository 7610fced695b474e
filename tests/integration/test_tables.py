"""The write model's own tables as a query model: read-only, and never behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import func, select
from sqlalchemy.orm import Session, selectinload

from diptych import App, Query, Stale, Tables, View, Views, WiringError
from diptych.errors import ForeignStore, ReadOnly, WrongRows
from tests.integration.shop import (
    Article,
    Base,
    ConfirmOrder,
    Deliver,
    Delivered,
    Line,
    Order,
    OrderPlaced,
    PlaceOrder,
    shop,
)

tables = Tables(Base.metadata)


@dataclass(frozen=True)
class Stock(Query[int]):
    sku: str


async def stock(query: Stock, views: Views) -> int:
    return await views.scalar(int, select(Article.stock).where(Article.sku == query.sku))


@dataclass(frozen=True)
class Shown:
    id: str
    status: str
    articles: int


@dataclass(frozen=True)
class Orders(Query[list[Shown]]): ...


async def orders(query: Orders, views: Views) -> list[Shown]:
    statement = (
        select(Order.id, Order.status, func.sum(Line.quantity).label("articles"))
        .join(Line, Line.order_id == Order.id)
        .group_by(Order.id)
        .order_by(Order.id)
    )
    return await views.all(Shown, statement)


@dataclass(frozen=True)
class Ask(Query[Any]):
    """Whatever the test says."""


def asking(function: Callable[[Views], Any]) -> Any:
    async def answer(query: Ask, views: Views) -> Any:
        return await function(views)

    return answer


async def two_orders(app: App) -> Any:
    await app.execute(Deliver("tea", 10))
    await app.execute(Deliver("milk", 10))
    await app.execute(PlaceOrder("o1", (("tea", 2), ("milk", 1))))
    return await app.execute(PlaceOrder("o2", (("tea", 1),)))


async def test_an_answerer_selects_the_tables_that_handlers_write(database: str) -> None:
    async with shop(database, read=[tables], answer=[stock, orders]) as app:
        receipt = await two_orders(app)
        await app.execute(ConfirmOrder("o1"))
        assert await app.ask(Stock("tea"), after=receipt) == 7
        assert await app.ask(Orders()) == [Shown("o1", "confirmed", 3), Shown("o2", "placed", 1)]


async def test_they_are_never_behind_and_stand_at_the_head(database: str) -> None:
    async with shop(database, read=[tables], answer=[stock]) as app:
        for number in range(1, 30):
            receipt = await app.execute(Deliver("tea", 1))
            answer = await app.answer(Stock("tea"), after=receipt, timeout=0)
            assert (answer.value, answer.position) == (number, receipt.position)
            assert not answer.stale


async def test_after_a_position_that_nobody_has_reached_is_stale(database: str) -> None:
    async with shop(database, read=[tables], answer=[stock]) as app:
        await app.execute(Deliver("tea", 1))
        with pytest.raises(Stale, match="the log at position 1, asked for 99"):
            await app.ask(Stock("tea"), after=99, timeout=0.1)
        answer = await app.answer(Stock("tea"), after=99, timeout=0.1)
        assert (answer.value, answer.position, answer.stale) == (1, 1, True)


async def test_they_are_created_where_they_are_missing_and_kept_where_not(database: str) -> None:
    answers: dict[str, Any] = {"write": [], "read": [tables], "answer": [orders]}
    async with shop(database, **answers) as app:
        assert await app.ask(Orders()) == []
    async with shop(database) as app:
        await two_orders(app)
    async with shop(database, **answers) as app:
        assert len(await app.ask(Orders())) == 2


@dataclass(frozen=True)
class Arrival:
    sku: str
    arrived: int


def arrived(row: Arrival | None, event: Delivered) -> Arrival | None:
    if event.quantity == 13:
        raise LookupError("thirteen")
    return Arrival(event.sku, event.quantity + (row.arrived if row else 0))


arrivals = View(Arrival, arrived, key="sku")


async def test_joined_with_a_view_the_answer_is_as_old_as_that_view(database: str) -> None:
    async def both(views: Views) -> list[int]:
        seen = views.table(Arrival)
        return await views.all(
            int, select(Article.stock).join(seen, seen.c.sku == Article.sku).order_by(Article.sku)
        )

    parts = {"read": [tables, arrivals], "answer": [asking(both), stock]}
    async with shop(database, **parts) as app:
        good = await app.execute(Deliver("tea", 1))
        assert await app.ask(Ask(), after=good) == [1]
        bad = await app.execute(Deliver("tea", 13))
        with pytest.raises(Stale, match="arrival@1 at position 1"):
            await app.ask(Ask(), after=bad, timeout=0.2)
        answer = await app.answer(Ask(), timeout=0)
        assert (answer.value, answer.position, answer.stale) == ([14], good.position, True)
        # Alone, the table is not made stale by a view that stands.
        alone = await app.answer(Stock("tea"), after=bad)
        assert (alone.value, alone.position, alone.stale) == (14, bad.position, False)


async def test_a_table_that_is_not_wired_is_an_error_that_says_so(database: str) -> None:
    async with shop(database, answer=[stock]) as app:
        with pytest.raises(
            WiringError, match=r"table 'articles' belongs to no view here.*Tables\(Base.metadata\)"
        ):
            await app.ask(Stock("tea"))


def test_memory_keeps_no_tables(database: str) -> None:
    with pytest.raises(WiringError, match="keeps no tables of yours"):
        App("shop", store="memory://", read=[tables], answer=[stock])


class TestRun:
    """`views.run`: an ORM session, for relationships."""

    async def test_relationships_are_loaded_inside_and_detached_outside(
        self, database: str
    ) -> None:
        async def read(views: Views) -> Order:
            def load(session: Session) -> Order:
                order = session.get_one(Order, "o1")
                assert [line.sku for line in order.lines] == ["tea", "milk"]
                wanted = select(Order).options(selectinload(Order.lines)).where(Order.id == "o1")
                return session.scalars(wanted).one()

            return await views.run(load)

        async with shop(database, read=[tables], answer=[asking(read)]) as app:
            await two_orders(app)
            order = await app.ask(Ask())
            assert (order.id, [line.quantity for line in order.lines]) == ("o1", [2, 1])

    async def test_it_is_of_the_same_moment_as_the_other_reads(self, database: str) -> None:
        began, written = asyncio.Event(), asyncio.Event()

        async def read(views: Views) -> None:
            assert await views.scalar(int, select(func.count()).select_from(Order)) == 2
            began.set()
            await written.wait()
            assert await views.run(lambda s: len(s.scalars(select(Order)).all())) == 2
            assert await views.scalar(int, select(func.count()).select_from(Order)) == 2

        async with shop(database, read=[tables], answer=[asking(read), orders]) as app:
            await two_orders(app)
            asked = asyncio.create_task(app.ask(Ask()))
            await began.wait()
            await app.execute(PlaceOrder("o3", (("tea", 1),)))
            assert len(await app.ask(Orders())) == 3
            written.set()
            await asked

    @pytest.mark.parametrize("how", ["flush", "commit", "autoflush", "delete", "text", "pragma"])
    async def test_what_would_write_is_refused_by_the_database(
        self, database: str, how: str
    ) -> None:
        def write(session: Session) -> Any:
            match how:
                case "flush":
                    session.add(Article(sku="new", stock=1))
                    session.flush()
                case "commit":
                    session.add(Article(sku="new", stock=1))
                    session.commit()
                case "autoflush":
                    session.get_one(Article, "tea").stock = 0
                    return session.scalars(select(Article)).all()
                case "delete":
                    session.execute(sa.delete(Article))
                case "text":
                    session.execute(sa.text("UPDATE articles SET stock = 0"))
                case _:
                    session.execute(sa.text("PRAGMA query_only = OFF"))

        async def answer(views: Views) -> Any:
            return await views.run(write)

        async with shop(database, read=[tables], answer=[asking(answer), stock]) as app:
            await two_orders(app)
            for _ in range(6):
                with pytest.raises(ReadOnly, match=r"Make the change a command and execute it\.$"):
                    await app.ask(Ask())
            assert await app.ask(Stock("tea")) == 7
            await app.execute(Deliver("tea", 1))
            assert await app.ask(Stock("tea")) == 8

    async def test_an_error_of_the_function_reaches_the_caller(self, database: str) -> None:
        def fail(session: Session) -> None:
            session.scalars(select(Order)).all()
            raise LookupError("mine")

        async def answer(views: Views) -> None:
            await views.run(fail)

        async with shop(database, read=[tables], answer=[asking(answer), stock]) as app:
            await two_orders(app)
            for _ in range(6):
                with pytest.raises(LookupError, match="mine"):
                    await app.ask(Ask())
            assert await app.ask(Stock("tea")) == 7

    async def test_a_commit_or_rollback_without_changes_does_not_end_the_snapshot(
        self, database: str
    ) -> None:
        def end(session: Session) -> int:
            before = session.scalars(select(Order.id)).all()
            session.commit()
            session.rollback()
            assert session.scalars(select(Order.id)).all() == before
            return len(before)

        async def answer(views: Views) -> int:
            return await views.run(end)

        async with shop(database, read=[tables], answer=[asking(answer)]) as app:
            await two_orders(app)
            assert await app.ask(Ask()) == 2

    async def test_it_counts_as_every_view(self, database: str) -> None:
        async def answer(views: Views) -> int:
            return await views.run(lambda session: len(session.scalars(select(Order)).all()))

        async with shop(database, read=[tables, arrivals], answer=[asking(answer)]) as app:
            bad = await app.execute(Deliver("tea", 13))
            with pytest.raises(Stale, match="arrival@1"):
                await app.ask(Ask(), after=bad, timeout=0.1)


async def test_an_event_of_handlers_is_folded_as_any_other(database: str) -> None:
    @dataclass(frozen=True)
    class Placed:
        placed_by: str
        orders: int

    def placed(row: Placed | None, event: OrderPlaced) -> Placed | None:
        return Placed(event.placed_by, 1 + (row.orders if row else 0))

    async def by(views: Views) -> Any:
        return await views.all(Placed)

    view = View(Placed, placed, key="placed_by")
    async with shop(database, read=[view], answer=[asking(by)]) as app:
        receipt = await two_orders(app)
        assert await app.ask(Ask(), after=receipt) == [Placed("anonymous", 2)]


async def test_rows_of_a_class_are_listed_without_a_statement_only_where_it_is_a_view(
    database: str,
) -> None:
    async def listed(views: Views) -> Any:
        return await views.all(Shown)

    async with shop(database, read=[tables], answer=[asking(listed)]) as app:
        with pytest.raises(WiringError, match="no view of Shown here"):
            await app.ask(Ask())


async def test_columns_that_do_not_fit_are_named(database: str) -> None:
    async def wrong(views: Views) -> Any:
        return await views.all(Shown, select(Order.id))

    async with shop(database, read=[tables], answer=[asking(wrong)]) as app:
        await two_orders(app)
        with pytest.raises(WrongRows):
            await app.ask(Ask())


async def test_the_database_that_was_there_before_takes_the_log_in(tmp_path: Path) -> None:
    file = tmp_path / "shop.db"
    engine = sa.create_engine(f"sqlite:///{file}")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(Article(sku="tea", stock=7))
        session.commit()
    stranger = App("shop", store=f"sqlite:///{file}", read=[], answer=[])
    with pytest.raises(ForeignStore, match=r"another program .*read=\[Tables\(metadata\)\]"):
        await stranger.__aenter__()
    async with App("shop", store=f"sqlite:///{file}", read=[tables], answer=[stock]) as app:
        assert await app.ask(Stock("tea")) == 7
    with Session(engine) as session:
        assert session.scalars(select(Article.stock)).all() == [7]
    engine.dispose()
    async with stranger:  # it is the store of this context now
        assert await stranger.log.head() == 0
