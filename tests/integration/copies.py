"""A model whose events do not name their stream, of which only the log knows, and its replica.

The fold depends on the order of the events, on what the log knows of each, and on the state itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any

from sqlalchemy import select

from diptych import App, Boundary, Decider, EventSourced, Query, Recorded, Refused, Views


@dataclass(frozen=True)
class Write:
    page: int
    text: str


@dataclass(frozen=True)
class Price:
    page: int
    price: Decimal


@dataclass(frozen=True)
class Wipe:
    page: int


@dataclass(frozen=True)
class Written:
    text: str


@dataclass(frozen=True)
class Priced:
    price: Decimal


@dataclass(frozen=True)
class Wiped: ...


@dataclass(frozen=True)
class Page:
    text: str = ""
    words: tuple[str, ...] = ()
    price: Decimal | None = None
    wiped: int = 0
    version: int = 0
    at: datetime | None = None


def write(command: Write, page: Page) -> list[Written]:
    if page.words and page.words[-1] == command.text:
        raise Refused("said_already", "that was the last word")
    return [Written(command.text)]


def set_price(command: Price, page: Page) -> list[Priced | Written]:
    return [Priced(command.price), Written(f"costs {command.price}")]


def wipe(command: Wipe, page: Page) -> list[Wiped]:
    return [Wiped()]


def written(page: Page, event: Written, recorded: Recorded[Any]) -> Page:
    return replace(
        page,
        text=page.text + event.text,
        words=(*page.words[-4:], event.text),
        version=recorded.version,
        at=recorded.time,
    )


def priced(page: Page, event: Priced) -> Page:
    return replace(page, price=event.price)


def wiped(page: Page, event: Wiped) -> Page:
    return Page(wiped=page.wiped + 1)


decider = Decider(Page(), [write, set_price, wipe], [written, priced, wiped])
pages = EventSourced("page", decider, key="page")


@dataclass(frozen=True)
class Shout:
    text: str


def shout(command: Shout, page: Page) -> list[Written]:
    return [Written(command.text.upper())]


def everywhere(message: Any) -> list[str]:
    return ["everywhere"]


walls = Boundary("wall", Decider(Page(), shout, written), reads=everywhere, tags=everywhere)
"""Writes events of the same class, to a stream of its own."""


@dataclass(frozen=True)
class PageOf(Query[Page | None]):
    page: int


@dataclass(frozen=True)
class AllPages(Query[list[Page]]): ...


@dataclass(frozen=True)
class Numbers(Query[list[int]]):
    """Of the pages that have been wiped so often at least."""

    wiped: int


async def page_of(query: PageOf, views: Views) -> Page | None:
    return await views.get(Page, query.page)


async def all_pages(query: AllPages, views: Views) -> list[Page]:
    return await views.all(Page)


async def numbers(query: Numbers, views: Views) -> list[int]:
    table = views.table(Page)
    return await views.all(
        int, select(table.c.page).where(table.c.wiped >= query.wiped).order_by(table.c.page)
    )


def book(url: str, **more: Any) -> App:
    """An app of this domain."""
    parts: dict[str, Any] = {"write": [pages, walls], "answer": [page_of, all_pages, numbers]}
    return App("book", store=url, **parts | more)


async def states(app: App) -> dict[int, Page]:
    """What the model itself makes of its streams."""
    found: dict[int, Page] = {}
    async for recorded in app.log.read():
        model, _, key = recorded.stream.partition(":")
        if model == "page":
            before = found.get(int(key), decider.initial)
            fact = partial(_itself, recorded)
            found[int(key)] = decider.evolve(before, recorded.event, fact)
    return found


def _itself(recorded: Recorded[Any]) -> Recorded[Any]:
    return recorded


async def refuse_other_pages(app: App) -> int:
    """Fails where the replica is not what the model says; returns how many pages there are."""
    await app.settled()
    expected = await states(app)
    for number in {*expected, 1, 2, 3}:
        assert await app.ask(PageOf(number)) == expected.get(number)
    rows = await app.ask(AllPages())
    assert sorted(rows, key=repr) == sorted(expected.values(), key=repr)
    return len(expected)
