"""Sessions: all reads of one moment, and which views were read."""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from diptych.read.port import SqlViewStore, ViewStore
from diptych.read.statements import tables_of
from tests.contract.view_rows import COUNTS, PRICED, Count, priced, put


class Sessions:
    async def test_a_session_reads_nothing_before_it_is_asked(self, views: ViewStore) -> None:
        async with views.session() as session:
            assert session.snapshot is None
            await session.get(COUNTS, ("a",))
            assert session.snapshot is not None

    async def test_the_snapshot_has_the_checkpoints(self, views: ViewStore) -> None:
        await views.save(COUNTS, [], [], expected=0, position=9)
        async with views.session() as session:
            snapshot = await session.begin()
        moved = {name: at for name, at in snapshot.checkpoints.items() if at}
        assert moved == {COUNTS.checkpoint: 9}

    async def test_all_reads_of_a_session_are_of_one_moment(self, views: ViewStore) -> None:
        await put(views, COUNTS, Count("a", 1), Count("b", 1), Count("gone", 1))

        async def write() -> None:
            for number in range(2, 12):
                await put(views, COUNTS, Count("a", number), Count("b", number))
                await put(views, COUNTS, Count("new", number), delete=["gone"])

        async with views.session() as session:
            first = await session.get(COUNTS, ("a",))
            writing = asyncio.create_task(write())
            for _ in range(5):
                await asyncio.sleep(0.01)
                assert await session.get(COUNTS, ("b",)) == Count("b", 1)
                assert await session.get(COUNTS, ("gone",)) == Count("gone", 1)
                assert await session.get(COUNTS, ("new",)) is None
                rows = await session.all(COUNTS)
                assert sorted(row.name for row in rows) == ["a", "b", "gone"]
                assert {row.number for row in rows} == {1}
                assert (await session.begin()).checkpoints[COUNTS.checkpoint] == 1
            assert first == Count("a", 1)
        await writing
        async with views.session() as session:
            assert await session.get(COUNTS, ("a",)) == Count("a", 11)
            assert await session.get(COUNTS, ("gone",)) is None
            assert len(await session.all(COUNTS)) == 3

    async def test_sessions_beside_a_writer_never_see_half_a_save(self, views: ViewStore) -> None:
        await put(views, COUNTS, Count("a", 0), Count("b", 0))

        async def write() -> None:
            for number in range(1, 40):
                await put(views, COUNTS, Count("a", number), Count("b", number))

        async def read() -> None:
            while not writing.done():
                async with views.session() as session:
                    one = await session.get(COUNTS, ("a",))
                    await asyncio.sleep(0)
                    rows = await session.all(COUNTS)
                    snapshot = await session.begin()
                assert one is not None
                assert {row.number for row in rows} == {one.number}
                assert snapshot.checkpoints[COUNTS.checkpoint] == one.number + 1
                await asyncio.sleep(0)

        writing = asyncio.create_task(write())
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            for _ in range(6):
                group.create_task(read())
        await writing

    async def test_all_rows_are_listed(self, views: ViewStore) -> None:
        async with views.session() as session:
            assert list(await session.all(COUNTS)) == []
        rows = [Count(f"n{number}", number) for number in range(300)]
        await put(views, COUNTS, *rows)
        async with views.session() as session:
            found = await session.all(COUNTS)
        assert sorted(found, key=lambda row: row.number) == rows

    async def test_a_row_is_got_by_its_composite_key(self, views: ViewStore) -> None:
        await put(views, PRICED, priced(5, "1.10"))
        async with views.session() as session:
            assert await session.get(PRICED, (date(2026, 7, 1), Decimal("1.1"))) == priced(
                5, "1.10"
            )
            assert await session.get(PRICED, (date(2026, 7, 2), Decimal("1.1"))) is None

    async def test_a_session_that_is_left_by_an_error_lets_others_read(
        self, views: ViewStore
    ) -> None:
        for _ in range(10):
            try:
                async with views.session() as session:
                    await session.begin()
                    raise LookupError
            except LookupError:
                pass
        await put(views, COUNTS, Count("a", 1))
        async with views.session() as session:
            assert await session.get(COUNTS, ("a",)) == Count("a", 1)


class ManyMoments:
    """For stores whose readers do not hold up the writer."""

    async def test_readers_of_many_moments_each_see_their_own(self, views: ViewStore) -> None:
        """Three sessions of each of several moments, ended in another order than begun."""
        chance = random.Random(4)
        begun: list[tuple[int, Any, AsyncExitStack]] = []
        for number in range(1, 30):
            await put(
                views, COUNTS, Count("a", number), *([Count("b", number)] * (number % 3 == 0))
            )
            stack = AsyncExitStack()
            session = await stack.enter_async_context(views.session())
            await session.begin()
            begun.append((number, session, stack))
            if len(begun) == 4:  # a file has no more lanes
                at, session, stack = begun.pop(chance.randrange(4))
                assert await session.get(COUNTS, ("a",)) == Count("a", at)
                last = at - at % 3
                assert await session.get(COUNTS, ("b",)) == (Count("b", last) if last else None)
                await stack.aclose()
        for at, session, stack in begun:
            assert await session.get(COUNTS, ("a",)) == Count("a", at)
            await stack.aclose()


class SqlSessions:
    async def test_the_table_of_a_view_is_known_as_its_own(self, views: SqlViewStore) -> None:
        assert views.filled_by(views.table(COUNTS).name) == COUNTS.checkpoint
        assert views.filled_by(views.table(PRICED).name) == PRICED.checkpoint
        assert views.filled_by("sqlite_schema") is None

    @pytest.mark.parametrize(
        "form", ["alias", "join", "cte", "subquery", "union", "exists", "in", "scalar", "from text"]
    )
    async def test_a_view_is_noticed_wherever_it_stands_in_a_statement(
        self, views: SqlViewStore, form: str
    ) -> None:
        counts, prices = views.table(COUNTS), views.table(PRICED)
        other = prices.alias("p")
        cte = sa.select(prices.c.count).cte("c")
        inner = sa.select(prices.c.count)
        statements: dict[str, Any] = {
            "alias": sa.select(other.c.count),
            "join": sa.select(counts.c.name).join(other, other.c.count == counts.c.number),
            "cte": sa.select(cte.c.count),
            "subquery": sa.select(inner.subquery().c.count),
            "union": sa.union_all(sa.select(counts.c.number), inner),
            "exists": sa.select(counts.c.name).where(sa.exists(inner)),
            "in": sa.select(counts.c.name).where(counts.c.number.in_(inner)),
            "scalar": sa.select(inner.limit(1).scalar_subquery()),
            "from text": sa.select(sa.text("count")).select_from(sa.text("view_priced_1")),
        }
        statement = statements[form]
        async with views.session() as session:
            await session.select(statement)
        named = tables_of(statement)
        assert named.has_text or PRICED.checkpoint in map(views.filled_by, named.tables)

    async def test_all_statements_of_a_session_are_of_one_moment(self, views: SqlViewStore) -> None:
        await put(views, COUNTS, Count("a", 1), Count("b", 1))
        table = views.table(COUNTS)
        total = sa.select(sa.func.sum(table.c.number))

        async def write() -> None:
            for number in range(2, 12):
                await put(views, COUNTS, Count("a", number), Count("b", number))

        async with views.session() as session:
            first = await session.get(COUNTS, ("a",))
            writing = asyncio.create_task(write())
            for _ in range(5):
                await asyncio.sleep(0.01)
                assert (await session.select(total)).rows == [(2,)]
                assert await session.get(COUNTS, ("b",)) == Count("b", 1)
                assert (await session.begin()).checkpoints[COUNTS.checkpoint] == 1
            assert first == Count("a", 1)
        await writing
        async with views.session() as session:
            assert (await session.select(total)).rows == [(22,)]
            assert await session.get(COUNTS, ("a",)) == Count("a", 11)

    async def test_a_reader_who_is_cancelled_lets_others_read(self, views: SqlViewStore) -> None:
        slow = sa.text(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000) "
            "SELECT max(i) FROM n"
        )

        async def read() -> None:
            async with views.session() as session:
                await session.select(slow)

        tasks = [asyncio.create_task(read()) for _ in range(10)]
        await asyncio.sleep(0.005)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        async with views.session() as session:
            found = await asyncio.wait_for(session.select(sa.text("SELECT 1")), 10)
        assert found.rows == [(1,)]
