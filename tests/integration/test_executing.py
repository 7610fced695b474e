"""What `execute` promises: receipts, refusals, repetitions, and who may call it when."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from diptych import (
    App,
    Context,
    Decider,
    DiptychError,
    EventSourced,
    Fault,
    IdReused,
    Principal,
    Receipt,
    Recorded,
    Refused,
    UnknownMessage,
    Views,
)
from diptych.errors import DeadlineExceeded, NestedCall, NotOpen
from diptych.testing import ManualClock
from tests.integration.pots import (
    Added,
    AllTotals,
    Book,
    Break,
    Look,
    Put,
    Removed,
    Take,
    Total,
    TotalOf,
    all_totals,
    bank,
    refuse_old_states,
)


async def refusal(call: Coroutine[Any, Any, Receipt]) -> Refused:
    """The refusal that a call must end in."""
    with pytest.raises(Refused) as refused:
        await call
    return refused.value


class TestReceipts:
    async def test_a_receipt_says_where_and_what(self, app: App) -> None:
        first = await app.execute(Put("a", 5), id="c-1")
        assert (first.context, first.command_id, first.stream) == ("bank", "c-1", "pot:a")
        (event,) = first.events
        assert (first.version, event.pot, event.amount) == (1, "a", 5)
        second = await app.execute(Take("a", 2), principal=Principal("ada"))
        assert second.position > first.position
        (event,) = second.events
        assert isinstance(event, Removed)
        assert (event.amount, event.seen, event.by) == (2, 1, "ada")
        assert second.epoch == first.epoch

    async def test_without_events_the_position_is_the_head(self, app: App) -> None:
        head = (await app.execute(Put("a", 5))).position
        looked = await app.execute(Look("b"))
        assert (looked.position, looked.version, looked.events) == (head, 0, ())

    async def test_drawn_ids_differ(self, app: App) -> None:
        receipts = [await app.execute(Look("a")) for _ in range(5)]
        assert len({receipt.command_id for receipt in receipts}) == 5

    async def test_a_boundary_s_receipt_names_its_stream(self, app: App) -> None:
        receipt = await app.execute(Book("b1", (1, 2)))
        assert (receipt.stream, receipt.version) == ("night", 1)


class TestRepetition:
    async def test_the_same_id_gives_the_same_receipt_and_happens_once(self, app: App) -> None:
        first = await app.execute(Put("a", 5), id="c-1")
        await app.execute(Put("a", 7))
        again = await app.execute(Put("a", 5), id="c-1")
        assert again == first
        assert (again.events, again.version) == (first.events, first.version)
        assert await app.ask(TotalOf("a"), after=again) is not None
        assert await refuse_old_states(app) == 2

    async def test_the_same_id_of_a_boundary_gives_the_same_receipt(self, app: App) -> None:
        first = await app.execute(Book("b1", (1, 2)), id="c-1")
        await app.execute(Book("b2", (2,)))
        again = await app.execute(Book("b1", (1, 2)), id="c-1")
        assert again == first
        assert again.events == first.events

    async def test_ten_at_once_with_one_id_happen_once(self, app: App) -> None:
        calls = [app.execute(Put("a", 5), id="c-1") for _ in range(10)]
        receipts = await asyncio.gather(*calls)
        assert len(set(receipts)) == 1
        assert len({receipt.events for receipt in receipts}) == 1
        assert await refuse_old_states(app) == 1

    async def test_a_refusal_is_repeated_although_it_would_be_allowed_by_now(
        self, app: App
    ) -> None:
        first = await refusal(app.execute(Take("a", 5), id="c-1"))
        await app.execute(Put("a", 100))
        again = await refusal(app.execute(Take("a", 5), id="c-1"))
        assert (again.code, again.message, again.values) == (
            "too_little",
            first.message,
            {"there": 0},
        )
        assert again.position == first.position == 0

    async def test_a_refusal_without_an_id_is_judged_anew(self, app: App) -> None:
        await refusal(app.execute(Take("a", 5)))
        await app.execute(Put("a", 100))
        await app.execute(Take("a", 5))

    async def test_a_repeated_acceptance_stays_one_although_it_would_be_refused_by_now(
        self, app: App
    ) -> None:
        await app.execute(Put("a", 5))
        first = await app.execute(Take("a", 5), id="c-1")
        assert await app.execute(Take("a", 5), id="c-1") == first

    @pytest.mark.parametrize("other", [Put("a", 6), Put("b", 5), Take("a", 5), Look("a")])
    async def test_an_id_with_another_payload_is_an_error(self, app: App, other: object) -> None:
        await app.execute(Put("a", 5), id="c-1")
        with pytest.raises(IdReused, match=r"'c-1'.*new id") as reused:
            await app.execute(other, id="c-1")
        assert reused.value.id == "c-1"
        assert await refuse_old_states(app) == 1

    async def test_an_id_may_come_again_from_another_tenant(self, app: App) -> None:
        one = await app.execute(Put("a", 5), id="c-1", principal=Principal("x", tenant="one"))
        two = await app.execute(Put("a", 9), id="c-1", principal=Principal("x", tenant="two"))
        assert one != two
        assert (one.version, two.version) == (1, 1)

    async def test_a_command_that_broke_may_come_again(self, app: App) -> None:
        with pytest.raises(LookupError, match="a"):
            await app.execute(Break("a"), id="c-1")
        await app.execute(Put("a", 1), id="c-1")

    async def test_after_a_restart_the_id_is_still_known(self, file: str) -> None:
        async with bank(file) as app:
            first = await app.execute(Put("a", 5), id="c-1")
            refused = await refusal(app.execute(Take("a", 50), id="c-2"))
        async with bank(file) as app:
            again = await app.execute(Put("a", 5), id="c-1")
            assert (again, again.events) == (first, first.events)
            repeated = await refusal(app.execute(Take("a", 50), id="c-2"))
            assert (repeated.code, repeated.position) == (refused.code, refused.position)
            with pytest.raises(IdReused):
                await app.execute(Put("a", 6), id="c-1")
            assert await refuse_old_states(app) == 1


class TestDeadlines:
    async def test_a_command_whose_deadline_has_passed_is_not_carried_out(self, url: str) -> None:
        clock = ManualClock(datetime(2026, 7, 1, 12, tzinfo=UTC))
        async with bank(url, clock=clock) as app:
            deadline = clock.now() + timedelta(seconds=5)
            await app.execute(Put("a", 1), deadline=deadline)
            await clock.advance(timedelta(seconds=6))
            with pytest.raises(DeadlineExceeded, match=r"put: .*2026-07-01T12:00:05.*later one"):
                await app.execute(Put("a", 1), deadline=deadline, id="c-1")
            assert await refuse_old_states(app) == 1
            await app.execute(Put("a", 1), id="c-1")

    async def test_a_deadline_without_a_zone_is_refused(self, app: App) -> None:
        with pytest.raises(DiptychError, match=r"deadline.*time zone"):
            await app.execute(Put("a", 1), deadline=datetime(2099, 1, 1))  # noqa: DTZ001


class TestFacts:
    async def test_a_decision_knows_time_principal_and_id(self, url: str) -> None:
        known: list[Context] = []

        def put(command: Put, state: int, context: Context) -> list[Added]:
            known.append(context)
            return [Added(command.pot, 1, len(context.new_id("x")))]

        def evolve(state: int, event: Added) -> int:
            return state + 1

        model = EventSourced("pot", Decider(0, put, evolve), key="pot")
        clock = ManualClock(datetime(2026, 7, 1, 12, tzinfo=UTC))
        async with App("bank", store=url, write=[model], clock=clock) as app:
            who = Principal("ada", frozenset({"clerk"}), tenant="t")
            await app.execute(Put("a", 1), id="c-1", principal=who)
            (recorded,) = [one async for one in app.log.read()]
        assert (known[0].now, known[0].principal) == (clock.now(), who)
        assert (known[0].tenant, known[0].command_id) == ("t", "c-1")
        assert (recorded.time, recorded.principal, recorded.tenant) == (clock.now(), "ada", "t")
        assert (recorded.causation_id, recorded.correlation_id) == ("c-1", "c-1")
        assert recorded.event.seen == 32

    async def test_evolve_may_know_what_the_log_knows(self, url: str) -> None:
        def put(command: Put, state: tuple[int, ...]) -> list[Added]:
            return [Added(command.pot, 1, len(state)), Added(command.pot, 2, len(state))]

        def evolve(
            state: tuple[int, ...], event: Added, recorded: Recorded[Added]
        ) -> tuple[int, ...]:
            assert recorded.event == event
            assert recorded.version == len(state) + 1
            return (*state, recorded.position)

        def check(command: Look, state: tuple[int, ...]) -> list[Added]:
            raise Refused("state", positions=list(state))

        empty: tuple[int, ...] = ()
        model = EventSourced("pot", Decider(empty, [put, check], evolve), key="pot")
        async with App("bank", store=url, write=[model]) as app:
            await asyncio.gather(*[app.execute(Put("a", 1)) for _ in range(10)])
            warm = (await refusal(app.execute(Look("a")))).values["positions"]
            assert warm == [recorded.position async for recorded in app.log.read()]
            assert len(warm) == 20


class TestWhoMayCall:
    async def test_outside_of_its_block_an_app_is_not_open(self, url: str) -> None:
        app = bank(url)
        for call in (lambda: app.execute(Put("a", 1)), lambda: app.ask(AllTotals())):
            with pytest.raises(NotOpen, match=r"'bank' is not open.*async with app"):
                await call()
        with pytest.raises(NotOpen):
            _ = app.log
        with pytest.raises(NotOpen):
            await app.settled()

    async def test_an_app_is_entered_once_and_may_be_entered_again(self, url: str) -> None:
        app = bank(url)
        for _ in range(3):
            async with app:
                receipt = await app.execute(Put("a", 1))
                assert await app.ask(TotalOf("a"), after=receipt) is not None
                with pytest.raises(Fault, match="open already"):
                    await app.__aenter__()
                await app.execute(Put("a", 1))
        with pytest.raises(NotOpen):
            await app.execute(Put("a", 1))

    @pytest.mark.parametrize("call", ["execute", "ask", "answer", "a task"])
    async def test_a_decision_may_not_call_the_app(self, url: str, call: str) -> None:
        tasks: list[asyncio.Task[Any]] = []
        calls: dict[str, Callable[[], object]] = {
            "execute": lambda: app.execute(Put("b", 1)),
            "ask": lambda: app.ask(AllTotals()),
            "answer": lambda: app.answer(AllTotals()),
            "a task": lambda: tasks.append(asyncio.create_task(app.execute(Put("b", 1)))),
        }

        def put(command: Put, state: int) -> list[Added]:
            calls[call]()
            return []

        def evolve(state: int, event: Added) -> int:
            return state

        app = App(
            "bank", store=url, write=[EventSourced("pot", Decider(0, put, evolve), key="pot")]
        )
        async with app:
            with pytest.raises(NestedCall, match=r"would wait for itself.*Return events"):
                await app.execute(Put("a", 1))
        assert tasks == []

    @pytest.mark.parametrize("call", ["execute", "ask", "answer", "a task"])
    async def test_an_answer_may_not_call_the_app(self, url: str, call: str) -> None:
        calls: dict[str, Callable[[], Awaitable[object]]] = {
            "execute": lambda: app.execute(Put("b", 1)),
            "ask": lambda: app.ask(AllTotals()),
            "answer": lambda: app.answer(AllTotals()),
            "a task": lambda: asyncio.create_task(later()),
        }

        async def later() -> None:
            await app.execute(Put("b", 1))

        async def answer(query: TotalOf, views: Views) -> Total | None:
            await calls[call]()
            return None

        app = bank(url, answer=[answer, all_totals])
        async with app:
            with pytest.raises(NestedCall):
                await asyncio.wait_for(app.ask(TotalOf("a")), 10)
            await app.execute(Put("a", 1))

    async def test_an_unknown_command_names_those_that_are_known(self, app: App) -> None:
        @dataclass(frozen=True)
        class Burn:
            pot: str

        with pytest.raises(UnknownMessage, match=r"no command Burn here \(known: .*Put.*write="):
            await app.execute(Burn("a"))
