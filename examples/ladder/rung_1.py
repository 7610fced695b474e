"""A library's loans: SQLAlchemy code with sessions of its own, and the events recorded beside it."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from diptych import App, Refused, Tables

FILE = "library.db"


class Base(DeclarativeBase): ...


class Copy(Base):
    """One copy of a book, and who has it."""

    __tablename__ = "copies"
    copy_id: Mapped[str] = mapped_column(primary_key=True)
    title: Mapped[str]
    reader: Mapped[str | None]

    def lend(self, reader: str) -> None:
        if self.reader is not None:
            raise Refused("lent_already", f"{self.reader} has copy {self.copy_id}")
        self.reader = reader

    def take_back(self) -> None:
        if self.reader is None:
            raise Refused("not_lent", f"copy {self.copy_id} is on its shelf")
        self.reader = None


@dataclass(frozen=True)
class AddCopy:
    copy_id: str
    title: str


@dataclass(frozen=True)
class LendCopy:
    copy_id: str
    reader: str


@dataclass(frozen=True)
class ReturnCopy:
    copy_id: str


@dataclass(frozen=True)
class CopyAdded:
    copy_id: str
    title: str


@dataclass(frozen=True)
class CopyLent:
    copy_id: str
    title: str
    reader: str


@dataclass(frozen=True)
class CopyReturned:
    copy_id: str
    title: str


async def add(command: AddCopy, session: AsyncSession) -> list[CopyAdded]:
    if await session.get(Copy, command.copy_id):
        raise Refused("added_already", f"copy {command.copy_id} is here")
    session.add(Copy(copy_id=command.copy_id, title=command.title))
    return [CopyAdded(command.copy_id, command.title)]


async def lend(command: LendCopy, session: AsyncSession) -> list[CopyLent]:
    copy = await found(session, command.copy_id)
    copy.lend(command.reader)
    return [CopyLent(command.copy_id, copy.title, command.reader)]


async def take_back(command: ReturnCopy, session: AsyncSession) -> list[CopyReturned]:
    copy = await found(session, command.copy_id)
    copy.take_back()
    return [CopyReturned(command.copy_id, copy.title)]


async def found(session: AsyncSession, copy_id: str) -> Copy:
    copy = await session.get(Copy, copy_id)
    if copy is None:
        raise Refused("unknown_copy", f"there is no copy {copy_id}")
    return copy


@dataclass(frozen=True)
class Title:
    title: str
    copies: int
    free: int


by_title = (
    select(
        Copy.title,
        func.count().label("copies"),
        func.count().filter(Copy.reader.is_(None)).label("free"),
    )
    .group_by(Copy.title)
    .order_by(Copy.title)
)


async def titles(session: AsyncSession) -> list[Title]:
    rows = await session.execute(by_title)
    return [Title(*row) for row in rows]


class Answered(Base):
    """What became of a request, for whoever sends it again."""

    __tablename__ = "answered"
    request_id: Mapped[str] = mapped_column(primary_key=True)
    code: Mapped[str | None]
    message: Mapped[str | None]


FUNCTIONS: dict[type, Callable[[Any, AsyncSession], Awaitable[list[Any]]]] = {
    AddCopy: add,
    LendCopy: lend,
    ReturnCopy: take_back,
}


class Library:
    """One transaction for each request; a request that is sent again gets its first answer."""

    def __init__(self, app: App, sessions: async_sessionmaker[AsyncSession]) -> None:
        self._app = app
        self._sessions = sessions

    async def execute(self, request: AddCopy | LendCopy | ReturnCopy, *, id: str = "") -> None:
        id = id or uuid4().hex
        async with self._sessions.begin() as session, self._app.join(session) as unit:
            answered = await session.get(Answered, id)
            if answered is None:
                answered = Answered(request_id=id)
                session.add(answered)
                try:
                    async with session.begin_nested():
                        events = await FUNCTIONS[type(request)](request, session)
                    unit.record(*events, stream=f"copy:{request.copy_id}")
                except Refused as no:
                    answered.code, answered.message = no.code, no.message
        if answered.code is not None:
            raise Refused(answered.code, answered.message or "")

    async def titles(self) -> list[Title]:
        async with self._sessions() as session:
            return await titles(session)


app = App(
    "library",
    store=f"sqlite:///{FILE}",
    read=[Tables(Base.metadata)],
    events=[CopyAdded, CopyLent, CopyReturned],
)


@asynccontextmanager
async def library() -> AsyncGenerator[Library]:
    engine = create_async_engine(f"sqlite+aiosqlite:///{FILE}")
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with app:
        yield Library(app, async_sessionmaker(engine, expire_on_commit=False))
    await engine.dispose()


async def main() -> None:
    async with library() as desk:
        await desk.execute(AddCopy("c1", "Emma"), id="add-c1")
        await desk.execute(LendCopy("c1", "ann"), id="lend-c1")
        print(await desk.titles())


if __name__ == "__main__":
    asyncio.run(main())
