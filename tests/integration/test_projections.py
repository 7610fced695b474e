"""Projections: statements in the transaction of the checkpoint, each event exactly once."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from diptych import (
    App,
    Projection,
    Query,
    Recorded,
    Rows,
    Stale,
    StateStored,
    Tables,
    Views,
    WiringError,
)
from diptych.errors import BadResult, NotReady, NotSettled, SchemaChanged
from tests.integration.gates import Gate
from tests.integration.pots import (
    Added,
    Pot,
    Put,
    Removed,
    Take,
    Total,
    bank,
    file_url,
    pots,
    totals,
)

metadata = sa.MetaData()
ranks = sa.Table(
    "ranks",
    metadata,
    sa.Column("pot", sa.Text, primary_key=True),
    sa.Column("amount", sa.Integer, nullable=False, index=True),
    sa.Column("moves", sa.Integer, nullable=False),
)
moves = sa.Table(
    "moves",
    metadata,
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("pot", sa.ForeignKey("ranks.pot"), nullable=False),
    sa.Column("amount", sa.Integer, nullable=False),
)


def added(event: Added, recorded: Recorded[Added]) -> Iterator[Any]:
    """Set-based: what a fold would have to do row by row."""
    statement = upsert(ranks).values(pot=event.pot, amount=event.amount, moves=1)
    yield statement.on_conflict_do_update(
        index_elements=["pot"],
        set_={"amount": ranks.c.amount + event.amount, "moves": ranks.c.moves + 1},
    )
    yield moves.insert().values(position=recorded.position, pot=event.pot, amount=event.amount)
    if event.amount == 1000:  # a jackpot empties all the others
        yield ranks.update().where(ranks.c.pot != event.pot).values(amount=0)


def removed(event: Removed) -> list[Any]:
    return [
        ranks.update()
        .where(ranks.c.pot == event.pot)
        .values(amount=ranks.c.amount - event.amount, moves=ranks.c.moves + 1),
        ranks.delete()
        .where(ranks.c.amount == 0)
        .where(~sa.exists().where(moves.c.pot == ranks.c.pot)),
    ]


ranking = Projection("ranking", [added, removed], tables=metadata)


@dataclass(frozen=True)
class Ask(Query[Any]):
    """Whatever the test says."""


def asking(function: Callable[[Views], Any]) -> Any:
    async def answer(query: Ask, views: Views) -> Any:
        return await function(views)

    return answer


@dataclass(frozen=True)
class Rank:
    pot: str
    amount: int
    moves: int


async def ranked(views: Views) -> list[Rank]:
    return await views.all(Rank, select(ranks).order_by(ranks.c.amount.desc(), ranks.c.pot))


def ranked_bank(url: str, **more: Any) -> App:
    parts: dict[str, Any] = {"read": [ranking], "answer": [asking(ranked)]}
    return bank(url, **parts | more)


@pytest.fixture(params=["beside the log", "sqlite://", "in a file"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str | None:
    """Where the tables rest."""
    match request.param:
        case "beside the log":
            return None
        case "in a file":
            return file_url(tmp_path / "views.db")
        case other:
            return str(other)


class TestAnywhere:
    async def test_its_tables_are_read_as_those_of_views(self, url: str, store: str | None) -> None:
        placed = Projection("ranking", [added, removed], tables=metadata, store=store)
        async with ranked_bank(url, read=[placed]) as app:
            await app.execute(Put("a", 5))
            await app.execute(Put("b", 7))
            await app.execute(Take("b", 3))
            receipt = await app.execute(Put("a", 1))
            assert await app.ask(Ask(), after=receipt) == [Rank("a", 6, 2), Rank("b", 4, 2)]
            receipt = await app.execute(Put("c", 1000))
            answer = await app.answer(Ask(), after=receipt)
            assert answer.value == [Rank("c", 1000, 1), Rank("a", 0, 2), Rank("b", 0, 2)]
            assert (answer.position, answer.stale) == (receipt.position, False)

    async def test_a_query_after_a_receipt_is_never_older(
        self, url: str, store: str | None
    ) -> None:
        placed = Projection("ranking", [added, removed], tables=metadata, store=store)
        async with ranked_bank(url, read=[placed]) as app:
            for number in range(1, 30):
                receipt = await app.execute(Put("a", 1))
                assert await app.ask(Ask(), after=receipt) == [Rank("a", number, number)]

    async def test_a_statement_that_fails_is_found_and_named(
        self, url: str, store: str | None
    ) -> None:
        def twice(event: Added, recorded: Recorded[Added]) -> list[Any]:
            number = 1 if event.amount == 13 else recorded.position
            rank = upsert(ranks).values(pot="a", amount=0, moves=0).on_conflict_do_nothing()
            return [rank, moves.insert().values(position=number, pot="a", amount=event.amount)]

        async def amounts(views: Views) -> list[int]:
            return await views.all(int, select(moves.c.amount).order_by(moves.c.position))

        placed = Projection("ranking", twice, tables=metadata, store=store)
        async with ranked_bank(url, read=[placed, totals], answer=[asking(amounts)]) as app:
            commands = [app.execute(Put("a", 13 if n == 8 else n)) for n in range(1, 20)]
            receipts = await asyncio.gather(*commands)
            assert await app.ask(Ask(), after=receipts[6]) == [1, 2, 3, 4, 5, 6, 7]
            with pytest.raises(Stale) as stale:
                await app.ask(Ask(), after=receipts[7], timeout=0.3)
            for words in ["ranking@1", "position 8", r"insert of moves failed: .*position\W"]:
                assert re.search(words, str(stale.value))
            with pytest.raises(NotSettled, match="projection ranking@1 is at 7"):
                await app.settled(timeout=0.1)

    async def test_a_restart_at_any_point_doubles_nothing(
        self, kept: str, store: str | None
    ) -> None:
        placed = Projection("ranking", [added, removed], tables=metadata, store=store)
        for number in range(1, 6):
            async with ranked_bank(kept, read=[placed]) as app:
                await asyncio.gather(*[app.execute(Put("a", 1)) for _ in range(10)])
                if number % 2:
                    await app.settled()
        async with ranked_bank(kept, read=[placed]) as app:
            assert await app.ask(Ask(), after=50) == [Rank("a", 50, 50)]

    async def test_a_new_one_over_an_old_log_is_filled_before_it_is_shown(
        self, kept: str, store: str | None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with bank(kept, read=[], answer=[]) as app:
            await asyncio.gather(*[app.execute(Put(f"p{n}", 1)) for n in range(1200)])
        gate = Gate(monkeypatch)
        gate.shut("projection ranking@1")
        placed = Projection("ranking", [added, removed], tables=metadata, store=store)
        async with ranked_bank(kept, read=[placed]) as app:
            with pytest.raises(NotReady, match="ranking@1"):
                await app.ask(Ask(), timeout=0.05)
            gate.open("projection ranking@1")
            assert len(await app.ask(Ask(), timeout=20)) == 1200


class TestTogether:
    async def test_two_apps_that_project_double_nothing(self, kept: str) -> None:
        async with ranked_bank(kept) as one, ranked_bank(kept) as two:
            for _ in range(10):
                await asyncio.gather(
                    *[app.execute(Put("a", 1)) for app in (one, two) for _ in range(5)]
                )
            assert await one.ask(Ask(), after=100) == [Rank("a", 100, 100)]
            assert await two.ask(Ask(), after=100) == [Rank("a", 100, 100)]

    async def test_it_joins_with_views_and_own_tables(self, kept: str) -> None:
        own = sa.MetaData()
        names = sa.Table("names", own, sa.Column("pot", sa.Text, primary_key=True))

        async def joined(views: Views) -> Any:
            view = views.table(Total)
            statement = (
                select(func.count())
                .select_from(ranks)
                .join(view, view.c.pot == ranks.c.pot)
                .outerjoin(names, names.c.pot == ranks.c.pot)
                .where(view.c.amount == ranks.c.amount)
            )
            return await views.scalar(int, statement)

        async with ranked_bank(
            kept, read=[ranking, totals, Tables(own)], answer=[asking(joined)]
        ) as app:
            await app.execute(Put("a", 1))
            receipt = await app.execute(Put("b", 1))
            answer = await app.answer(Ask(), after=receipt)
            assert (answer.value, answer.stale) == (2, False)

    async def test_a_projection_that_fails_harms_no_command(self, kept: str) -> None:
        def fails(event: Added) -> list[Any]:
            return [moves.insert().values(position=1, pot="missing", amount=1)]

        async with ranked_bank(kept, read=[Projection("ranking", fails, tables=metadata)]) as app:
            for _ in range(20):
                await asyncio.gather(*[app.execute(Put(f"p{n}", 1)) for n in range(5)])
            assert await app.log.head() == 100
            with pytest.raises(Stale, match=r"(?i)FOREIGN KEY"):
                await app.ask(Ask(), after=1, timeout=0.2)

    async def test_a_constraint_that_is_checked_at_the_end_harms_no_command_either(
        self, url: str
    ) -> None:
        own = sa.MetaData()
        sa.Table("parents", own, sa.Column("id", sa.Integer, primary_key=True))
        parent = sa.ForeignKey("parents.id", deferrable=True, initially="DEFERRED")
        children = sa.Table("children", own, sa.Column("parent", parent))

        def orphan(event: Added) -> list[Any]:
            return [children.insert().values(parent=event.amount)]

        async def count(views: Views) -> int:
            return await views.scalar(int, select(func.count()).select_from(children))

        orphans = Projection("orphans", orphan, tables=own)
        async with ranked_bank(url, read=[orphans], answer=[asking(count)]) as app:
            for _ in range(20):
                await asyncio.gather(*[app.execute(Put(f"p{n}", 1)) for n in range(5)])
            assert await app.log.head() == 100
            with pytest.raises(Stale, match=r"(?i)at position 1: .*FOREIGN KEY constraint"):
                await app.ask(Ask(), after=1, timeout=0.2)

    async def test_mapped_classes_are_written_and_read(self, url: str) -> None:
        class Base(DeclarativeBase): ...

        class Seen(Base):
            __tablename__ = "seen"
            pot: Mapped[str] = mapped_column(primary_key=True)
            times: Mapped[int]

        def see(event: Added) -> list[Any]:
            one = upsert(Seen).values(pot=event.pot, times=1)
            return [
                one.on_conflict_do_update(index_elements=[Seen.pot], set_={"times": Seen.times + 1})
            ]

        async def times(views: Views) -> Any:
            return await views.scalar(int, select(Seen.times).where(Seen.pot == "a"))

        seen = Projection("seen", see, tables=Base.metadata)
        async with ranked_bank(url, read=[seen], answer=[asking(times)]) as app:
            await app.execute(Put("a", 1))
            receipt = await app.execute(Put("a", 1))
            assert await app.ask(Ask(), after=receipt) == 2


class TestVersions:
    def with_tables(self, version: int, name: str = "ranks2", **columns: Any) -> Projection:
        own = sa.MetaData()
        table = sa.Table(
            name,
            own,
            sa.Column("pot", sa.Text, primary_key=True),
            *(sa.Column(name, type_) for name, type_ in columns.items()),
        )

        def put(event: Added) -> list[Any]:
            return [upsert(table).values(pot=event.pot).on_conflict_do_nothing()]

        return Projection("ranking", put, tables=own, version=version)

    async def test_a_version_has_tables_of_its_own_and_fills_anew(self, kept: str) -> None:
        async def count(views: Views) -> int:
            return await views.scalar(int, select(func.count()).select_from(sa.table("ranks2")))

        async with ranked_bank(kept) as old:
            await old.execute(Put("a", 5))
            await old.settled()
            second = self.with_tables(2)
            async with ranked_bank(kept, read=[second], answer=[asking(count)]) as app:
                assert await app.ask(Ask()) == 1
                receipt = await app.execute(Put("b", 1))
                assert await app.ask(Ask(), after=receipt) == 2
                assert len(await old.ask(Ask(), after=receipt)) == 2

    async def test_a_table_of_another_version_is_refused(self, kept: str) -> None:
        async with ranked_bank(kept, read=[self.with_tables(1)], answer=[]):
            pass
        with pytest.raises(
            SchemaChanged, match=r"'ranks2' is filled by projection 'ranking', version 1.*version 2"
        ):
            async with ranked_bank(kept, read=[self.with_tables(2)], answer=[]):
                pass

    async def test_a_table_of_another_projection_is_refused(self, kept: str) -> None:
        async with ranked_bank(kept):
            pass
        other = Projection("other", [added, removed], tables=metadata)
        with pytest.raises(SchemaChanged, match=r"filled by projection 'ranking'.*'other'"):
            async with ranked_bank(kept, read=[other]):
                pass

    async def test_columns_that_changed_ask_for_a_version_and_a_name(self, kept: str) -> None:
        async with ranked_bank(kept, read=[self.with_tables(1)], answer=[]):
            pass
        changed = self.with_tables(1, amount=sa.Integer)
        with pytest.raises(SchemaChanged, match=r"\+amount.*version=2.*another name"):
            async with ranked_bank(kept, read=[changed], answer=[]):
                pass


def same_names(metadata: sa.MetaData) -> sa.MetaData:
    """Another metadata with tables of the same names."""
    other = sa.MetaData()
    for name in metadata.tables:
        sa.Table(name, other, sa.Column("x", sa.Integer))
    return other


class TestWiring:
    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ({"name": "No Name"}, "cannot name a projection"),
            ({"version": 0}, "versions begin at 1"),
            ({"tables": sa.MetaData()}, "has no table"),
            ({"functions": []}, "no function was given"),
        ],
    )
    def test_what_does_not_fit_is_said_in_words(self, arguments: Any, words: str) -> None:
        given: dict[str, Any] = {"name": "ranking", "functions": added, "tables": metadata}
        given |= arguments
        with pytest.raises(WiringError, match=words):
            Projection(given.pop("name"), given.pop("functions"), **given)

    def test_a_dictionary_takes_no_statements(self) -> None:
        with pytest.raises(WiringError, match=r"writes SQL.*store='sqlite://'"):
            ranked_bank(
                "memory://",
                read=[Projection("ranking", added, tables=metadata, store="memory://")],
            )

    def test_a_table_has_one_owner(self) -> None:
        with pytest.raises(WiringError, match=r"'moves' is filled by .*ranking.* and by .*other"):
            ranked_bank("memory://", read=[ranking, Projection("other", added, tables=metadata)])

    def test_what_the_write_model_writes_is_not_filled(self) -> None:
        for tables in (Tables(metadata), Tables(same_names(metadata))):
            with pytest.raises(
                WiringError, match=r"belongs to the write model.*MetaData of its own"
            ):
                ranked_bank("sqlite://", read=[ranking, tables])

    def test_nor_is_the_table_of_a_state(self) -> None:
        class Base(DeclarativeBase): ...

        class Row(Base):
            __tablename__ = "moves"
            pot: Mapped[str] = mapped_column(primary_key=True)

        rows = Rows(Row, to_state=lambda row: Pot(), to_row=lambda pot, state: Row(pot=pot))
        model = StateStored("pot", pots.decider, key="pot", rows=rows)
        with pytest.raises(
            WiringError, match=r"'moves' is filled by .* belongs to the write model"
        ):
            ranked_bank("sqlite://", write=[model], read=[ranking])

    @pytest.mark.parametrize("name", ["diptych_events", "sqlite_sequence", "view_free_seats_1"])
    def test_the_engines_own_tables_are_not_filled(self, name: str) -> None:
        own = sa.MetaData()
        sa.Table(name, own, sa.Column("x", sa.Integer))
        with pytest.raises(WiringError, match="diptych's own tables"):
            Projection("ranking", added, tables=own)

    def test_a_name_has_one_owner(self) -> None:
        own = sa.MetaData()
        sa.Table("t", own, sa.Column("x", sa.Integer))
        with pytest.raises(WiringError, match="name of another"):
            ranked_bank("memory://", read=[totals, Projection("total", added, tables=own)])

    @pytest.mark.parametrize(
        ("given", "words"),
        [
            (None, "returned NoneType. Return a list of"),
            (
                moves.insert().values(position=1, pot="a", amount=1),
                "returned Insert. Return a list",
            ),
            ([sa.text("DELETE FROM diptych_events")], "gave TextClause. Give insert"),
            ([select(moves)], "gave Select. Give insert"),
            ([sa.table("diptych_events").delete()], "writes to table 'diptych_events'"),
        ],
        ids=["none", "one", "text", "select", "others"],
    )
    def test_what_is_no_statement_of_its_own_is_named(self, given: Any, words: str) -> None:
        def wrong(event: Added) -> Any:
            return given

        projection = Projection("ranking", wrong, tables=metadata)
        with pytest.raises(BadResult, match=words):
            projection.statements(Added("a", 1), None)
