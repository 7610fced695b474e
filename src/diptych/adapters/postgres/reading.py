"""Reading events: pages of the log, of streams, and under tags."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

from msgspec import Raw

from diptych.adapters.postgres.connection import Executes
from diptych.adapters.postgres.schema import Statements
from diptych.log.commit import Tagged
from diptych.log.port import Batch, Page, StoredEvent
from diptych.message import Position

PageRequest: TypeAlias = tuple[str, str, int, int]
"""Tenant, stream, after which version, how many at most."""

TaggedRequest: TypeAlias = tuple[str, Tagged, Position]
"""Tenant, query, after which position."""

WINDOW = 50_000
"""Positions that one read looks through at most when it wants some names only."""

SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"

_EMPTY = Page(1, [], Raw(b"[]"))


def events_of(rows: Sequence[Sequence[Any]]) -> list[StoredEvent]:
    """Events from their rows."""
    return [StoredEvent(*row) for row in rows]


async def read_all(
    connection: Executes,
    sql: Statements,
    after: Position,
    limit: int,
    names: Sequence[str] | None,
) -> Batch:
    """The next events, of one snapshot: what it shows is complete, since positions are given under
    the store's lock, which is held until they are visible."""
    if names is None:
        events = events_of(await connection.fetch(sql.select_all, after, limit))
        return Batch(events, events[-1].position if events else after)
    furthest = after + WINDOW
    rows = await connection.fetch(sql.select_named_and_head, after, limit, furthest, list(names))
    head = rows[0][-1]
    events = [] if rows[0][0] is None else [StoredEvent(*row[:-1]) for row in rows]
    whole = len(events) < limit
    return Batch(events, max(after, min(head, furthest)) if whole else events[-1].position)


async def read_stream(
    connection: Executes,
    sql: Statements,
    tenant: str,
    stream: str,
    after: int,
    limit: int,
    beyond: Position,
) -> list[StoredEvent]:
    """Events of one stream with version > after and position > beyond."""
    return events_of(
        await connection.fetch(sql.select_stream, tenant, stream, after, beyond, limit)
    )


async def read_pages(
    connection: Executes, sql: Statements, requests: Sequence[PageRequest]
) -> list[Page]:
    """A page of each stream, in one statement."""
    rows = await connection.fetch(
        sql.select_pages,
        [request[0] for request in requests],
        [request[1] for request in requests],
        [request[2] for request in requests],
        max(request[3] for request in requests),
    )
    return [
        _EMPTY if names is None else Page(schema, names, Raw(f"[{data}]".encode()))
        for schema, names, data in rows
    ]


async def read_tagged(
    connection: Executes, sql: Statements, requests: Sequence[TaggedRequest]
) -> list[Batch]:
    """The events of each boundary; each is complete up to the head that was read before."""
    ((head,),) = await connection.fetch(sql.select_head)
    pages: list[list[StoredEvent]] = [[] for _ in requests]
    single = [at for at, (_, query, _) in enumerate(requests) if has_single_tags(query)]
    if single:
        wanted = single_tags((at, *requests[at]) for at in single)
        for place, *row in await connection.fetch(sql.select_single_tags, *wanted):
            event, at = StoredEvent(*row), int(place)
            if event.name in requests[at][1].names:
                pages[at].append(event)
    for at in set(range(len(requests))) - set(single):
        tenant, query, after = requests[at]
        pages[at] = events_of(
            await connection.fetch(
                sql.select_tagged(query.items), tenant, after, list(query.names), *flat(query)
            )
        )
    # What committed after the head was read is left out: its turn comes with the next read.
    return [Batch([e for e in page if e.position <= head], head) for page in pages]


def has_single_tags(query: Tagged) -> bool:
    """Whether each of its items is one tag."""
    return all(len(item) == 1 for item in query.items)


def flat(query: Tagged) -> list[str]:
    """The tags of all items."""
    return [tag for item in query.items for tag in item]


def single_tags(
    asked: Iterable[tuple[int, str, Tagged, Position]],
) -> tuple[list[int], list[str], list[str], list[Position]]:
    """Columns for one statement: place, tenant, tag, after."""
    wanted = [
        (place, tenant, item[0], after)
        for place, tenant, query, after in asked
        for item in query.items
    ]
    return (
        [one[0] for one in wanted],
        [one[1] for one in wanted],
        [one[2] for one in wanted],
        [one[3] for one in wanted],
    )
