"""Views in a whole app: keys, splits, removals; one that breaks, and how it is made good."""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import select

from diptych import App, Query, Recorded, Stale, View, Views
from tests.integration.dumps import path_of
from tests.integration.failing import (
    AllLargest,
    Largest,
    all_largest,
    failing_total,
    largest,
)
from tests.integration.pots import (
    Added,
    AllTotals,
    Book,
    Booked,
    Put,
    Removed,
    Take,
    Total,
    TotalOf,
    all_totals,
    bank,
    total,
    total_of,
)


@dataclass(frozen=True)
class Night:
    house: str
    night: int
    bookings: int
    last: int


@dataclass(frozen=True)
class BookedNight:
    house: str
    number: int


def by_night(event: Booked) -> list[BookedNight]:
    return [BookedNight("city", night) for night in event.nights]


def one_more(row: Night | None, item: BookedNight, recorded: Recorded[Booked]) -> Night | None:
    before = 0 if row is None else row.bookings
    return Night(item.house, item.number, before + 1, recorded.position)


booked_nights = View(
    Night,
    one_more,
    key=("house", "night"),
    keys={BookedNight: ("house", "number")},
    split=[by_night],
)


@dataclass(frozen=True)
class Nights(Query[list[Night]]): ...


async def all_nights(query: Nights, views: Views) -> list[Night]:
    table = views.table(Night)
    return await views.all(Night, select(table).order_by(table.c.night))


def not_empty(row: Total | None, event: Added | Removed, recorded: Recorded[Any]) -> Total | None:
    after = total(row, event, recorded)
    return None if after is None or after.amount == 0 else after


def upper(event: Added | Removed) -> str:
    return event.pot.upper()


def upper_total(row: Total | None, event: Added | Removed) -> Total | None:
    return Total(event.pot.upper(), event.amount, 1 if row is None else row.events + 1, 0)


def damage(url: str, position: int, data: str) -> None:
    """Writes other data over an event's."""
    connection = sqlite3.connect(path_of(url))
    connection.execute("UPDATE diptych_events SET data = ? WHERE position = ?", (data, position))
    connection.commit()
    connection.close()


class TestShapes:
    async def test_an_event_about_several_rows_is_split(self, url: str) -> None:
        async with bank(url, read=[booked_nights], answer=[all_nights]) as app:
            await app.execute(Book("b1", (1, 2, 3)))
            receipt = await app.execute(Book("b2", (3, 4)))
            rows = await app.ask(Nights(), after=receipt)
            assert [(row.house, row.night, row.bookings, row.last) for row in rows] == [
                ("city", 1, 1, 1),
                ("city", 2, 1, 1),
                ("city", 3, 2, 2),
                ("city", 4, 1, 2),
            ]

    async def test_a_row_that_becomes_none_is_removed_and_may_come_again(self, url: str) -> None:
        async with bank(url, read=[View(Total, not_empty, key="pot")]) as app:
            await app.execute(Put("a", 2))
            receipt = await app.execute(Take("a", 2))
            assert await app.ask(TotalOf("a"), after=receipt) is None
            receipt = await app.execute(Put("a", 7))
            assert await app.ask(TotalOf("a"), after=receipt) == Total("a", 7, 1, 3)

    async def test_a_key_may_be_computed_from_the_event(self, url: str) -> None:
        view = View(Total, upper_total, key="pot", keys={Added: upper, Removed: upper})
        async with bank(url, read=[view]) as app:
            await app.execute(Put("ab", 2))
            receipt = await app.execute(Put("Ab", 3))
            assert await app.ask(TotalOf("AB"), after=receipt) == Total("AB", 3, 2, 0)

    async def test_a_view_takes_events_of_several_models_and_tenants_in_one_order(
        self, url: str
    ) -> None:
        seen: list[int] = []

        def watch(row: Total | None, event: Added | Booked, recorded: Recorded[Any]) -> Total:
            seen.append(recorded.position)
            return Total("all", 0, len(seen), recorded.position)

        def one(event: Added | Booked) -> str:
            return "all"

        view = View(Total, watch, key="pot", keys={Added: one, Booked: one})
        async with bank(url, read=[view]) as app:
            await asyncio.gather(
                *[app.execute(Put(f"p{n}", 1)) for n in range(30)],
                *[app.execute(Book(f"b{n}", (n,))) for n in range(30)],
            )
            await app.settled()
        assert seen == sorted(seen)
        assert len(seen) == 60

    async def test_a_view_catches_up_on_a_log_that_was_there_before(self, kept: str) -> None:
        async with bank(kept, read=[], answer=[]) as app:
            await asyncio.gather(*[app.execute(Put(f"p{n % 7}", 1)) for n in range(2500)])
        async with bank(kept) as app:
            rows = await app.ask(AllTotals(), after=2500, timeout=20)
            assert sum(row.events for row in rows) == 2500

    async def test_two_apps_that_fold_one_view_double_nothing(self, kept: str) -> None:
        async with bank(kept) as one, bank(kept) as two:
            for _ in range(15):
                await asyncio.gather(
                    *[app.execute(Put("a", 1)) for app in (one, two) for _ in range(5)]
                )
            row = await one.ask(TotalOf("a"), after=150)
            assert row == await two.ask(TotalOf("a"), after=150) == Total("a", 150, 150, 150)


class TestBreaking:
    async def test_what_came_before_the_event_is_in_and_the_failure_is_named(
        self, url: str
    ) -> None:
        async with bank(url, read=[failing_total(at=13)]) as app:
            calls = [app.execute(Put("a", 13 if n == 7 else 1)) for n in range(20)]
            receipts = await asyncio.gather(*calls)
            assert await app.ask(TotalOf("a"), after=receipts[6]) == Total("a", 7, 7, 7)
            with pytest.raises(Stale) as stale:
                await app.ask(TotalOf("a"), after=receipts[7], timeout=0.3)
            assert (stale.value.position, stale.value.wanted) == (7, 8)
            for word in ["total@1", "'added'", "position 8", "LookupError: amount 13"]:
                assert word in str(stale.value)
            answer = await app.answer(TotalOf("a"), after=receipts[-1], timeout=0.1)
            assert (answer.value, answer.stale) == (Total("a", 7, 7, 7), True)

    async def test_other_views_and_commands_go_on(self, url: str) -> None:
        async with bank(
            url, read=[failing_total(at=13), largest], answer=[total_of, all_largest]
        ) as app:
            await app.execute(Put("a", 13))
            receipt = await app.execute(Put("a", 20))
            assert await app.ask(AllLargest(), after=receipt) == [Largest("a", 20)]
            with pytest.raises(Stale):
                await app.ask(TotalOf("a"), after=receipt, timeout=0.1)

    async def test_half_an_event_is_never_shown(self, url: str) -> None:
        """One of the items of a split breaks: none of its event's rows is written."""

        def breaks(row: Night | None, item: BookedNight) -> Night | None:
            if item.number == 5:
                raise LookupError
            return Night(item.house, item.number, 1 + (row.bookings if row else 0), 0)

        view = View(
            Night,
            breaks,
            key=("house", "night"),
            keys={BookedNight: ("house", "number")},
            split=[by_night],
        )
        async with bank(url, read=[view], answer=[all_nights]) as app:
            await asyncio.gather(
                app.execute(Book("b1", (1, 2))), app.execute(Book("b2", (2, 3, 5, 6)))
            )
            await app.execute(Book("b3", (9,)))
            rows = await app.ask(Nights(), after=1)
            assert [(row.night, row.bookings) for row in rows] == [(1, 1), (2, 1)]
            answer = await app.answer(Nights(), after=2, timeout=0.3)
            assert [(row.night, row.bookings) for row in answer.value] == [(1, 1), (2, 1)]

    async def test_a_corrected_view_takes_the_event_with_the_next_start(self, kept: str) -> None:
        async with bank(kept, read=[failing_total(at=13)]) as app:
            await app.execute(Put("a", 1))
            receipt = await app.execute(Put("a", 13))
            with pytest.raises(Stale):
                await app.ask(TotalOf("a"), after=receipt, timeout=0.1)
        async with bank(kept) as app:
            assert await app.ask(TotalOf("a"), after=receipt) == Total("a", 14, 2, 2)

    async def test_a_corrected_view_may_also_come_as_a_new_version(self, kept: str) -> None:
        async with bank(kept, read=[failing_total(at=13)]) as app:
            await app.execute(Put("a", 1))
            receipt = await app.execute(Put("a", 13))
            await app.ask(TotalOf("a"), after=1)
        async with bank(kept, read=[View(Total, total, key="pot", version=2)]) as app:
            assert await app.ask(TotalOf("a"), after=receipt) == Total("a", 14, 2, 2)

    async def test_an_event_that_is_damaged_stops_the_view_before_it(self, file: str) -> None:
        async with bank(file, read=[View(Total, total, key="pot", version=2)]):
            pass  # so that it is not new any more
        for data in ['{"pot":5}', "no json"]:
            async with bank(file, read=[], answer=[]) as app:
                head = await app.log.head()
                await asyncio.gather(*[app.execute(Put("a", 1)) for _ in range(10)])
            damage(file, head + 6, data)
            async with bank(file, read=[View(Total, total, key="pot", version=2)]) as app:
                row = await app.ask(TotalOf("a"), after=head + 5)
                assert row is not None
                assert row.position == head + 5
                with pytest.raises(Stale, match=f"position {head + 6}"):
                    await app.ask(TotalOf("a"), after=head + 6, timeout=0.3)
            damage(file, head + 6, '{"pot":"a","amount":1,"seen":5}')

    async def test_a_new_version_fills_anew_beside_the_old_one(self, kept: str) -> None:
        def doubled(
            row: Total | None, event: Added | Removed, recorded: Recorded[Any]
        ) -> Total | None:
            before = row or Total(event.pot, 0, 0, 0)
            return Total(event.pot, before.amount + 2 * event.amount, before.events + 1, 0)

        second = View(Total, doubled, key="pot", version=2)
        async with bank(kept) as app:
            receipt = await app.execute(Put("a", 5))
            await app.settled()
            async with bank(kept, read=[second]) as newer:
                await newer.settled()
                assert await newer.ask(TotalOf("a"), after=receipt) == Total("a", 10, 1, 0)
                assert await app.ask(TotalOf("a"), after=receipt) == Total("a", 5, 1, 1)
                receipt = await newer.execute(Put("a", 1))
                assert await app.ask(TotalOf("a"), after=receipt) == Total("a", 6, 2, 2)
                assert await newer.ask(TotalOf("a"), after=receipt) == Total("a", 12, 2, 0)

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("row of another class", "not Total or None"),
            ("row of another key", "returned the row of key"),
            ("number over 64 bits", "over 64 bits"),
            ("text for a number", "is str, not int"),
        ],
    )
    async def test_a_row_that_cannot_be_kept_stops_the_view_before_its_event(
        self, url: str, name: str, words: str
    ) -> None:
        wrong: dict[str, Any] = {
            "row of another class": Largest("a", 1),
            "row of another key": Total("c", 1, 1, 1),
            "number over 64 bits": Total("b", 2**70, 1, 1),
            "text for a number": Total("b", "one", 1, 1),  # type: ignore[arg-type]
        }

        def project(row: Total | None, event: Added) -> Total | None:
            return wrong[name] if event.amount == 13 else Total("a", event.amount, 1, 1)

        def of(event: Added) -> str:
            return "b" if event.amount == 13 else "a"

        view = View(Total, project, key="pot", keys={Added: of})
        async with bank(url, read=[view], answer=[all_totals]) as app:
            calls = [app.execute(Put("a", 13 if n == 5 else 1)) for n in range(10)]
            await asyncio.gather(*calls)
            assert await app.ask(AllTotals(), after=5) == [Total("a", 1, 1, 1)]
            with pytest.raises(Stale) as stale:
                await app.ask(AllTotals(), after=6, timeout=0.3)
            assert words in str(stale.value)
            assert "position 6" in str(stale.value)

    async def test_a_key_that_cannot_be_kept_stops_the_view_before_its_event(
        self, url: str
    ) -> None:
        for key in [None, 5, ["list"], ("a", "b")]:

            def of(event: Added, key: Any = key) -> Any:
                return key if event.amount == 13 else "a"

            def project(row: Total | None, event: Added) -> Total | None:
                return Total("a", event.amount, 1, 1)

            view = View(Total, project, key="pot", keys={Added: of})
            async with bank("memory://", read=[view]) as app:
                await asyncio.gather(app.execute(Put("a", 1)), app.execute(Put("a", 13)))
                assert await app.ask(TotalOf("a"), after=1) == Total("a", 1, 1, 1)
                with pytest.raises(Stale, match="position 2"):
                    await app.ask(TotalOf("a"), after=2, timeout=0.3)


async def test_a_view_that_was_left_out_for_a_while_takes_up_where_it_was(kept: str) -> None:
    async def amount(app: App, after: int) -> int:
        row = await app.ask(TotalOf("a"), after=after)
        assert row is not None
        return row.amount

    async with bank(kept) as app:
        await app.execute(Put("a", 1))
        await app.settled()
    async with bank(kept, read=[], answer=[]) as app:
        await app.execute(Put("a", 2))
    async with bank(kept) as app:
        assert await amount(app, 2) == 3
