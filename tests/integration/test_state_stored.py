"""States in a table that other programs read and write: no decision on a row that is not there."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from threading import Event, Thread
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import String
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from diptych import (
    Allow,
    App,
    Decider,
    Deny,
    Handlers,
    InvalidMessage,
    Limits,
    Principal,
    Receipt,
    Recorded,
    Refused,
    Rows,
    StateStored,
    StreamConflict,
    View,
    WiringError,
)
from diptych.adapters.postgres.ledger import Read
from diptych.adapters.postgres.writer import Writer as PostgresWriter
from diptych.adapters.sqlite.ledger import Ledger
from diptych.adapters.sqlite.writer import Writer as SqliteWriter
from diptych.errors import Denied, ProjectionFailed, SchemaChanged
from diptych.write.dispatch import Dispatch
from tests.integration.pots import (
    Added,
    AllTotals,
    Pot,
    Put,
    Removed,
    Take,
    Total,
    bank,
    nights,
    pot_decider,
    refuse_old_states,
    total,
)
from tests.integration.tables import (
    PotRow,
    Program,
    pot_rows,
    table_bank,
    table_pots,
    to_pot,
    to_row,
)


@pytest.fixture
def file(database: str) -> str:
    """Of an empty database that several may open."""
    return database


@pytest.fixture
def program(file: str) -> Iterator[Program]:
    """Another program with the database open."""
    program = Program(file)
    yield program
    program.close()


class TestRowAndEvents:
    async def test_the_row_is_what_the_events_made_of_it(self, file: str, program: Program) -> None:
        async with table_bank(file) as app:
            receipt = await app.execute(Put("a", 5))
            assert (receipt.stream, receipt.version) == ("pot:a", 1)
            await app.execute(Take("a", 2))
            await app.execute(Put("b", 1))
            assert program.pots() == {"a": (3, 2), "b": (1, 1)}

    async def test_a_refused_command_writes_no_row(self, file: str, program: Program) -> None:
        async with table_bank(file) as app:
            with pytest.raises(Refused):
                await app.execute(Take("a", 2), id="c-1")
            assert program.pots() == {}

    async def test_a_row_of_before_diptych_is_the_state_and_versions_begin_at_one(
        self, file: str, program: Program
    ) -> None:
        program(
            "CREATE TABLE pots "
            "(id text PRIMARY KEY, amount int, events int, mark text, note text, more text)"
        )
        program("INSERT INTO pots VALUES ('a', 100, 0, '', 'mine', 'more')")
        async with table_bank(file) as app:
            receipt = await app.execute(Take("a", 60))
            assert (receipt.version, receipt.position) == (1, 1)
            with pytest.raises(Refused) as refused:
                await app.execute(Take("a", 60))
            assert refused.value.values == {"there": 40}
        assert program("SELECT amount, note, more FROM pots") == [(40, "mine", "more")]

    async def test_columns_that_the_model_does_not_know_stay_as_they_are(
        self, file: str, program: Program
    ) -> None:
        async with table_bank(file) as app:
            await app.execute(Put("a", 5))
            program("UPDATE pots SET note = 'seen by ann'")
            await app.execute(Take("a", 2))
            assert program("SELECT amount, note FROM pots") == [(3, "seen by ann")]

    async def test_the_state_is_there_again_after_a_restart(self, file: str) -> None:
        app = table_bank(file)
        for _ in range(3):
            async with app:
                await app.execute(Put("a", 5))
        async with table_bank(file) as another:
            await another.execute(Take("a", 15))
            assert await refuse_old_states(another) == 4


class TestOtherPrograms:
    async def test_a_row_that_changed_since_is_decided_upon_as_it_is_now(
        self, file: str, program: Program
    ) -> None:
        async with table_bank(file) as app:
            await app.execute(Put("a", 5))
            program("UPDATE pots SET amount = 50")
            await app.execute(Take("a", 20))
            assert program("SELECT amount FROM pots") == [(30,)]
            program("UPDATE pots SET amount = 1")
            with pytest.raises(Refused) as refused:
                await app.execute(Take("a", 20), id="c-1")
            assert refused.value.values == {"there": 1}

    async def test_a_row_that_changes_between_decision_and_commit_is_decided_upon_anew(
        self, file: str, program: Program, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        decided: list[int] = []
        original = Dispatch._decide

        def decide(self: Dispatch, *given: Any) -> Any:
            decision = original(self, *given)
            decided.append(given[2].state.amount)
            if len(decided) == 1:
                program("UPDATE pots SET amount = 8")
            return decision

        async with table_bank(file) as app:
            await app.execute(Put("a", 5))
            monkeypatch.setattr(Dispatch, "_decide", decide)
            await app.execute(Take("a", 3))
            assert decided == [5, 8]
            assert program("SELECT amount FROM pots") == [(5,)]

    async def test_a_row_that_is_removed_is_the_initial_state(
        self, file: str, program: Program
    ) -> None:
        async with table_bank(file) as app:
            await app.execute(Put("a", 5))
            program("DELETE FROM pots")
            with pytest.raises(Refused) as refused:
                await app.execute(Take("a", 1))
            assert refused.value.values == {"there": 0}
            assert (await app.execute(Put("a", 2))).version == 2
            assert program("SELECT amount FROM pots") == [(2,)]

    async def test_a_decision_that_breaks_on_a_row_of_before_is_made_on_the_row_of_now(
        self, file: str, program: Program
    ) -> None:
        def picky(command: Put, pot: Pot) -> list[Added]:
            if pot.amount == 5:
                raise LookupError("five")
            return [Added(command.pot, command.amount)]

        decider = Decider(Pot(), picky, added_amount)
        model = StateStored("pot", decider, key="pot", rows=pot_rows)
        async with bank(file, write=[model], read=[], answer=[]) as app:
            await app.execute(Put("a", 5))
            with pytest.raises(LookupError):
                await app.execute(Put("a", 1))
            program("UPDATE pots SET amount = 6")
            await app.execute(Put("a", 1))
            assert program("SELECT amount FROM pots") == [(7,)]

    async def test_a_policy_on_the_state_sees_the_row_of_now(
        self, file: str, program: Program
    ) -> None:
        def half(principal: Principal, command: Take, pot: Pot) -> Allow | Deny:
            return Allow() if command.amount <= pot.amount // 2 else Deny("at most half of it")

        async with table_bank(file, may=[half]) as app:
            await app.execute(Put("a", 10))
            with pytest.raises(Denied):
                await app.execute(Take("a", 6))
            program("UPDATE pots SET amount = 100")
            await app.execute(Take("a", 50))
            assert program("SELECT amount FROM pots") == [(50,)]

    async def test_a_row_that_nobody_can_read_is_an_error_and_then_goes_on(
        self, file: str, program: Program
    ) -> None:
        def strict(row: PotRow) -> Pot:
            if row.mark == "bad":
                raise ValueError("no mark")
            return to_pot(row)

        rows = Rows(PotRow, to_state=strict, to_row=to_row)
        model = StateStored("pot", pot_decider, key="pot", rows=rows)
        async with bank(file, write=[model, nights]) as app:
            receipt = await app.execute(Put("a", 10), id="c-1")
            program("UPDATE pots SET mark = 'bad'")
            with pytest.raises(ValueError, match="no mark"):
                await app.execute(Put("a", 1))
            assert await app.execute(Put("a", 10), id="c-1") == receipt
            program("UPDATE pots SET mark = 'good'")
            await app.execute(Put("a", 1))
            assert program("SELECT amount FROM pots") == [(11,)]

    async def test_with_few_attempts_a_row_that_keeps_changing_is_a_conflict(
        self, file: str, program: Program, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        original = Dispatch._decide

        def decide(self: Dispatch, *given: Any) -> Any:
            decision = original(self, *given)
            program("UPDATE pots SET amount = amount + 1")
            return decision

        async with table_bank(file, limits=Limits(attempts=3)) as app:
            await app.execute(Put("a", 5))
            monkeypatch.setattr(Dispatch, "_decide", decide)
            with pytest.raises(StreamConflict, match=r"pot:a has moved on.*decide again"):
                await app.execute(Take("a", 3))
            assert program("SELECT amount FROM pots") == [(8,)]


def added_amount(pot: Pot, event: Added) -> Pot:
    return replace(pot, amount=pot.amount + event.amount)


class Meddler(Thread):
    """Another program that adds one to a pot, over and over."""

    def __init__(self, url: str, keys: Sequence[str]) -> None:
        super().__init__()
        self._url = url
        self._keys = keys
        self._end = Event()
        self.added: Counter[str] = Counter()

    def run(self) -> None:
        program = Program(self._url)
        chance = random.Random(7)
        while not self._end.is_set():
            key = chance.choice(self._keys)
            changed = "UPDATE pots SET amount = amount + 1 WHERE id = ? RETURNING id"
            self.added[key] += len(program(changed, (key,)))
            self._end.wait(chance.random() * 0.002)
        program.close()

    def stop(self) -> None:
        self._end.set()
        self.join()


async def meddled(file: str) -> dict[str, int]:
    """Many callers and another program at once; how much of each pot is amiss in the end."""
    keys = ("a", "b", "c")
    async with table_bank(file, limits=Limits(attempts=1000)) as app:
        for key in keys:
            await app.execute(Put(key, 5))
        meddler = Meddler(file, keys)
        meddler.start()

        async def caller(number: int) -> None:
            chance = random.Random(number)
            turn = 0
            while turn < 25 or sum(meddler.added.values()) < 40:
                turn += 1
                kind = Put if chance.random() < 0.6 else Take
                command = kind(chance.choice(keys), chance.randrange(1, 4))
                id = f"{number}-{turn}" if chance.random() < 0.5 else None
                with suppress(Refused):
                    await app.execute(command, id=id)
                if chance.random() < 0.2:
                    await asyncio.sleep(chance.random() * 0.003)

        try:
            await asyncio.gather(*map(caller, range(24)))
        finally:
            meddler.stop()
        expected = Counter(meddler.added)
        async for recorded in app.log.read():
            event = recorded.event
            expected[event.pot] += event.amount if isinstance(event, Added) else -event.amount
        program = Program(file)
        found = {key: amount for key, (amount, _) in program.pots().items()}
        program.close()
        return {key: found[key] - expected[key] for key in keys}


async def test_no_update_is_lost_while_another_program_writes_the_same_rows(file: str) -> None:
    assert await meddled(file) == {"a": 0, "b": 0, "c": 0}


async def test_without_the_comparison_updates_are_lost(
    file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control of the test above: what it would find."""
    monkeypatch.setattr(Ledger, "stands", lambda self, row: True)
    monkeypatch.setattr(Read, "stands", lambda self, row: True)
    for _ in range(10):
        if any((await meddled(file)).values()):
            return
    raise AssertionError("no update was lost")


class TestGroups:
    @pytest.mark.parametrize("owned", [False, True], ids=["compared", "owned"])
    @pytest.mark.parametrize("keys", [64, 1])
    async def test_sixty_four_callers_share_their_commits_and_never_conflict(
        self, file: str, owned: bool, keys: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        groups: list[int] = []
        writer: Any = SqliteWriter if file.startswith("sqlite") else PostgresWriter
        original = writer._write

        def write(self: Any, commits: Sequence[Any]) -> Any:
            groups.append(len(commits))
            return original(self, commits)

        monkeypatch.setattr(writer, "_write", write)
        async with table_bank(file, owned=owned, read=[], answer=[]) as app:

            async def caller(number: int) -> None:
                for _ in range(10):
                    await app.execute(Put(f"k{number % keys}", 1))

            await asyncio.gather(*map(caller, range(64)))
            assert sum(groups) == 640  # a conflict would be written again
            assert len(groups) <= 30
            assert await refuse_old_states(app) == 640


class TestSeen:
    async def test_an_event_that_was_not_seen_is_a_conflict(self, file: str) -> None:
        async with table_bank(file) as app:
            seen = await app.execute(Put("a", 5))
            late = await app.execute(Put("a", 1))
            with pytest.raises(StreamConflict):
                await app.execute(Take("a", 1), seen=seen)
            await app.execute(Take("a", 1), seen=late)

    async def test_of_many_who_saw_the_same_screen_one_decides(self, file: str) -> None:
        async with table_bank(file) as app:
            seen = await app.execute(Put("a", 50))
            calls = [app.execute(Take("a", 1), seen=seen) for _ in range(20)]
            found = await asyncio.gather(*calls, return_exceptions=True)
            assert Counter(type(one) for one in found) == {Receipt: 1, StreamConflict: 19}

    async def test_a_merge_rule_lets_some_pass(self, file: str) -> None:
        def only_additions(command: object, missed: Sequence[Recorded[Any]]) -> bool:
            return all(isinstance(recorded.event, Added) for recorded in missed)

        model = StateStored("pot", pot_decider, key="pot", rows=pot_rows, merge=only_additions)
        async with table_bank(file, write=[model, nights]) as app:
            seen = await app.execute(Put("a", 5))
            await app.execute(Put("a", 1))
            await app.execute(Take("a", 1), seen=seen)
            with pytest.raises(StreamConflict):
                await app.execute(Take("a", 1), seen=seen)

    async def test_a_screen_of_before_another_program_wrote_is_decided_on_its_row(
        self, file: str, program: Program
    ) -> None:
        """What others write has no position: it is no event, but it is the state."""
        async with table_bank(file) as app:
            seen = await app.execute(Put("a", 5))
            program("UPDATE pots SET amount = 0")
            with pytest.raises(Refused):
                await app.execute(Take("a", 1), seen=seen)


async def test_a_command_is_prepared_first(file: str, program: Program) -> None:
    def trimmed(command: Put) -> Put:
        return replace(command, pot=command.pot.strip().lower())

    model = StateStored("pot", pot_decider, key="pot", rows=pot_rows, prepare=trimmed)
    async with table_bank(file, write=[model, nights]) as app:
        await app.execute(Put(" A ", 5))
        assert program.pots() == {"a": (5, 1)}


class TestRowsThatGo:
    async def test_to_row_of_none_removes_the_row_and_the_next_decision_begins_anew(
        self, file: str, program: Program
    ) -> None:
        def unless_empty(key: str, pot: Pot) -> PotRow | None:
            return None if pot.amount == 0 else to_row(key, pot)

        rows = Rows(PotRow, to_state=to_pot, to_row=unless_empty)
        model = StateStored("pot", pot_decider, key="pot", rows=rows)
        async with table_bank(file, write=[model, nights]) as app:
            await app.execute(Put("a", 5))
            await app.execute(Take("a", 5))
            assert program.pots() == {}
            put = [Put("a", 5), Take("a", 5), Put("a", 2), Take("a", 2), Put("a", 1)]
            receipts = await asyncio.gather(*map(app.execute, put))
            assert [receipt.version for receipt in receipts] == [3, 4, 5, 6, 7]
            # Counted from the initial state: the row had gone.
            assert program.pots() == {"a": (1, 1)}

    async def test_a_row_that_cannot_be_kept_is_an_error_and_nothing_happens(
        self, file: str, program: Program
    ) -> None:
        def odd(key: str, pot: Pot) -> PotRow:
            return PotRow(id=key, amount=pot.amount if pot.amount < 10 else None)

        rows = Rows(PotRow, to_state=to_pot, to_row=odd)
        model = StateStored("pot", pot_decider, key="pot", rows=rows)
        async with table_bank(file, write=[model, nights]) as app:
            calls = [app.execute(Put(key, 9 if key != "c" else 10)) for key in "abcde"]
            found = await asyncio.gather(*calls, return_exceptions=True)
            assert [type(one).__name__ for one in found] == [
                *("Receipt", "Receipt", "BadResult", "Receipt", "Receipt")
            ]
            assert "c" not in program.pots()
            await app.execute(Put("c", 9))


@dataclass(frozen=True)
class Tick:
    id: UUID


@dataclass(frozen=True)
class Ticked:
    id: UUID


def tick(command: Tick, times: int) -> list[Ticked]:
    return [Ticked(command.id)]


def ticked(times: int, event: Ticked) -> int:
    return times + 1


ticks = Decider(0, tick, ticked)


class Base(DeclarativeBase): ...


class TickRow(Base):
    """What the database fills in is part of the state's row."""

    __tablename__ = "ticks"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    times: Mapped[int]
    born: Mapped[str] = mapped_column(server_default="here")


async def test_what_the_database_fills_in_is_waited_for(file: str, program: Program) -> None:
    born: list[str | None] = []

    def to_state(row: TickRow) -> int:
        born.append(row.born)
        return row.times

    rows = Rows(TickRow, to_state=to_state, to_row=lambda key, n: TickRow(id=key, times=n))
    for owned in (False, True):
        model = StateStored("tick", ticks, key="id", rows=rows, owned=owned)
        async with App("ticking", store=file, write=[model]) as app:
            id = UUID(int=int(owned))
            receipts = await asyncio.gather(*[app.execute(Tick(id)) for _ in range(20)])
            assert [receipt.version for receipt in receipts] == list(range(1, 21))
            assert program("SELECT times, born FROM ticks WHERE id = ?", (id.hex,)) == [
                (20, "here")
            ]
    assert set(born) == {"here"}


class TestOwned:
    async def test_another_app_on_the_same_table_is_noticed_by_its_events(self, file: str) -> None:
        async with table_bank(file, owned=True) as one, table_bank(file, owned=True) as two:
            for number in range(1, 10):
                await one.execute(Put("a", 1))
                receipt = await two.execute(Put("a", 1))
                assert receipt.version == 2 * number
            assert await refuse_old_states(one) == 18

    async def test_a_warm_row_is_not_looked_at_under_the_lock(
        self, file: str, program: Program
    ) -> None:
        """What owned means, and why it must be true: another program's write is not noticed."""
        async with table_bank(file, owned=True) as app:
            await app.execute(Put("a", 5))
            program("UPDATE pots SET amount = 50")
            await app.execute(Put("a", 1))
            assert program("SELECT amount FROM pots") == [(6,)]


def model_of(row: type[Any], **more: Any) -> StateStored[Any]:
    rows: Rows[Any, Any] = Rows(row, to_state=to_pot, to_row=to_row)
    return StateStored("pot", pot_decider, key="pot", rows=rows, **more)


class Numbered(Base):
    __tablename__ = "numbered"
    id: Mapped[int] = mapped_column(primary_key=True)


class Floating(Base):
    __tablename__ = "floating"
    id: Mapped[float] = mapped_column(primary_key=True)


class Worded(Base):
    __tablename__ = "worded"
    id: Mapped[str] = mapped_column(String, primary_key=True)


class TestWiring:
    def test_a_store_without_a_database_is_refused_with_the_remedy(self) -> None:
        with pytest.raises(WiringError, match=r"StateStored\('pot'\).*sqlite:///file\.db"):
            table_bank("memory://")

    def test_a_key_of_another_type_than_the_primary_key_is_refused(self, file: str) -> None:
        with pytest.raises(
            WiringError, match=r"key of Put is str, but numbered\.id keeps int.*keys=\{Put: "
        ):
            App("bank", store=file, write=[model_of(Numbered)])

    def test_a_key_that_is_a_function_is_looked_at_when_it_runs(self, file: str) -> None:
        App("bank", store=file, write=[model_of(Numbered, keys=dict.fromkeys(LENGTHS, length))])

    async def test_and_then_a_wrong_one_is_bad_input(self, file: str) -> None:
        model = model_of(Worded, keys=dict.fromkeys(LENGTHS, length))
        async with App("bank", store=file, write=[model]) as app:
            with pytest.raises(InvalidMessage, match=r"its key 1 is int, but worded\.id keeps str"):
                await app.execute(Put("a", 1))

    def test_a_primary_key_that_no_command_can_have_is_refused(self, file: str) -> None:
        with pytest.raises(WiringError, match=r"floating\.id keeps float.*str, int or UUID"):
            App("bank", store=file, write=[model_of(Floating)])

    def test_a_class_that_is_not_mapped_is_refused(self, file: str) -> None:
        with pytest.raises(WiringError, match=r"Rows\(Pot\): no class that SQLAlchemy maps"):
            App("bank", store=file, write=[model_of(Pot)])

    def test_an_evolve_that_asks_for_recorded_is_refused(self) -> None:
        def added(pot: Pot, event: Added, recorded: Recorded[Added]) -> Pot:
            return pot

        def put(command: Put, pot: Pot) -> list[Added]:
            return []

        with pytest.raises(WiringError, match=r"pot: .*added asks for Recorded.*from the event"):
            StateStored("pot", Decider(Pot(), put, added), key="pot", rows=pot_rows)

    async def test_a_stored_model_of_another_kind_is_refused(self, file: str) -> None:
        async with bank(file) as app:
            await app.execute(Put("a", 1))
        with pytest.raises(SchemaChanged, match=r"'pot' was event-sourced and is now state-stored"):
            await table_bank(file).__aenter__()


LENGTHS = tuple(pot_decider.decides)


def length(command: Any) -> int:
    return len(command.pot)


async def test_in_memory_it_is_the_same() -> None:
    async with table_bank("sqlite://") as app:
        await asyncio.gather(*[app.execute(Put("a", 1)) for _ in range(30)])
        await app.execute(Take("a", 30))
        assert await refuse_old_states(app) == 31


async def test_an_inline_view_is_in_the_same_commit(file: str, program: Program) -> None:
    def picky(row: Total | None, event: Added | Removed, recorded: Recorded[Any]) -> Total | None:
        if event.amount == 13:
            raise LookupError("thirteen")
        return total(row, event, recorded)

    async with table_bank(file, read=[View(Total, picky, key="pot", inline=True)]) as app:
        calls = [app.execute(Put("a", amount)) for amount in range(1, 21)]
        found = await asyncio.gather(*calls, return_exceptions=True)
        failed = [type(one) for one in found if isinstance(one, BaseException)]
        assert failed == [ProjectionFailed]
        (row,) = await app.ask(AllTotals(), timeout=0)
        assert program.pots() == {"a": (row.amount, row.events)} == {"a": (210 - 13, 19)}


@dataclass(frozen=True)
class Double:
    pot: str


@dataclass(frozen=True)
class Doubled:
    pot: str


async def double(command: Double, session: AsyncSession) -> list[Doubled]:
    row = await session.get_one(PotRow, command.pot, with_for_update=True)
    row.amount *= 2
    return [Doubled(command.pot)]


async def test_handlers_may_write_the_same_rows(file: str, program: Program) -> None:
    doubles = Handlers("double", [double], key="pot")
    async with bank(file, write=[table_pots, doubles, nights]) as app:
        await app.execute(Put("a", 1))
        for _ in range(3):
            calls = [app.execute(Put("a", 1)) for _ in range(5)]
            await asyncio.gather(*calls, app.execute(Double("a")), app.execute(Take("a", 1)))
        amounts = 1
        async for recorded in app.log.read(after=1):
            match recorded.event:
                case Doubled():
                    amounts *= 2
                case Added(amount=amount):
                    amounts += amount
                case _:
                    amounts -= 1
        assert program("SELECT amount, events FROM pots") == [(amounts, 19)]


async def test_two_models_may_keep_different_tables_in_one_app(file: str, program: Program) -> None:
    tick_rows = Rows(
        TickRow, to_state=lambda row: row.times, to_row=lambda key, n: TickRow(id=key, times=n)
    )
    ticking = StateStored("tick", ticks, key="id", rows=tick_rows)
    async with bank(file, write=[table_pots, ticking, nights]) as app:
        ids = [UUID(int=n) for n in range(20)]
        calls = [app.execute(Tick(id)) for id in ids] + [app.execute(Put("a", 1)) for _ in ids]
        await asyncio.gather(*calls)
        assert program.pots() == {"a": (20, 20)}
        assert program("SELECT count(*) FROM ticks") == [(20,)]


async def test_two_models_on_one_table_see_what_the_other_wrote(
    file: str, program: Program
) -> None:
    """Two deciders over the same rows: what one leaves, the other decides upon."""
    tips = StateStored("tip", Decider(Pot(), tip, tipped), key="pot", rows=pot_rows)
    async with bank(file, write=[table_pots, tips, nights]) as app:
        calls = [app.execute(Put("a", 1)) for _ in range(30)]
        calls += [app.execute(Tip("a")) for _ in range(30)]
        await asyncio.gather(*calls)
        assert program("SELECT amount FROM pots") == [(60,)]


@dataclass(frozen=True)
class Tip:
    pot: str


@dataclass(frozen=True)
class Tipped:
    pot: str


def tip(command: Tip, pot: Pot) -> list[Tipped]:
    return [Tipped(command.pot)]


def tipped(pot: Pot, event: Tipped) -> Pot:
    return replace(pot, amount=pot.amount + 1)
