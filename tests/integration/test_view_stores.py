"""Views that rest elsewhere: in another file or database, in SQLite in memory, in a dictionary."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, text

from diptych import App, Query, Stale, View, Views, WiringError
from diptych.errors import ForeignStore, NotReady, SchemaChanged
from diptych.testing import ManualClock
from tests.integration.failing import failing_total
from tests.integration.gates import Gate
from tests.integration.pots import (
    Added,
    AllTotals,
    Put,
    Removed,
    Take,
    Total,
    TotalOf,
    all_totals,
    bank,
    file_url,
    total,
    total_of,
)

ELSEWHERE = ["memory://", "sqlite://", "sqlite:///", "postgresql://"]


def placed(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    match request.param:
        case "sqlite:///":
            return file_url(tmp_path / "views.db")
        case "postgresql://":
            # Beside the database of the app, if that is on this server, too.
            url: str = request.getfixturevalue("postgres")
            return f"{url}?schema=views"
        case given:
            return str(given)


@pytest.fixture(params=ELSEWHERE)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where the view rests."""
    return placed(request, tmp_path)


@pytest.fixture(params=ELSEWHERE[1:])
def sql_place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The same, where it takes statements."""
    return placed(request, tmp_path)


@dataclass(frozen=True)
class Ask(Query[Any]):
    """Whatever the test says."""


def asking(function: Callable[[Views], Any]) -> Any:
    async def answer(query: Ask, views: Views) -> Any:
        return await function(views)

    return answer


async def listed(views: Views) -> list[Total]:
    return sorted(await views.all(Total), key=lambda row: row.pot)


def totals_in(place: str | None, **more: Any) -> View[Total]:
    return View(Total, total, key="pot", store=place, **more)


def bank_with(url: str, place: str, **more: Any) -> App:
    parts: dict[str, Any] = {"read": [totals_in(place)], "answer": [total_of, asking(listed)]}
    return bank(url, **parts | more)


class TestAnywhere:
    async def test_a_query_after_a_receipt_is_never_older(self, url: str, place: str) -> None:
        async with bank_with(url, place) as app:
            for number in range(1, 40):
                receipt = await app.execute(Put("a", 1))
                row = await app.ask(TotalOf("a"), after=receipt)
                assert row == Total("a", number, number, receipt.position)

    async def test_rows_are_listed_and_removed(self, url: str, place: str) -> None:
        def not_empty(row: Total | None, event: Added | Removed) -> Total | None:
            before = row or Total(event.pot, 0, 0, 0)
            amount = before.amount + event.amount * (1 if isinstance(event, Added) else -1)
            return Total(event.pot, amount, before.events + 1, 0) if amount else None

        view = View(Total, not_empty, key="pot", store=place)
        async with bank_with(url, place, read=[view]) as app:
            await app.execute(Put("b", 2))
            await app.execute(Put("a", 1))
            receipt = await app.execute(Take("b", 2))
            assert await app.ask(Ask(), after=receipt) == [Total("a", 1, 1, 0)]
            assert await app.ask(TotalOf("b")) is None

    async def test_an_answer_says_its_position_and_age(self, url: str, place: str) -> None:
        clock = ManualClock(datetime(2026, 7, 1, 12, tzinfo=UTC))
        view = View(Total, failing_total(at=13).projects[Added].function, key="pot", store=place)
        async with bank_with(url, place, read=[view], clock=clock) as app:
            good = await app.execute(Put("a", 1))
            answer = await app.answer(TotalOf("a"), after=good)
            assert (answer.position, answer.age, answer.stale) == (
                good.position,
                timedelta(0),
                False,
            )
            bad = await app.execute(Put("b", 13))
            await clock.advance(timedelta(minutes=5))
            answer = await app.answer(TotalOf("a"), timeout=0)
            assert (answer.position, answer.stale) == (good.position, True)
            assert answer.age == timedelta(minutes=5)
            with pytest.raises(Stale, match="LookupError"):
                await app.ask(TotalOf("a"), after=bad, timeout=0.1)
            with pytest.raises(Stale):
                await app.ask(TotalOf("a"), max_age=timedelta(minutes=4), timeout=0.1)
            assert await app.ask(TotalOf("a"), max_age=timedelta(minutes=6)) is not None

    async def test_all_that_was_written_before_is_there_after_a_restart(
        self, kept: str, place: str
    ) -> None:
        for number in range(1, 4):
            async with bank_with(kept, place) as app:
                receipt = await app.execute(Put("a", 1))
                row = await app.ask(TotalOf("a"), after=receipt)
                assert row == Total("a", number, number, number)

    async def test_reads_of_an_answer_are_of_one_moment(self, url: str, place: str) -> None:
        began, go_on = asyncio.Event(), asyncio.Event()

        async def twice(views: Views) -> bool:
            first = await views.get(Total, "a")
            began.set()
            await go_on.wait()
            return first == await views.get(Total, "a") == (await views.all(Total))[0]

        async with bank_with(url, place, answer=[asking(twice), total_of]) as app:
            await app.execute(Put("a", 1))
            await app.settled()
            asked = asyncio.create_task(app.ask(Ask()))
            await began.wait()
            receipt = await app.execute(Put("a", 1))
            await app.ask(TotalOf("a"), after=receipt)
            go_on.set()
            assert await asked

    async def test_a_new_view_over_an_old_log_is_filled_before_it_is_shown(
        self, kept: str, place: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with bank(kept, read=[], answer=[]) as app:
            await asyncio.gather(*[app.execute(Put(f"p{n}", 1)) for n in range(7)])
        gate = Gate(monkeypatch)
        gate.shut("view total@1")
        async with bank_with(kept, place) as app:
            for call in (app.ask, app.answer):
                with pytest.raises(NotReady, match=r"total@1 is being filled.*: 0%.*0 of 7"):
                    await call(Ask(), timeout=0.05)
            waiting = asyncio.create_task(app.ask(Ask(), timeout=10))
            await asyncio.sleep(0.05)
            gate.open("view total@1")
            assert len(await waiting) == 7
            # Once filled, it may lag.
            gate.shut("view total@1")
            await app.execute(Put("p0", 1))
            answer = await app.answer(Ask(), timeout=0)
            assert (len(answer.value), answer.position, answer.stale) == (7, 7, True)
            gate.open("view total@1")

    async def test_why_it_is_not_filled_is_said(self, kept: str, place: str) -> None:
        async with bank(kept, read=[], answer=[]) as app:
            await app.execute(Put("a", 1))
            await app.execute(Put("a", 13))
        view = View(Total, failing_total(at=13).projects[Added].function, key="pot", store=place)
        async with bank_with(kept, place, read=[view]) as app:
            with pytest.raises(NotReady, match=r"50%.*1 of 2.*LookupError") as error:
                await app.ask(TotalOf("a"), timeout=0.3)
            assert (error.value.position, error.value.target) == (1, 2)
            assert error.value.progress == 0.5


class TestSql:
    async def test_statements_go_to_the_store_of_the_view(self, url: str, sql_place: str) -> None:
        async def some(views: Views) -> list[Total]:
            table = views.table(Total)
            return await views.all(Total, select(table).where(table.c.amount > 1))

        async with bank_with(url, sql_place, answer=[asking(some), all_totals]) as app:
            await app.execute(Put("a", 1))
            receipt = await app.execute(Put("b", 2))
            assert await app.ask(Ask(), after=receipt) == [Total("b", 2, 1, 2)]
            assert len(await app.ask(AllTotals(), after=receipt)) == 2

    async def test_a_statement_over_two_stores_is_refused(self, kept: str, sql_place: str) -> None:
        @dataclass(frozen=True)
        class Count:
            pot: str
            events: int

        def count(row: Count | None, event: Added) -> Count:
            return Count(event.pot, 1 + (row.events if row else 0))

        async def joined(views: Views) -> Any:
            one, two = views.table(Total), views.table(Count)
            return await views.all(int, select(one.c.amount).join(two, one.c.pot == two.c.pot))

        async def each(views: Views) -> Any:
            one, two = views.table(Total), views.table(Count)
            total = await views.scalar(int, select(func.sum(one.c.amount)))
            return total, await views.scalar(int, select(func.sum(two.c.events)))

        view = View(Count, count, key="pot")
        async with bank_with(
            kept, sql_place, read=[totals_in(sql_place), view], answer=[asking(joined)]
        ) as app:
            with pytest.raises(
                WiringError, match=r"two stores \(view_count_1 and view_total_1\).*of its own"
            ):
                await app.ask(Ask())
        async with bank_with(
            kept, sql_place, read=[totals_in(sql_place), view], answer=[asking(each)]
        ) as app:
            await app.settled()
            before = await app.log.head()
            receipt = await app.execute(Put("a", 5))
            answer = await app.answer(Ask(), after=receipt)
            assert answer.value[0] >= 5
            assert (answer.position, answer.stale) == (before + 1, False)

    async def test_text_goes_to_the_store_of_what_it_stands_with(
        self, kept: str, sql_place: str
    ) -> None:
        async def with_text(views: Views) -> Any:
            table = views.table(Total)
            return await views.scalar(int, select(table.c.amount).where(text("pot = 'a'")))

        async def alone(views: Views) -> Any:
            return await views.scalar(int, select(text("1")))

        async with bank_with(kept, sql_place, answer=[asking(with_text)]) as app:
            receipt = await app.execute(Put("a", 5))
            assert await app.ask(Ask(), after=receipt) == 5
        async with bank_with(kept, sql_place, answer=[asking(alone)]) as app:
            assert await app.ask(Ask()) == 1


class TestDictionary:
    async def test_a_statement_is_an_error_that_names_the_remedy(self, url: str) -> None:
        async with bank_with(url, "memory://", answer=[all_totals]) as app:
            with pytest.raises(
                WiringError,
                match=r"rest in a dictionary.*views\.get\(Total, key\).*store='sqlite://'",
            ):
                await app.ask(AllTotals())

    async def test_a_key_of_another_type_is_an_error_here_too(self, url: str) -> None:
        async def wrong(views: Views) -> Any:
            return await views.get(Total, 5)

        async with bank_with(url, "memory://", answer=[asking(wrong)]) as app:
            with pytest.raises(Exception, match="has a key"):
                await app.ask(Ask())


class TestWiring:
    async def test_naming_the_apps_own_file_is_the_same_as_naming_none(
        self, file: str, tmp_path: Path
    ) -> None:
        path = file.removeprefix("sqlite:///")
        same = f"sqlite:///{Path(path).parent / '.' / '..' / tmp_path.name / Path(path).name}"
        async with bank_with(file, same) as app:
            receipt = await app.execute(Put("a", 1))
            assert await app.ask(TotalOf("a"), after=receipt) is not None
        assert sorted(p.suffix for p in tmp_path.iterdir()) == [".db", ".db-gate"]

    @pytest.mark.parametrize("url", ["views.db", "sqlite:///", "redis://x"])
    def test_a_store_that_is_not_known_is_named(self, url: str) -> None:
        with pytest.raises(WiringError, match="store"):
            bank("memory://", read=[totals_in(url)])

    def test_an_inline_view_rests_beside_the_log(self) -> None:
        with pytest.raises(WiringError, match="cannot rest in 'memory://'"):
            totals_in("memory://", inline=True)


class TestFiles:
    async def test_two_apps_share_a_file_of_views(self, kept: str, tmp_path: Path) -> None:
        place = file_url(tmp_path / "views.db")
        async with bank_with(kept, place) as one, bank_with(kept, place) as two:
            for _ in range(10):
                await asyncio.gather(
                    *[app.execute(Put("a", 1)) for app in (one, two) for _ in range(5)]
                )
            row = await one.ask(TotalOf("a"), after=100)
            assert row == await two.ask(TotalOf("a"), after=100) == Total("a", 100, 100, 100)

    async def test_a_file_of_another_log_is_refused_with_the_remedy(self, tmp_path: Path) -> None:
        place = file_url(tmp_path / "views.db")
        async with bank_with(file_url(tmp_path / "one.db"), place):
            pass
        with pytest.raises(ForeignStore, match=r"Delete it: its views fill anew\.$"):
            async with bank_with(file_url(tmp_path / "two.db"), place):
                pass
        (tmp_path / "views.db").unlink()
        async with bank_with(file_url(tmp_path / "two.db"), place) as app:
            receipt = await app.execute(Put("a", 1))
            assert await app.ask(TotalOf("a"), after=receipt) is not None

    async def test_views_that_are_ahead_of_the_log_are_refused(self, tmp_path: Path) -> None:
        log, place = tmp_path / "log.db", file_url(tmp_path / "views.db")
        async with bank_with(file_url(log), place) as app:
            await app.execute(Put("a", 1))
            await app.settled()
        backup = log.read_bytes()
        async with bank_with(file_url(log), place) as app:
            await app.execute(Put("a", 1))
            await app.settled()
        log.write_bytes(backup)
        with pytest.raises(ForeignStore, match=r"ahead of the log, at position 2.*Delete it"):
            async with bank_with(file_url(log), place):
                pass

    async def test_fields_that_changed_ask_for_a_version(self, kept: str, tmp_path: Path) -> None:
        place = file_url(tmp_path / "views.db")
        async with bank_with(kept, place):
            pass

        @dataclass(frozen=True)
        class Other:
            pot: str
            amount: int

        def other(row: Other | None, event: Added) -> Other:
            return Other(event.pot, 1)

        view = View(Other, other, key="pot", store=place)
        with pytest.raises(SchemaChanged, match="Give it version=2"):
            async with bank(kept, read=[view], answer=[], names={"total": Other}):
                pass
