"""Asking: after a receipt, within an age, across restarts; and what an answer says of itself."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from diptych import App, Refused, Stale, Views
from diptych.errors import ForeignStore, NotOpen, NotSettled, WiringError, WrongRows
from diptych.testing import ManualClock
from tests.integration.failing import failing_total
from tests.integration.pots import (
    AllTotals,
    Put,
    Take,
    Total,
    TotalOf,
    bank,
    total_of,
    totals,
)


class TestAfter:
    async def test_a_query_after_a_receipt_is_never_older(self, app: App) -> None:
        for number in range(1, 60):
            receipt = await app.execute(Put("a", 1))
            row = await app.ask(TotalOf("a"), after=receipt)
            assert row is not None
            assert row.amount >= number
            assert row.position >= receipt.position

    async def test_many_who_ask_at_once_all_see_their_own(self, app: App) -> None:
        async def put_and_ask(number: int) -> None:
            receipt = await app.execute(Put(f"p{number}", number))
            row = await app.ask(TotalOf(f"p{number}"), after=receipt)
            assert row == Total(f"p{number}", number, 1, receipt.position)

        await asyncio.gather(*map(put_and_ask, range(1, 60)))

    async def test_a_position_an_answer_and_a_refusal_are_taken_too(self, app: App) -> None:
        receipt = await app.execute(Put("a", 1))
        answer = await app.answer(TotalOf("a"), after=receipt.position)
        assert answer.value == Total("a", 1, 1, 1)
        assert await app.ask(TotalOf("a"), after=answer) == answer.value
        with pytest.raises(Refused) as refused:
            await app.execute(Take("a", 9))
        assert refused.value.position == receipt.position
        assert await app.ask(TotalOf("a"), after=refused.value) == answer.value

    async def test_what_never_comes_is_stale_after_the_time_out(self, app: App) -> None:
        receipt = await app.execute(Put("a", 1))
        await app.ask(TotalOf("a"), after=receipt)
        loop = asyncio.get_running_loop()
        began = loop.time()
        with pytest.raises(Stale, match=r"total@1 at position 1, asked for 99.*timeout=") as stale:
            await app.ask(TotalOf("a"), after=99, timeout=0.2)
        assert 0.15 < loop.time() - began < 2
        assert (stale.value.views, stale.value.wanted) == (("total@1",), 99)

    async def test_an_answer_comes_marked_stale_instead(self, app: App) -> None:
        receipt = await app.execute(Put("a", 1))
        answer = await app.answer(TotalOf("a"), after=99, timeout=0.2)
        assert answer.stale
        assert (answer.position, answer.age) == (receipt.position, timedelta(0))
        assert answer.value == Total("a", 1, 1, 1)

    async def test_a_receipt_from_another_context_or_epoch_is_refused(self, app: App) -> None:
        async with bank("memory://") as other:
            foreign = await other.execute(Put("a", 1))
        with pytest.raises(ForeignStore, match="epoch"):
            await app.ask(TotalOf("a"), after=foreign)
        with pytest.raises(ForeignStore, match="epoch"):
            await app.execute(Put("a", 1), seen=foreign)

    async def test_a_receipt_outlives_a_restart(self, file: str) -> None:
        async with bank(file, read=[], answer=[]) as app:
            receipt = await app.execute(Put("a", 5))
        async with bank(file) as app:
            assert await app.ask(TotalOf("a"), after=receipt) == Total("a", 5, 1, 1)

    async def test_a_receipt_of_one_app_is_good_for_another_on_the_same_file(
        self, file: str
    ) -> None:
        async with bank(file) as one, bank(file) as two:
            for number in range(1, 20):
                receipt = await one.execute(Put("a", 1))
                row = await two.ask(TotalOf("a"), after=receipt)
                assert row is not None
                assert row.amount >= number


class TestAnswers:
    async def test_an_answer_says_its_position_and_time(self, url: str) -> None:
        clock = ManualClock(datetime(2026, 7, 1, 12, tzinfo=UTC))
        async with bank(url, clock=clock) as app:
            receipt = await app.execute(Put("a", 1))
            await app.settled()
            await clock.advance(timedelta(hours=1))
            answer = await app.answer(AllTotals())
        assert (answer.context, answer.epoch) == ("bank", receipt.epoch)
        assert (answer.position, answer.time) == (receipt.position, clock.now())
        # An idle log does not age.
        assert (answer.age, answer.stale) == (timedelta(0), False)

    async def test_an_answer_that_read_no_view_is_at_the_head(self, url: str) -> None:
        async def nothing(query: TotalOf, views: Views) -> Total | None:
            return None

        async with bank(url, answer=[nothing]) as app:
            receipt = await app.execute(Put("a", 1))
            answer = await app.answer(TotalOf("a"))
            assert (answer.value, answer.position) == (None, receipt.position)
            assert not answer.stale

    async def test_a_view_that_stands_makes_answers_old_and_max_age_refuses_them(
        self, url: str
    ) -> None:
        clock = ManualClock(datetime(2026, 7, 1, 12, tzinfo=UTC))
        async with bank(url, read=[failing_total(at=13)], clock=clock) as app:
            good = await app.execute(Put("a", 1))
            assert await app.ask(TotalOf("a"), after=good, max_age=timedelta(0)) is not None
            await app.execute(Put("b", 13))
            await clock.advance(timedelta(minutes=5))
            answer = await app.answer(TotalOf("a"), timeout=0.1)
            assert (answer.stale, answer.age) == (True, timedelta(minutes=5))
            assert answer.position == good.position
            older = await app.answer(TotalOf("a"), max_age=timedelta(minutes=4), timeout=0.1)
            assert older.stale
            assert await app.ask(TotalOf("a"), max_age=timedelta(minutes=6)) is not None
            with pytest.raises(Stale):
                await app.ask(TotalOf("a"), max_age=timedelta(minutes=4), timeout=0.1)

    async def test_an_answer_reads_one_moment_while_commands_go_on(self, url: str) -> None:
        async def twice(query: AllTotals, views: Views) -> list[Total]:
            table = views.table(Total)
            first = await views.scalar(int, select(func.coalesce(func.sum(table.c.events), 0)))
            await asyncio.sleep(0.005)
            rows = await views.all(Total, select(table))
            assert sum(row.events for row in rows) == first
            for row in rows:
                assert await views.get(Total, row.pot) == row
            return rows

        async with bank(url, answer=[twice]) as app:

            async def write() -> None:
                for number in range(80):
                    await app.execute(Put(f"p{number % 5}", 1))

            writing = asyncio.create_task(write())
            while not writing.done():
                await app.ask(AllTotals())
            await writing
            assert len(await app.ask(AllTotals(), after=80)) == 5

    async def test_rows_that_do_not_fit_are_named(self, url: str) -> None:
        async def wrong(query: TotalOf, views: Views) -> Total | None:
            table = views.table(Total)
            match query.pot:
                case "none":
                    return await views.one(Total, select(table).where(table.c.pot == "never"))
                case "many":
                    return await views.one(Total, select(table))
                case "columns":
                    return (await views.all(Total, select(table.c.pot)))[0]
                case "scalar":
                    await views.scalar(int, select(table.c.pot).limit(1))
                case "two":
                    await views.scalar(int, select(table.c.amount, table.c.events).limit(1))
                case _:
                    views.table(TotalOf)
            return None

        async with bank(url, answer=[wrong]) as app:
            await app.execute(Put("a", 1))
            receipt = await app.execute(Put("b", 1))
            await app.settled()
            for pot in ["none", "many", "columns", "scalar", "two"]:
                with pytest.raises(WrongRows, match=r"\.$"):
                    await app.ask(TotalOf(pot), after=receipt)
            with pytest.raises(WiringError, match=r"no view of TotalOf here \(known: Total\)"):
                await app.ask(TotalOf("x"), after=receipt)

    async def test_an_error_of_an_answerer_reaches_the_caller_and_harms_nobody(
        self, url: str
    ) -> None:
        async def breaks(query: TotalOf, views: Views) -> Total | None:
            if query.pot == "x":
                await views.get(Total, "a")
                raise LookupError(query.pot)
            return await views.get(Total, query.pot)

        async with bank(url, answer=[breaks]) as app:
            receipt = await app.execute(Put("a", 1))
            for _ in range(10):
                with pytest.raises(LookupError):
                    await app.ask(TotalOf("x"))
            assert await app.ask(TotalOf("a"), after=receipt) is not None

    async def test_who_stops_asking_harms_nobody(self, app: App) -> None:
        receipt = await app.execute(Put("a", 1))
        for turns in range(40):
            task = asyncio.create_task(app.ask(TotalOf("a"), after=receipt))
            for _ in range(turns % 8):
                await asyncio.sleep(0)
            await asyncio.sleep(0.0005 * (turns % 3))
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        asked = [app.ask(TotalOf("a"), after=receipt) for _ in range(8)]
        rows = await asyncio.wait_for(asyncio.gather(*asked), 10)
        assert set(rows) == {Total("a", 1, 1, 1)}


class TestSettled:
    async def test_settled_returns_when_every_view_has_everything(self, app: App) -> None:
        for number in range(50):
            await app.execute(Put(f"p{number}", 1))
        await app.settled()
        answer = await app.answer(AllTotals())
        assert (len(answer.value), answer.stale) == (50, False)

    async def test_what_is_not_settled_is_named(self, url: str) -> None:
        async with bank(url, read=[failing_total(at=13)]) as app:
            await app.execute(Put("a", 13))
            with pytest.raises(NotSettled, match=r"view total@1 is at 0 of 1 .*LookupError") as e:
                await app.settled(timeout=0.3)
            assert len(e.value.waiting) == 1

    async def test_without_views_everything_is_settled(self, url: str) -> None:
        async with bank(url, read=[], answer=[]) as app:
            await app.execute(Put("a", 1))
            await app.settled()


class TestLeaving:
    async def test_who_waits_when_the_app_is_left_is_told(self, url: str) -> None:
        app = bank(url)
        async with app:
            waiting = [asyncio.create_task(app.ask(TotalOf("a"), after=99, timeout=9))]
            await asyncio.sleep(0.05)
        with pytest.raises(NotOpen):
            await asyncio.wait_for(waiting[0], 3)

    async def test_who_reads_when_the_app_is_left_is_told_or_answered(self, url: str) -> None:
        began, go_on = asyncio.Event(), asyncio.Event()

        async def slow(query: TotalOf, views: Views) -> Total | None:
            await views.get(Total, "a")
            began.set()
            await go_on.wait()
            return await views.get(Total, "a")

        app = bank(url, answer=[slow])
        await app.__aenter__()
        asking = asyncio.create_task(app.ask(TotalOf("a")))
        await began.wait()
        leaving = asyncio.create_task(app.__aexit__(None, None, None))
        await asyncio.sleep(0.02)
        go_on.set()
        await asyncio.wait_for(leaving, 5)
        with suppress(NotOpen):
            assert await asyncio.wait_for(asking, 5) is None

    async def test_commands_under_way_are_answered_or_told(self, url: str) -> None:
        app = bank(url)
        async with app:
            tasks = [asyncio.create_task(app.execute(Put(f"p{n}", 1))) for n in range(50)]
            await asyncio.sleep(0)
        results = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 5)
        done = [r for r in results if not isinstance(r, BaseException)]
        told = [r for r in results if isinstance(r, BaseException)]
        assert len(done) + len(told) == 50
        assert {type(error).__name__ for error in told} <= {"NotOpen", "StoreUnavailable"}


async def test_the_same_descriptions_serve_two_apps_at_once(url: str) -> None:
    async with bank(url) as one, bank("memory://", read=[totals], answer=[total_of]) as two:
        first = await one.execute(Put("a", 1))
        second = await two.execute(Put("a", 2))
        assert await one.ask(TotalOf("a"), after=first) == Total("a", 1, 1, 1)
        assert await two.ask(TotalOf("a"), after=second) == Total("a", 2, 1, 1)
