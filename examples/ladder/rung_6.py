"""A library's loans: the rules are pure functions, and the table keeps their state."""

import asyncio
from dataclasses import dataclass, replace

from sqlalchemy import select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from diptych import App, Decider, Query, Refused, Rows, StateStored, View, Views

FILE = "library.db"


class Base(DeclarativeBase): ...


class Copy(Base):
    """One copy of a book, and who has it."""

    __tablename__ = "copies"
    copy_id: Mapped[str] = mapped_column(primary_key=True)
    title: Mapped[str]
    reader: Mapped[str | None]


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


@dataclass(frozen=True)
class Lending:
    """What a decision about a copy stands on."""

    title: str | None = None
    reader: str | None = None


def add(command: AddCopy, lending: Lending) -> list[CopyAdded]:
    if lending.title is not None:
        raise Refused("added_already", f"copy {command.copy_id} is here")
    return [CopyAdded(command.copy_id, command.title)]


def lend(command: LendCopy, lending: Lending) -> list[CopyLent]:
    title = known(lending, command.copy_id)
    if lending.reader is not None:
        raise Refused("lent_already", f"{lending.reader} has copy {command.copy_id}")
    return [CopyLent(command.copy_id, title, command.reader)]


def take_back(command: ReturnCopy, lending: Lending) -> list[CopyReturned]:
    title = known(lending, command.copy_id)
    if lending.reader is None:
        raise Refused("not_lent", f"copy {command.copy_id} is on its shelf")
    return [CopyReturned(command.copy_id, title)]


def known(lending: Lending, copy_id: str) -> str:
    if lending.title is None:
        raise Refused("unknown_copy", f"there is no copy {copy_id}")
    return lending.title


def added(lending: Lending, event: CopyAdded) -> Lending:
    return replace(lending, title=event.title)


def lent(lending: Lending, event: CopyLent) -> Lending:
    return replace(lending, reader=event.reader)


def taken_back(lending: Lending, event: CopyReturned) -> Lending:
    return replace(lending, reader=None)


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


lendings = StateStored(
    "lending",
    Decider(Lending(), [add, lend, take_back], [added, lent, taken_back]),
    key="copy_id",
    rows=Rows(
        Copy,
        to_state=lambda copy: Lending(copy.title, copy.reader),
        to_row=lambda key, it: Copy(copy_id=key, title=it.title, reader=it.reader),
    ),
)

app = App(
    "library",
    store=f"sqlite:///{FILE}",
    write=[lendings],
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
