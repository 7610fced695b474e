"""Commands that come together: one chain, decided on what is on its way, and never on what is not.

The proof is in the log: each event says how many events its decision knew of (see `pots`).
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Coroutine
from typing import Any

import pytest

from diptych import App, DiptychError, Limits, Receipt, Refused, StreamConflict
from tests.integration.pots import (
    BEDS,
    AllTotals,
    Book,
    Break,
    Look,
    Put,
    Take,
    Total,
    TotalOf,
    bank,
    refuse_old_states,
)


async def outcomes(*calls: Coroutine[Any, Any, Receipt]) -> Counter[str]:
    """How often the calls ended in what: `done`, a refusal's code, or an error's name."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    return Counter(_named(result) for result in results)


def _named(result: object) -> str:
    match result:
        case Receipt():
            return "done"
        case Refused(code=code):
            return code
        case _:
            return type(result).__name__


class TestOneApp:
    async def test_two_hundred_at_once_on_one_stream_are_all_carried_out(self, app: App) -> None:
        assert await outcomes(*[app.execute(Put("a", 1)) for _ in range(200)]) == {"done": 200}
        assert await refuse_old_states(app) == 200

    async def test_of_two_hundred_who_take_as_many_succeed_as_there_is(self, app: App) -> None:
        await app.execute(Put("a", 70))
        took = await outcomes(*[app.execute(Take("a", 1)) for _ in range(200)])
        assert took == {"done": 70, "too_little": 130}
        assert await refuse_old_states(app) == 71

    async def test_refusals_with_ids_are_part_of_the_chain(self, app: App) -> None:
        calls = [app.execute(Put("a", 1), id=f"p{n}") for n in range(50)]
        calls += [app.execute(Take("a", 1), id=f"t{n}") for n in range(100)]
        assert await outcomes(*calls) == {"done": 100, "too_little": 50}
        assert await refuse_old_states(app) == 100

    async def test_many_streams_at_once_do_not_mind_each_other(self, app: App) -> None:
        calls = [app.execute(Put(f"s{n % 17}", 1)) for n in range(200)]
        assert await outcomes(*calls) == {"done": 200}
        assert await refuse_old_states(app) == 200

    async def test_a_thousand_in_waves_leave_no_conflict(self, app: App) -> None:
        async def one(number: int) -> Receipt:
            await asyncio.sleep(random.random() * 0.2)
            return await app.execute(Put(f"s{number % 3}", 1))

        assert await outcomes(*[one(number) for number in range(1000)]) == {"done": 1000}
        assert await refuse_old_states(app) == 1000

    async def test_overlapping_nights_are_never_overbooked(self, app: App) -> None:
        asked = [Book(f"b{n}", (n % 5, n % 5 + 1)) for n in range(200)]
        result = await outcomes(*map(app.execute, asked))
        assert set(result) == {"done", "full"}
        assert await refuse_old_states(app) == result["done"]
        booked: Counter[int] = Counter()
        async for recorded in app.log.read():
            booked.update(recorded.event.nights)
        # Nobody was refused who would have fitted: each pair of nights has a full one.
        assert all(BEDS in (booked[night], booked[night + 1]) for night in range(5))

    async def test_nights_apart_are_all_booked(self, app: App) -> None:
        asked = [Book(f"b{n}", (n,)) for n in range(200)]
        assert await outcomes(*map(app.execute, asked)) == {"done": 200}

    async def test_both_kinds_of_models_mix(self, app: App) -> None:
        calls: list[Coroutine[Any, Any, Receipt]] = []
        for number in range(100):
            calls.append(app.execute(Book(f"b{number}", (number % 9,))))
            calls.append(app.execute(Put("a", 2)))
            calls.append(app.execute(Take("a", 1)))
        assert await outcomes(*calls) == {"done": 27 + 200, "full": 73}
        assert await refuse_old_states(app) == 227

    async def test_a_command_that_breaks_does_not_harm_its_neighbours(self, app: App) -> None:
        calls: list[Coroutine[Any, Any, Receipt]] = []
        for number in range(60):
            calls.append(app.execute(Break("a") if number % 7 == 3 else Put("a", 1)))
        broken = sum(number % 7 == 3 for number in range(60))
        assert await outcomes(*calls) == {"done": 60 - broken, "LookupError": broken}
        assert await refuse_old_states(app) == 60 - broken

    async def test_a_command_without_events_stands_in_the_chain(self, app: App) -> None:
        calls = [app.execute(Look("a") if n % 2 else Put("a", 1)) for n in range(100)]
        assert await outcomes(*calls) == {"done": 100}
        assert await refuse_old_states(app) == 50

    async def test_a_cache_of_one_state_is_enough(self, url: str) -> None:
        async with bank(url, limits=Limits(states=1)) as app:
            for _ in range(3):
                calls = [app.execute(Put(f"s{n % 10}", 1)) for n in range(60)]
                assert await outcomes(*calls) == {"done": 60}
            seen = await app.execute(Put("s0", 1))
            calls = [app.execute(Put(f"s{n % 10}", 1), seen=seen) for n in range(60)]
            assert set(await outcomes(*calls)) <= {"done", "StreamConflict"}
            assert await outcomes(app.execute(Put("s1", 1))) == {"done": 1}
            await refuse_old_states(app)

    async def test_more_commands_than_may_wait_are_refused_at_once(self, url: str) -> None:
        async with bank(url, limits=Limits(waiting=50)) as app:
            result = await outcomes(*[app.execute(Put("a", 1)) for _ in range(80)])
            assert result == {"done": 50, "Overloaded": 30}
            assert await outcomes(app.execute(Put("a", 1))) == {"done": 1}
            assert await refuse_old_states(app) == 51


class TestCancelling:
    @pytest.mark.parametrize("seed", range(4))
    async def test_who_leaves_at_any_moment_wedges_nothing(self, url: str, seed: int) -> None:
        chance = random.Random(seed)
        async with bank(url) as app:
            for round_ in range(12):
                calls = [
                    app.execute(
                        chance.choice(
                            [Put("a", 1), Put("b", 1), Take("a", 1), Book(f"{round_}", (round_,))]
                        ),
                        id=f"{round_}-{n}" if chance.random() < 0.5 else None,
                    )
                    for n in range(20)
                ]
                tasks = [asyncio.create_task(call) for call in calls]
                for _ in range(chance.randrange(12)):
                    await asyncio.sleep(0)
                if chance.random() < 0.5:
                    await asyncio.sleep(chance.random() * 0.003)
                for task in tasks:
                    if chance.random() < 0.6:
                        task.cancel()
                left = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 20)
                assert {_named(result) for result in left} <= {
                    "done",
                    "too_little",
                    "full",
                    "CancelledError",
                }
            for command in (Put("a", 1), Put("b", 1), Book("last", (999,))):
                await asyncio.wait_for(app.execute(command), 10)
            events = await refuse_old_states(app)
            await app.settled()
            rows = await app.ask(AllTotals())
            booked = sum(1 for _ in [e async for e in app.log.read(stream="night")])
            assert sum(row.events for row in rows) == events - booked

    async def test_whoever_was_cancelled_finds_out_with_the_same_id(self, app: App) -> None:
        for turns in range(12):
            task = asyncio.create_task(app.execute(Put("a", 1), id=f"c{turns}"))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await asyncio.wait_for(app.execute(Put("a", 1), id=f"c{turns}"), 10)
        assert await refuse_old_states(app) == 12


class TestTwoApps:
    async def test_what_another_app_wrote_is_taken_into_account(self, file: str) -> None:
        async with bank(file) as one, bank(file) as two:
            await one.execute(Put("a", 1))
            await two.execute(Put("a", 5))
            assert (await one.execute(Take("a", 6))).version == 3
            with pytest.raises(Refused):
                await two.execute(Take("a", 1))

    async def test_a_refusal_on_an_old_state_is_judged_anew(self, file: str) -> None:
        async with bank(file) as one, bank(file) as two:
            await one.execute(Put("a", 1))
            await two.execute(Put("a", 5))
            with pytest.raises(Refused) as refused:
                await one.execute(Take("a", 7), id="c-1")
            assert refused.value.values == {"there": 6}
            await two.execute(Put("a", 5))
            assert (await one.execute(Take("a", 11))).version == 4

    async def test_the_same_id_in_two_apps_happens_once(self, file: str) -> None:
        async with bank(file) as one, bank(file) as two:
            for number in range(20):
                calls = [
                    app.execute(Put("a", 1), id=f"c{number}")
                    for app in (one, two)
                    for _ in range(5)
                ]
                assert len(set(await asyncio.gather(*calls))) == 1
            assert await refuse_old_states(one) == 20

    @pytest.mark.parametrize(("one_has", "two_has"), [(12, 12), (23, 1)])
    async def test_hammering_one_stream_no_decision_stands_on_another_state(
        self, file: str, one_has: int, two_has: int
    ) -> None:
        """Speculative chains over a file that somebody else writes, too: the proof of soundness.

        Where one has long chains and the other single commands, a stranger's event takes the place
        of a chain's first, and the versions of its followers fit all the same.
        """
        limits = Limits(attempts=1000)
        done: Counter[str] = Counter()
        async with bank(file, limits=limits) as one, bank(file, limits=limits) as two:

            async def caller(app: App, number: int, turns: int) -> None:
                chance = random.Random(number)
                for turn in range(turns):
                    command = Put("a", 2) if chance.random() < 0.6 else Take("a", 1)
                    id = f"{number}-{turn}" if chance.random() < 0.5 else None
                    done.update(await outcomes(app.execute(command, id=id)))
                    if chance.random() < 0.1:
                        await asyncio.sleep(chance.random() * 0.01)

            await asyncio.gather(
                *[caller(one, n, 40) for n in range(one_has)],
                *[caller(two, 100 + n, 40 if two_has > 1 else 200) for n in range(two_has)],
            )
            assert set(done) <= {"done", "too_little"}
            assert await refuse_old_states(one) == done["done"]
            assert await refuse_old_states(two) == done["done"]
            await one.settled()
            row = await two.ask(TotalOf("a"), after=done["done"])
            assert isinstance(row, Total)
            assert row.events == done["done"]

    @pytest.mark.parametrize("seed", range(3))
    async def test_two_apps_whose_callers_leave_at_any_moment_stay_sound(
        self, file: str, seed: int
    ) -> None:
        chance = random.Random(seed)
        limits = Limits(attempts=1000)
        async with bank(file, limits=limits) as one, bank(file, limits=limits) as two:

            async def caller(app: App, number: int) -> None:
                seen: Receipt | None = None
                for turn in range(15):
                    command = chance.choice(
                        [Put("a", 2), Take("a", 1), Look("a"), Book(f"{number}-{turn}", (turn,))]
                    )
                    id = f"{number}-{turn}" if chance.random() < 0.5 else None
                    call = app.execute(command, id=id, seen=seen if chance.random() < 0.3 else None)
                    task = asyncio.create_task(call)
                    if chance.random() < 0.4:
                        await asyncio.sleep(chance.random() * 0.004)
                        task.cancel()
                    (result,) = await asyncio.gather(task, return_exceptions=True)
                    if isinstance(result, Receipt):
                        seen = result
                    assert _named(result) in {
                        *("done", "too_little", "full", "CancelledError", "StreamConflict")
                    }, result

            callers = [caller((one, two)[n % 2], n) for n in range(16)]
            await asyncio.wait_for(asyncio.gather(*callers), 60)
            for app in (one, two):
                for command in (Put("a", 1), Book("last", (999,))):
                    await asyncio.wait_for(app.execute(command), 10)
            head = await refuse_old_states(one)
            row = await two.ask(TotalOf("a"), after=head, timeout=10)
            assert row is not None
            assert row.events == len([e async for e in one.log.read(stream="pot:a")])

    async def test_hammering_overlapping_nights_overbooks_none(self, file: str) -> None:
        limits = Limits(attempts=200)
        done: Counter[str] = Counter()
        async with bank(file, limits=limits) as one, bank(file, limits=limits) as two:

            async def caller(app: App, number: int) -> None:
                chance = random.Random(number)
                for turn in range(12):
                    first = chance.randrange(40)
                    nights = tuple(range(first, first + 1 + chance.randrange(3)))
                    done.update(await outcomes(app.execute(Book(f"{number}-{turn}", nights))))

            await asyncio.gather(*[caller((one, two)[n % 2], n) for n in range(24)])
            assert set(done) == {"done", "full"}
            assert await refuse_old_states(one) == done["done"]

    async def test_with_few_attempts_what_is_left_over_is_a_conflict_and_nothing_else(
        self, file: str
    ) -> None:
        limits = Limits(attempts=1)
        async with bank(file, limits=limits) as one, bank(file, limits=limits) as two:
            done: Counter[str] = Counter()
            for _ in range(20):
                calls = [app.execute(Put("a", 1)) for app in (one, two) for _ in range(10)]
                done.update(await outcomes(*calls))
            assert set(done) <= {"done", "StreamConflict"}
            assert await refuse_old_states(one) == done["done"]

    async def test_a_conflict_that_is_given_up_names_the_stream_and_the_remedy(
        self, file: str
    ) -> None:
        async with bank(file, limits=Limits(attempts=1)) as one, bank(file) as two:
            await one.execute(Put("a", 1))
            await two.execute(Put("a", 1))
            with pytest.raises(
                StreamConflict, match=r"pot:a is at 2, expected 1\. .*again\.$"
            ) as c:
                await one.execute(Put("a", 1))
            assert isinstance(c.value, DiptychError)
            assert (c.value.stream, c.value.expected, c.value.found) == ("pot:a", 1, 2)
            await one.execute(Put("a", 1))
