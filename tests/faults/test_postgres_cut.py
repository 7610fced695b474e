"""The writer's connection ends before or after any of its statements, once, twice, or for good.

Whoever is told that it happened finds it whole; whoever is told that it did not, finds nothing; and
an answer that never came is looked up. Judged by a session that knows nothing of diptych, and by
sending each command again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from diptych import App, Handlers, Refused, View
from diptych.adapters.postgres import finding_out, unit
from diptych.adapters.postgres.writer import Writer
from diptych.log.commit import Commit
from tests.faults.cutting import Cuts, cutting
from tests.faults.evidence import LONG, keep
from tests.faults.history import HistoryBroken
from tests.faults.judging import demand
from tests.faults.ledger import Book, Booked, Length, app, ledgers, length_of, project
from tests.faults.processes import replay_line

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]


NOTHING = "nothing_to_book"
"""How a refusal is told."""

PATHS = ["at once", "under the lock", "inline view", "handler"]
EACH = pytest.mark.parametrize("cutter", PATHS, indirect=True)
SOME = pytest.mark.parametrize("cutter", PATHS if LONG else PATHS[:2], indirect=True)

APART = 100 if LONG else 2
"""Statements between two cuts at most."""


@pytest.fixture
async def session(postgres: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    """That of the judge."""
    session = await asyncpg.connect(postgres)
    yield session
    await session.close()


@pytest.fixture
def cuts(session: asyncpg.Connection[Any]) -> Iterator[Cuts]:
    with cutting(session) as cuts:
        yield cuts


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding_out, "PATIENCE", 0.2)


class Base(DeclarativeBase): ...


class Note(Base):
    __tablename__ = "notes"
    entry: Mapped[str] = mapped_column(primary_key=True)


async def write_note(command: Book, session: AsyncSession) -> list[Booked]:
    """A row beside the events."""
    if not command.lines:
        raise Refused(NOTHING)
    session.add(Note(entry=command.entry))
    return [Booked(command.ledger, command.entry, line, 0) for line in range(command.lines)]


def app_on(path: str, dsn: str) -> App:
    """Whose commands go that way."""
    if path == "handler":
        notes = Handlers("ledger", [write_note], key="ledger", tables=Base.metadata)
        return App("ledger", store=dsn, write=[notes])
    if path == "inline view":
        view = View(Length, project, key="ledger", version=1, inline=True)
        return App("ledger", store=dsn, write=[ledgers], read=[view], answer=[length_of])
    return app(dsn)


class Cutter:
    """Makes calls that are cut, and judges each.

    Attributes:
        told: How often which answer was given.
    """

    def __init__(self, opened: App, session: Any, cuts: Cuts, *, path: str) -> None:
        self._app = opened
        self._session = session
        self._cuts = cuts
        self._calls = 0
        self.path = path
        self.told: dict[str, int] = {}

    async def events_of(self, entry: str) -> int:
        """How many there are; what is kept beside them must tell the same."""
        sql = "SELECT count(*) FROM diptych_events WHERE data LIKE $1"
        count = int(await self._session.fetchval(sql, f'%"{entry}"%'))
        if self.path == "handler":
            rows = await self._session.fetchval(
                "SELECT count(*) FROM notes WHERE entry = $1", entry
            )
            demand(rows == bool(count), f"{entry}: {rows} rows, {count} events", "")
        if self.path == "inline view":
            find = "SELECT tablename FROM pg_tables WHERE tablename LIKE '%length%'"
            view = await self._session.fetchval(find)
            shown = await self._session.fetchval(f"SELECT booked FROM {view} WHERE ledger = 'l'")
            whole = await self._session.fetchval("SELECT count(*) FROM diptych_events")
            demand(shown == whole, f"{entry}: {shown} in the view, {whole} events", "")
        return count

    async def call(
        self, meets: Callable[[int], bool], *, after: bool, drawn: bool, lines: int
    ) -> int:
        """One call; how many cuts it met."""
        self._calls += 1
        entry = f"entry-{self._calls}."
        message, id = Book("l", entry, lines), None if drawn else entry
        if self.path == "under the lock":
            self._app._opened.store._opened.writer.remembered = None
        self._cuts.arm(meets, after=after)
        try:
            told = str((await self._app.execute(message, id=id)).position)
        except Refused as refused:
            told = refused.code
        except Exception as error:  # what it says is for the judge
            told = type(error).__name__
        self._cuts.disarm()
        made, replay = self._cuts.made, replay_line("test_postgres_cut", "none")
        there, about = await self.events_of(entry), f"{entry} ({lines} lines, {after=}, {drawn=})"
        if told == "CommitUnknown":
            demand(there in (0, lines), f"{about} left {there} events", replay)
        elif told.isdigit() or told == NOTHING:
            demand(there == lines, f"{about} was told {told}, and left {there} events", replay)
        else:  # all other errors say that nothing happened
            demand(there == 0, f"{about} was told {told}, and left {there} events", replay)
        if not drawn:
            again = await self.again(message, entry)
            demand(again == await self.again(message, entry), f"{about}: two outcomes", replay)
            if told.isdigit() or told == NOTHING:
                demand(told == again, f"{about} was told {told}, then {again}", replay)
            demand(await self.events_of(entry) == lines, f"{about} is not there once", replay)
        kind = "receipt" if told.isdigit() else told
        self.told[kind] = self.told.get(kind, 0) + 1
        return made

    async def again(self, message: Book, id: str) -> str:
        try:
            return str((await self._app.execute(message, id=id)).position)
        except Refused as refused:
            return refused.code


@pytest.fixture
async def cutter(
    request: pytest.FixtureRequest, postgres: str, session: asyncpg.Connection[Any], cuts: Cuts
) -> AsyncIterator[Cutter]:
    async with app_on(request.param, postgres) as opened:
        await opened.execute(Book("l", "first", 1))
        yield Cutter(opened, session, cuts, path=request.param)


@EACH
@pytest.mark.parametrize("lines", [2, 0], ids=["accepted", "refused"])
async def test_cut_at_any_statement_it_is_whole_or_nothing_and_never_told_wrongly(
    cutter: Cutter, lines: int
) -> None:
    calls = 0
    for after in (False, True):
        for drawn in (False, True):
            at = 1
            while await cutter.call(
                lambda n, at=at: n == at, after=after, drawn=drawn, lines=lines
            ):
                at += 1
            calls += at - 1
    told = cutter.told
    # One cut is got over: it is looked up, and done again if it has not happened. What a handler
    # did besides is not done again without being asked for.
    may = {"receipt", NOTHING} | ({"StoreUnavailable"} if cutter.path == "handler" else set())
    demand(told.keys() <= may, f"one cut is told as {told}", "")
    if lines:
        keep(f"postgres-cut-{cutter.path.replace(' ', '-')}", cuts=calls, told=told)


@SOME
async def test_cut_twice_it_is_whole_or_nothing_and_never_told_wrongly(cutter: Cutter) -> None:
    calls = 0
    for after in (False, True):
        first = 1
        while True:
            second = first + 1
            while second <= first + APART and (
                await cutter.call(
                    lambda n, at=(first, second): n in at,
                    after=after,
                    drawn=bool(second % 2),
                    lines=2,
                )
                == 2
            ):
                second += 1
            calls += second - first - 1
            if second == first + 1:
                break
            first += 1
    told = cutter.told
    demand(told.keys() <= {"receipt", "StoreUnavailable"}, f"two cuts are told as {told}", "")
    keep(f"postgres-cut-twice-{cutter.path.replace(' ', '-')}", cuts=calls, told=told)


@EACH
@pytest.mark.usefixtures("impatient")
async def test_cut_for_good_it_is_unknown_or_did_not_happen(cutter: Cutter) -> None:
    for after in (False, True):
        at = 1
        while await cutter.call(lambda n, at=at: n >= at, after=after, drawn=False, lines=2):
            at += 1
    told = cutter.told
    assert told.keys() <= {"receipt", "StoreUnavailable", "CommitUnknown"}
    assert told["CommitUnknown"]


async def lost_means_failed(self: Writer, group: str, cause: BaseException) -> bool:
    return False


async def lost_means_done(self: Writer, group: str, cause: BaseException) -> bool:
    return True


async def look_in_vain(self: unit.Lender, commit: Commit, cause: BaseException) -> None:
    return None


@SOME
@pytest.mark.parametrize("bug", [lost_means_failed, lost_means_done])
async def test_an_engine_that_guesses_what_happened_is_caught(
    cutter: Cutter, bug: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control."""
    monkeypatch.setattr(Writer, "_happened", bug)
    monkeypatch.setattr(unit.Lender, "_look_up", look_in_vain)
    with pytest.raises(HistoryBroken, match="and left"):
        for after in (False, True):
            at = 1
            while await cutter.call(lambda n, at=at: n == at, after=after, drawn=True, lines=2):
                at += 1
