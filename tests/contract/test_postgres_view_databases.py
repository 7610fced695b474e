"""Views on PostgreSQL: whose database it is, how it is opened, and one that keeps nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import sqlalchemy as sa

from diptych.adapters.postgres.address import address
from diptych.adapters.postgres.store import PostgresStore
from diptych.adapters.postgres.view_database import ViewsInDatabase
from diptych.errors import ForeignStore, SchemaChanged, StoreUnavailable
from diptych.read.port import Begun, Origin, Shape, SqlViewStore, TableSet
from tests.contract.commits import CONTEXT, WAITING
from tests.contract.postgres_ways import (
    execute,
    limited,
)
from tests.contract.test_postgres_views import opened
from tests.contract.view_rows import (
    COUNTS,
    ORIGIN,
    Count,
    put,
    select,
)
from tests.contract.view_saving import Saving
from tests.contract.view_sessions import ManyMoments, Sessions
from tests.contract.view_store_contract import ALL_SHAPES


def version(number: int, **fields: str) -> Shape:
    return Shape(view="count", version=number, row=Count, key=("name",), fields=fields)


class TestOpening:
    async def test_a_user_who_may_create_nothing_opens_what_is_there(self, postgres: str) -> None:
        async with AsyncExitStack() as stack:
            await put(await opened(postgres, stack), COUNTS, Count("a", 1))
        async with limited(postgres) as dsn:
            async with AsyncExitStack() as stack:
                views = await opened(dsn, stack)
                await put(views, COUNTS, Count("b", 2))
                async with views.session() as session:
                    assert len(await session.all(COUNTS)) == 2
                with pytest.raises(StoreUnavailable, match="permission denied"):
                    await views.open([version(2)], origin=ORIGIN)

    async def test_many_open_at_once_what_is_not_there(self, postgres: str) -> None:
        async with AsyncExitStack() as stack:
            everybody = await asyncio.gather(*(opened(postgres, stack) for _ in range(8)))
            await put(everybody[0], COUNTS, Count("a", 1))
            assert {await views.checkpoint(COUNTS) for views in everybody} == {1}

    async def test_names_that_are_cut_are_told_apart(self, postgres: str) -> None:
        shapes = [Shape(view="x" * 80 + end, version=1, row=Count, key=("name",)) for end in "ab"]
        async with AsyncExitStack() as stack:
            views = await opened(postgres, stack, shapes)
            await put(views, shapes[0], Count("a", 1))
            for shape, rows in zip(shapes, ([(1,)], []), strict=True):
                assert (await select(views, sa.select(views.table(shape).c.number))).rows == rows
                assert views.filled_by(views.table(shape).name) == shape.checkpoint

    async def test_tables_of_projections_come_with_their_types_and_indexes(
        self, postgres: str
    ) -> None:
        metadata = sa.MetaData()
        kind = sa.Enum("old", "new", name="kind")
        sa.Table("first", metadata, sa.Column("id", sa.Integer, primary_key=True))
        table = sa.Table(
            "second",
            metadata,
            sa.Column("id", sa.ForeignKey("first.id"), primary_key=True),
            sa.Column("kind", kind, index=True),
        )
        tables = TableSet(
            projection="p",
            version=1,
            metadata=metadata,
            names=frozenset(metadata.tables),
            stamps=(),
        )
        for _ in range(2):
            async with AsyncExitStack() as stack:
                views = await opened(f"{postgres}?schema=mine", stack)
                begun = await views.take([tables], origin=ORIGIN)
                at = begun["p@1"].position
                rows = [sa.insert(metadata.tables["first"]).values(id=at)]
                rows += [sa.insert(table).values(id=at, kind="new")]
                assert await views.execute(tables, rows, expected=at, position=at + 1)
                found = await select(views, sa.select(table.c.kind))
                assert found.rows == [("new",)] * (at + 1)
                path = "SELECT schemaname FROM pg_indexes WHERE indexname = 'ix_second_kind'"
                assert (await select(views, sa.text(path))).rows == [("mine",)]
                await execute(f"{postgres}", "DROP INDEX mine.ix_second_kind")


class TestBehindAPooler:
    """Nothing is prepared under a name that could be somebody else's."""

    async def test_statements_alternate(self, postgres: str) -> None:
        async with AsyncExitStack() as stack:
            views = await opened(f"{postgres}?statement_cache_size=0", stack)
            await put(views, COUNTS, Count("a", 1), Count("b", 2))
            c = views.table(COUNTS).c
            async with views.session() as session:
                for _ in range(3):
                    for name, number in [("a", 1), ("b", 2)]:
                        asked = sa.select(c.number).where(c.name == name)
                        assert (await session.select(asked)).rows == [(number,)]
                        assert await session.get(COUNTS, (name,)) == Count(name, number)
                    assert (await session.select(sa.select(sa.func.count()))).rows == [(1,)]
                kept = sa.text("SELECT count(*) FROM pg_prepared_statements WHERE name <> ''")
                assert (await session.select(kept)).rows == [(0,)]


class TestViewsInDatabase(Saving, Sessions, ManyMoments):
    @pytest.fixture
    async def views(self, postgres: str) -> AsyncIterator[SqlViewStore]:
        views = ViewsInDatabase(address(postgres))
        await views.open(ALL_SHAPES, origin=ORIGIN)
        yield views
        await views.close()

    async def test_its_snapshots_know_no_log(self, views: SqlViewStore) -> None:
        async with views.session() as session:
            assert (await session.begin()).head is None


async def begun(
    dsn: str, *shapes: Shape, origin: Origin = ORIGIN, fill: int | None = None
) -> dict[str, Begun]:
    """Opens and closes; how the views stood."""
    views = ViewsInDatabase(address(dsn))
    found = await views.open(shapes or ALL_SHAPES, origin=origin)
    if fill is not None:
        (shape,) = shapes
        rows = [Count("a", shape.version)]
        assert await views.save(shape, rows, [], expected=0, position=fill)
    await views.close()
    return dict(found)


class TestWhoseDatabaseItIs:
    async def test_views_of_another_log_are_refused(self, postgres: str) -> None:
        await begun(postgres)
        with pytest.raises(ForeignStore, match=r"context 'contract'.*Drop it.*fill anew\.$"):
            await begun(postgres, origin=Origin("another", ORIGIN.epoch, 0))
        with pytest.raises(ForeignStore, match=r"epoch epoch; .*epoch later.*Drop it"):
            await begun(postgres, origin=Origin(CONTEXT, "later", 0))
        await begun(f"{postgres}?schema=another", origin=Origin("another", "later", 0))

    async def test_a_store_with_a_log_keeps_no_views_of_others(self, postgres: str) -> None:
        store = PostgresStore(address(postgres), waiting=WAITING)
        await store.open(CONTEXT, [])
        await store.close()
        with pytest.raises(ForeignStore, match=r"is the store of context 'contract', with a log"):
            await begun(postgres)

    async def test_views_are_no_store_of_an_app(self, postgres: str) -> None:
        await begun(postgres)
        with pytest.raises(ForeignStore, match="keeps views of a log that is elsewhere"):
            await PostgresStore(address(postgres), waiting=WAITING).open(CONTEXT, [])


class TestVersions:
    """The same holds beside a log."""

    async def test_the_target_is_the_head_of_the_very_first_start(self, postgres: str) -> None:
        for head in (5, 9):
            found = await begun(postgres, COUNTS, origin=Origin(CONTEXT, "epoch", head))
            assert found == {COUNTS.checkpoint: Begun(0, 5)}

    async def test_a_new_version_knows_the_newest_filled_one_of_the_same_fields(
        self, postgres: str
    ) -> None:
        later = Origin(CONTEXT, "epoch", 5)
        await begun(postgres, version(1, name="str"), fill=4)
        await begun(postgres, version(2, name="str"), fill=4)
        await begun(postgres, version(3, name="str", more="int"), fill=4)
        await begun(postgres, version(4, name="str"), origin=later)  # it is not filled
        found = await begun(postgres, version(5, name="str"), origin=later)
        assert found == {"count@5": Begun(0, 5, version(2, name="str"))}
        assert (await begun(postgres, version(6, other="str"), origin=later))[
            "count@6"
        ].older is None

    async def test_other_fields_of_the_same_version_are_refused(self, postgres: str) -> None:
        await begun(postgres, version(1, name="str"))
        with pytest.raises(SchemaChanged, match="Give it version=2"):
            await begun(postgres, version(1, name="str", more="int"))
