"""What the fault tests of the ladder write: stock in the user's own tables, and all of its events.

Every change has a note of its own (the id of its command), which stands in the row that the user's
code writes, in the event, and so in the views: whatever one of them lacks, shows.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from diptych import (
    App,
    Decider,
    EventSourced,
    Handlers,
    Query,
    Receipt,
    Refused,
    View,
    Views,
)

T = TypeVar("T")

SKUS = ("tea", "rice")
STOCK = 10_000

Told = Callable[[str], None]
"""Told of a note under the write lock, whenever the engine gets there."""


def _nobody(note: str) -> None: ...


class Base(DeclarativeBase): ...


class Shelf(Base):
    __tablename__ = "shelves"
    sku: Mapped[str] = mapped_column(primary_key=True)
    stock: Mapped[int]


class Taking(Base):
    __tablename__ = "takings"
    note: Mapped[str] = mapped_column(primary_key=True)
    sku: Mapped[str]
    left: Mapped[int]


@dataclass(frozen=True)
class Fill:
    """Makes the shelf, or puts that much on it."""

    sku: str
    quantity: int
    note: str


@dataclass(frozen=True)
class Filled:
    sku: str
    quantity: int
    note: str


@dataclass(frozen=True)
class TakeOne:
    """Reads, then writes: the classic lost update. With `none` it is refused after all."""

    sku: str
    note: str
    none: bool = False


@dataclass(frozen=True)
class Taken:
    sku: str
    left: int
    note: str


@dataclass(frozen=True)
class Remark:
    """A plain command, of no table; each process remarks in a stream of its own."""

    by: str
    sku: str
    note: str
    lines: int = 1


@dataclass(frozen=True)
class Remarked:
    """`number` is one more than the state knew."""

    by: str
    sku: str
    number: int
    note: str


async def fill(command: Fill, session: AsyncSession) -> list[Filled]:
    shelf = await session.get(Shelf, command.sku)
    if shelf is None:
        session.add(Shelf(sku=command.sku, stock=command.quantity))
    else:
        shelf.stock += command.quantity
    return [Filled(command.sku, command.quantity, command.note)]


async def take_from(session: AsyncSession, sku: str, note: str) -> Taken:
    """The work of a handler, and of those who have a session of their own."""
    shelf = await session.get_one(Shelf, sku)
    left = shelf.stock - 1
    if left < 0:
        raise Refused("none_left", sku)
    session.add(Taking(note=note, sku=sku, left=left))
    await session.flush()
    shelf.stock = left
    return Taken(sku, left, note)


def decide(command: Remark, remarks: int) -> list[Remarked]:
    return [
        Remarked(command.by, command.sku, remarks + 1 + line, command.note)
        for line in range(command.lines)
    ]


def evolve(remarks: int, event: Remarked) -> int:
    return event.number


remarks = EventSourced("remark", Decider(0, decide, evolve), key="by")


@dataclass(frozen=True)
class Tally:
    """Kept in the commit of the events themselves."""

    sku: str
    taken: int = 0
    left: int = 0
    remarks: int = 0


@dataclass(frozen=True)
class Diary:
    """The same, by an asynchronous view."""

    sku: str
    taken: int = 0
    left: int = 0
    remarks: int = 0


def tally(told: Told = _nobody, *, inline: bool = True) -> View[Tally]:
    def project(row: Tally | None, event: Filled | Taken | Remarked) -> Tally:
        told(event.note)
        row = row or Tally(event.sku)
        match event:
            case Filled(quantity=quantity):
                return replace(row, left=row.left + quantity)
            case Taken(left=left):
                return replace(row, taken=row.taken + 1, left=left)
            case Remarked():
                return replace(row, remarks=row.remarks + 1)

    return View(Tally, project, key="sku", inline=inline)


def note_down(row: Diary | None, event: Filled | Taken | Remarked) -> Diary:
    row = row or Diary(event.sku)
    match event:
        case Filled(quantity=quantity):
            return replace(row, left=row.left + quantity)
        case Taken(left=left):
            return replace(row, taken=row.taken + 1, left=left)
        case Remarked():
            return replace(row, remarks=row.remarks + 1)


diary = View(Diary, note_down, key="sku")


@dataclass(frozen=True)
class DiaryOf(Query[Diary | None]):
    sku: str


@dataclass(frozen=True)
class TallyOf(Query[Tally | None]):
    sku: str


async def diary_of(query: DiaryOf, views: Views) -> Diary | None:
    return await views.get(Diary, query.sku)


async def tally_of(query: TallyOf, views: Views) -> Tally | None:
    return await views.get(Tally, query.sku)


def _as_it_is(work: Coroutine[Any, Any, T]) -> Awaitable[T]:
    return work


def shelves(
    told: Told = _nobody, *, seconds: float = 5.0, run: Callable[..., Awaitable[Any]] = _as_it_is
) -> Handlers:
    """The handlers.

    Args:
        run: Runs the awaits of one that takes.
    """

    async def take_one(command: TakeOne, session: AsyncSession) -> list[Taken]:
        told(command.note)
        taken: Taken = await run(take_from(session, command.sku, command.note))
        if command.none:
            raise Refused("not_wanted", command.sku)
        return [taken]

    return Handlers("shelf", [fill, take_one], key="sku", tables=Base.metadata, seconds=seconds)


def depot(file: Path, told: Told = _nobody, **more: Any) -> App:
    """An app of all kinds: handlers, a plain model, an inline view and an asynchronous one."""
    parts: dict[str, Any] = {
        "write": [shelves(told), remarks],
        "read": [tally(told), diary],
        "answer": [diary_of, tally_of],
    }
    return App("depot", store=f"sqlite:///{file}", **parts | more)


Sessions = async_sessionmaker[AsyncSession]


@asynccontextmanager
async def own_sessions(file: Path) -> AsyncIterator[Sessions]:
    """As an application has them already: SQLAlchemy's defaults on aiosqlite."""
    engine = create_async_engine(f"sqlite+aiosqlite:///{file}")
    try:
        yield async_sessionmaker(engine, expire_on_commit=False)
    finally:
        await engine.dispose()


async def take_in_own_session(
    app: App, sessions: Sessions, sku: str, note: str, told: Told = _nobody
) -> Receipt:
    """The same as `TakeOne`, in a transaction that the user owns."""
    async with sessions.begin() as session, app.join(session) as unit:
        told(note)
        unit.record(await take_from(session, sku, note), stream=f"shelf:{sku}")
    return unit.receipt


async def prepare(file: Path) -> None:
    """The file, and the shelves filled."""
    async with depot(file) as app:
        await fill_shelves(app)
        await app.settled()


async def fill_shelves(app: App) -> None:
    """One of each SKU."""
    for sku in SKUS:
        await app.execute(Fill(sku, STOCK, f"fill-{sku}"), id=f"fill-{sku}")
