"""`python -m tests.faults.shelf_work URL NAME KIND COUNT`: a process that takes from one shelf.

Each taking reads the stock, then writes it: the classic lost update. KIND says what keeps it safe:
`turns` (one stream, no lock), `rows` (a stream for each, with_for_update), `join` (the same in a
session of its own), or `nothing`, the bug that the check must notice.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from diptych import App, Handlers

CALLERS = 8


class Base(DeclarativeBase): ...


class Shelf(Base):
    __tablename__ = "shelves"
    sku: Mapped[str] = mapped_column(primary_key=True)
    stock: Mapped[int]


@dataclass(frozen=True)
class Take:
    by: str
    lock: bool


@dataclass(frozen=True)
class Taken:
    left: int


async def take_from(session: AsyncSession, lock: bool) -> Taken:
    shelf = await session.get_one(Shelf, "tea", with_for_update=lock)
    shelf.stock -= 1
    await session.flush()
    return Taken(shelf.stock)


async def take(command: Take, session: AsyncSession) -> list[Taken]:
    return [await take_from(session, command.lock)]


def shelf(url: str) -> App:
    handlers = Handlers("shelf", [take], key="by", tables=Base.metadata, seconds=60)
    return App("shelf", store=url, write=[handlers])


async def work(url: str, name: str, kind: str, count: int) -> None:
    numbers = iter(range(count))
    serial = itertools.count()
    engine = create_async_engine(url.replace("postgresql:", "postgresql+asyncpg:"))
    sessions = async_sessionmaker(engine)

    async def one() -> None:
        by = "all" if kind == "turns" else f"{name}-{next(serial)}"
        if kind == "join":
            async with sessions.begin() as session, app.join(session) as unit:
                unit.record(await take_from(session, lock=True), stream=f"shelf:{by}")
        else:
            await app.execute(Take(by, lock=kind == "rows"))

    async def caller() -> None:
        for _ in numbers:
            await one()

    async with shelf(url) as app:
        await asyncio.gather(*[caller() for _ in range(CALLERS)])
    await engine.dispose()


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
