"""Columns: what goes in comes out, and SQL compares it as Python does."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from itertools import pairwise
from uuid import UUID

import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from diptych.read.port import SqlViewStore, ViewStore
from tests.contract.searching import searching
from tests.contract.view_rows import (
    EVERYTHING,
    PRICED,
    Colour,
    Everything,
    Size,
    decimals,
    everythings,
    moments,
    plain,
    priced,
    put,
    select,
)


class Columns:
    @searching
    @given(row=everythings)
    async def test_every_row_comes_back_as_it_was(self, views: ViewStore, row: Everything) -> None:
        await put(views, EVERYTHING, row)
        (found,) = (await views.load(EVERYTHING, [(row.id,)])).rows.values()
        assert found == row
        assert [type(getattr(found, name)) for name in Everything.__annotations__] == [
            type(getattr(row, name)) for name in Everything.__annotations__
        ]
        assert found.at.utcoffset() == timedelta(0)
        # Trailing zeros, and the sign of a zero, are digits that somebody wrote.
        assert format(found.price, "f") == format(row.price, "f")
        async with views.session() as session:
            assert await session.get(EVERYTHING, (row.id,)) == row

    async def test_what_is_read_is_nobody_elses(self, views: ViewStore) -> None:
        row = plain("a", words={"a": 1})
        await put(views, EVERYTHING, row)
        row.words["a"] = 2
        (found,) = (await views.load(EVERYTHING, [("a",)])).rows.values()
        assert found.words == {"a": 1}


class SqlColumns:
    @searching
    @given(row=everythings)
    async def test_a_statement_gives_the_values_that_a_load_gives(
        self, views: SqlViewStore, row: Everything
    ) -> None:
        await put(views, EVERYTHING, row)
        table = views.table(EVERYTHING)
        found = await select(views, sa.select(table).where(table.c.id == row.id))
        (values,) = found.rows
        assert Everything(**dict(zip(found.columns, values, strict=True))) == row

    @searching
    @given(prices=st.lists(decimals, min_size=2, max_size=5))
    async def test_decimals_compare_and_sort_by_value(
        self, views: SqlViewStore, prices: list[Decimal]
    ) -> None:
        table = views.table(EVERYTHING)
        before = await select(views, sa.select(table.c.id))
        ids = [str(row[0]) for row in before.rows]
        rows = [plain(f"d{n}", price=price) for n, price in enumerate(prices)]
        gone = set(ids) - {row.id for row in rows}
        await put(views, EVERYTHING, *rows, delete=sorted(gone))
        ordered = await select(views, sa.select(table.c.price).order_by(table.c.price))
        assert [row[0] for row in ordered.rows] == sorted(prices)
        least = prices[0]
        for compared, expected in [
            (table.c.price < least, sum(p < least for p in prices)),
            (table.c.price == least, sum(p == least for p in prices)),
            (table.c.price >= least, sum(p >= least for p in prices)),
        ]:
            counted = await select(views, sa.select(sa.func.count()).where(compared))
            assert counted.rows[0][0] == expected

    async def test_equal_decimals_of_other_digits_are_found(self, views: SqlViewStore) -> None:
        await put(
            views, EVERYTHING, plain("a", price=Decimal("1.10")), plain("b", price=Decimal(9))
        )
        table = views.table(EVERYTHING)
        for same in ["1.1", "1.100", "11E-1"]:
            found = await select(views, sa.select(table.c.id).where(table.c.price == Decimal(same)))
            assert [row[0] for row in found.rows] == ["a"]
        ten = sa.select(table.c.id).where(table.c.price < Decimal(10)).order_by(table.c.price)
        assert [row[0] for row in (await select(views, ten)).rows] == ["a", "b"]
        most = sa.select(sa.func.max(table.c.price))
        assert (await select(views, most)).rows[0][0] == Decimal(9)

    async def test_decimals_of_many_digits_lose_none(self, views: SqlViewStore) -> None:
        exact = Decimal("12345678901234567890.12345678901234567890")
        more = exact + Decimal("1E-20")
        await put(views, PRICED, priced(1, str(exact)), priced(2, str(more)))
        table = views.table(PRICED)
        found = await select(views, sa.select(table.c.count).where(table.c.price > exact))
        assert [row[0] for row in found.rows] == [2]

    @searching
    @given(times=st.lists(moments, min_size=2, max_size=4, unique=True))
    async def test_moments_of_any_zone_compare_by_instant(
        self, views: SqlViewStore, times: list[datetime]
    ) -> None:
        table = views.table(EVERYTHING)
        before = [str(row[0]) for row in (await select(views, sa.select(table.c.id))).rows]
        rows = [plain(f"m{n}", at=moment) for n, moment in enumerate(times)]
        await put(
            views, EVERYTHING, *rows, delete=[id for id in before if id not in {r.id for r in rows}]
        )
        ordered = await select(views, sa.select(table.c.at).order_by(table.c.at))
        found = [row[0] for row in ordered.rows]
        assert found == sorted(times)
        assert all(a < b for a, b in pairwise(found))
        same = await select(views, sa.select(table.c.id).where(table.c.at == times[0]))
        assert [row[0] for row in same.rows] == ["m0"]

    async def test_a_moment_is_found_by_the_same_moment_of_another_zone(
        self, views: SqlViewStore
    ) -> None:
        noon = datetime(2026, 7, 1, 12, tzinfo=UTC)
        await put(views, EVERYTHING, plain("a", at=noon))
        table = views.table(EVERYTHING)
        tokyo = noon.astimezone(timezone(timedelta(hours=9)))
        found = await select(views, sa.select(table.c.at).where(table.c.at == tokyo))
        assert [row[0] for row in found.rows] == [noon]
        assert found.rows[0][0].utcoffset() == timedelta(0)

    async def test_typed_columns_are_found_by_values_of_their_type(
        self, views: SqlViewStore
    ) -> None:
        await put(views, EVERYTHING, plain("a"), plain("b", colour=Colour.BLUE, flag=False))
        c = views.table(EVERYTHING).c
        for compared in [
            c.colour == Colour.RED,
            c.size == Size.SMALL,
            c.flag == True,  # noqa: E712
            c.ref == UUID(int=7),
            c.day == date(2026, 7, 1),
            c.lasted == timedelta(minutes=90),
            c.lasted > timedelta(minutes=89),
            c.level == "low",
            c.raw == b"r",
            c.real.between(0.4, 0.6),
            c.maybe_price.is_(None),
            c.colour.in_([Colour.RED]),
        ]:
            found = await select(views, sa.select(c.id).where(compared).order_by(c.id))
            assert found.rows[0][0] == "a", str(compared)

    async def test_what_is_missing_is_missing_in_sql(self, views: SqlViewStore) -> None:
        await put(views, EVERYTHING, plain("a"), plain("b", maybe_price=Decimal(1)))
        c = views.table(EVERYTHING).c
        found = await select(views, sa.select(c.id).where(c.maybe_price.is_not(None)))
        assert [row[0] for row in found.rows] == ["b"]
