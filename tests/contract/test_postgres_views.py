"""Views on PostgreSQL keep the contract, and are read-only by the server's doing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.exc import DBAPIError

from diptych.adapters.postgres import lane
from diptych.adapters.postgres.address import address
from diptych.adapters.postgres.store import PostgresStore
from diptych.adapters.postgres.views import ViewsBesideLog
from diptych.errors import BadResult, ReadOnly, StoreUnavailable
from diptych.read.port import Shape, SqlViewStore
from tests.contract.commits import CONTEXT, WAITING
from tests.contract.postgres_ways import (
    LEFT,
    PREPARED,
    WAYS_TO_WRITE,
    end_all,
    everything_in,
    execute,
)
from tests.contract.searching import searching
from tests.contract.view_rows import (
    COUNTS,
    EVERYTHING,
    ORIGIN,
    Count,
    plain,
    put,
    select,
)
from tests.contract.view_sessions import ManyMoments
from tests.contract.view_store_contract import ALL_SHAPES, SqlViewStoreContract


async def opened(
    dsn: str, stack: AsyncExitStack, shapes: Sequence[Shape] = ALL_SHAPES
) -> SqlViewStore:
    """Views in a database, closed with the stack."""
    store = PostgresStore(address(dsn), waiting=WAITING)
    await store.open(CONTEXT, [])
    stack.push_async_callback(store.close)
    views = ViewsBesideLog(store)
    await views.open(shapes, origin=ORIGIN)
    stack.push_async_callback(views.close)
    return views


class TestPostgresViews(SqlViewStoreContract, ManyMoments):
    BY_HAND = "SET transaction_read_only = off"

    @pytest.fixture
    def path(self, tmp_path: Path, postgres: str) -> Path:
        self.dsn = postgres
        return tmp_path / "never.db"

    async def written(self, path: Path) -> object:
        return await everything_in(self.dsn), list(path.parent.iterdir())

    @pytest.fixture
    async def views(self, postgres: str) -> AsyncIterator[SqlViewStore]:
        async with AsyncExitStack() as stack:
            yield await opened(postgres, stack)

    @pytest.fixture
    async def other(self, views: SqlViewStore, postgres: str) -> AsyncIterator[SqlViewStore]:
        """Another object on the same database, as another process has it."""
        async with AsyncExitStack() as stack:
            yield await opened(postgres, stack)

    async def test_what_another_object_saves_is_there(
        self, views: SqlViewStore, other: SqlViewStore
    ) -> None:
        waiting = asyncio.create_task(views.wait(COUNTS, 1))
        await put(other, COUNTS, Count("a", 1))
        await asyncio.wait_for(waiting, 5)
        assert (await views.load(COUNTS, [("a",)])).rows == {("a",): Count("a", 1)}
        assert not await views.save(COUNTS, [], [], expected=0, position=1)

    async def test_there_is_no_way_to_write(
        self, views: SqlViewStore, path: Path, postgres: str
    ) -> None:
        await execute(postgres, PREPARED)
        await put(views, COUNTS, Count("a", 1))
        before = await self.written(path)
        let_pass: list[str] = []
        for statement in WAYS_TO_WRITE:
            async with views.session() as session:
                begun = await session.begin()
                try:
                    await session.select(sa.text(statement.format(other=path.parent / "more")))
                except ReadOnly:
                    # The same moment goes on.
                    assert await session.get(COUNTS, ("a",)) == Count("a", 1), statement
                    assert await session.begin() == begun
                else:
                    let_pass.append(statement)
            if await self.written(path) != before:
                let_pass.append(f"{statement} (and it has changed something)")
        assert let_pass == []
        await self.holds(views)

    async def test_what_a_function_leaves_behind_is_gone_with_the_session(
        self, views: SqlViewStore, path: Path, postgres: str
    ) -> None:
        await execute(postgres, PREPARED)
        await put(views, COUNTS, Count("a", 1))
        before = await self.written(path)
        clean = await select(views, sa.text(LEFT))
        async with views.session() as session:
            await session.select(sa.text("SELECT lock_it(), leave()"))
            assert (await session.select(sa.text(LEFT))).rows != clean.rows
        for _ in range(3):
            assert (await select(views, sa.text(LEFT))).rows == clean.rows
        assert await self.written(path) == before

    async def test_a_statement_that_fails_is_the_callers_and_the_session_goes_on(
        self, views: SqlViewStore
    ) -> None:
        await put(views, COUNTS, Count("a", 1))
        async with views.session() as session:
            for wrong in ["SELECT 1 / 0", "SELECT nothing", "SELECT 'x'::int", "SELECT * FROM no"]:
                with pytest.raises(DBAPIError):
                    await session.select(sa.text(wrong))
                assert await session.get(COUNTS, ("a",)) == Count("a", 1)

    async def test_a_table_that_somebody_changes_is_read_as_it_is_now(
        self, views: SqlViewStore, postgres: str
    ) -> None:
        await put(views, COUNTS, Count("a", 1))
        numbers = sa.text("SELECT number FROM view_count_1")
        assert (await select(views, numbers)).rows == [(1,)]
        await execute(postgres, "ALTER TABLE view_count_1 ALTER number TYPE text")
        for _ in range(2):
            assert (await select(views, numbers)).rows == [("1",)]

    async def test_reads_of_a_session_take_turns(self, views: SqlViewStore) -> None:
        await put(views, COUNTS, *(Count(f"n{n}", n) for n in range(20)))
        names = sa.select(views.table(COUNTS).c.name)
        async with views.session() as session:
            found = await asyncio.gather(
                *(session.get(COUNTS, (f"n{n}",)) for n in range(20)), session.select(names)
            )
        assert found[:20] == [Count(f"n{n}", n) for n in range(20)]

    async def test_more_readers_than_connections_are_served_in_turn(
        self, views: SqlViewStore
    ) -> None:
        async def read() -> Any:
            async with views.session() as session:
                return await session.get(COUNTS, ("a",))

        await put(views, COUNTS, Count("a", 1))
        async with asyncio.timeout(30):
            assert await asyncio.gather(*(read() for _ in range(100))) == [Count("a", 1)] * 100

    async def test_a_statement_that_takes_too_long_is_ended(
        self, views: SqlViewStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(lane, "_BEGIN", lane._BEGIN.replace("20000", "50"))
        async with views.session() as session:
            with pytest.raises(StoreUnavailable, match=r"took more than .*Give it an index"):
                await session.select(sa.text("SELECT pg_sleep(60)"))
            assert await session.get(COUNTS, ("a",)) is None

    async def test_a_connection_that_was_ended_is_replaced(
        self, views: SqlViewStore, postgres: str
    ) -> None:
        await put(views, COUNTS, Count("a", 1))
        numbers = sa.select(views.table(COUNTS).c.number)
        for _ in range(2):
            async with views.session() as session:
                assert (await session.select(numbers)).rows == [(1,)]
                await end_all(postgres)
                with pytest.raises(StoreUnavailable, match=r"Look whether the server runs there"):
                    await session.select(numbers)
        assert (await select(views, numbers)).rows == [(1,)]
        await put(views, COUNTS, Count("a", 2))

    async def test_sums_are_of_the_type_of_what_is_summed(self, views: SqlViewStore) -> None:
        rows = [plain("a", number=2**62), plain("b", number=2**62, price=Decimal("-0.00"))]
        await put(views, EVERYTHING, *rows)
        c = views.table(EVERYTHING).c
        (found,) = (
            await select(views, sa.select(sa.func.sum(c.number), sa.func.sum(c.price)))
        ).rows
        assert [repr(value) for value in found] == [repr(2**63), "Decimal('1.1')"]

    @searching
    @given(names=st.lists(st.text("\0\1\2a\x7fé🎫", max_size=4), min_size=1, unique=True))
    async def test_texts_with_any_character_sort_as_in_python(
        self, views: SqlViewStore, names: list[str]
    ) -> None:
        c = views.table(COUNTS).c
        before = [row[0] for row in (await select(views, sa.select(c.name))).rows]
        gone = sorted({*before} - {*names})
        await put(views, COUNTS, *(Count(name, 1) for name in names), delete=gone)
        ordered = (await select(views, sa.select(c.name).order_by(c.name))).rows
        assert [row[0] for row in ordered] == sorted(names)

    async def test_a_key_that_is_too_long_for_an_index_is_named(self, views: SqlViewStore) -> None:
        long = "".join(chr(0x4E00 + n) for n in range(3000))
        with pytest.raises(BadResult, match=r"table view_count_1 has .*Make its key shorter"):
            await views.save(COUNTS, [Count(long, 1)], [], expected=0, position=1)
        await put(views, COUNTS, Count(long[:500], 1))
