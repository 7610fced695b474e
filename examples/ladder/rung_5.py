"""A library's loans: the view rests in a file of its own."""

import asyncio
from dataclasses import dataclass, replace

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from diptych import App, Handlers, Query, Refused, View, Views

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


def one_more(row: Title | None, event: CopyAdded) -> Title:
    row = row or Title(event.title, 0, 0)
    return replace(row, copies=row.copies + 1, free=row.free + 1)


def one_lent(row: Title | None, event: CopyLent) -> Title | None:
    return row and replace(row, free=row.free - 1)


def one_back(row: Title | None, event: CopyReturned) -> Title | None:
    return row and replace(row, free=row.free + 1)


by_title = View(Title, [one_more, one_lent, one_back], key="title", store="sqlite:///titles.db")


@dataclass(frozen=True)
class Titles(Query[list[Title]]): ...


async def titles(query: Titles, views: Views) -> list[Title]:
    title = views.table(Title)
    return await views.all(Title, select(title).order_by(title.c.title))


copies = Handlers("copy", [add, lend, take_back], key="copy_id", tables=Base.metadata)

app = App(
    "library",
    store=f"sqlite:///{FILE}",
    write=[copies],
    read=[by_title],
    answer=[titles],
)


async def main() -> None:
    async with app:
        await app.execute(AddCopy("c1", "Emma"), id="add-c1")
        lent = await app.execute(LendCopy("c1", "ann"), id="lend-c1")
        print(await app.ask(Titles(), after=lent))


if __name__ == "__main__":
    asyncio.run(main())
