"""Reading events: as one JSON value for each statement, and several requests in one statement."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, TypeAlias

import msgspec

from diptych.adapters.sqlite import schema
from diptych.adapters.sqlite.connection import Executes
from diptych.log.commit import Tagged
from diptych.log.port import Batch, Page, StoredEvent, page_of
from diptych.message import Position

PAGE = 10_000
"""Events that one statement reads at most."""

LONGEST = 64 << 20
"""Bytes that one statement gives at most; where events are large it reads fewer of them."""

PageRequest: TypeAlias = tuple[str, str, int, int]
"""Tenant, stream, after which version, how many at most."""

TaggedRequest: TypeAlias = tuple[str, Tagged, Position]
"""Tenant, query, after which position."""

_encode = msgspec.json.encode
_decode_events = msgspec.json.Decoder(list[StoredEvent]).decode
_decode_pages = msgspec.json.Decoder(list[Page]).decode
_decode_placed = msgspec.json.Decoder(list[tuple[int, StoredEvent]]).decode


def read_events(
    connection: Executes, sql: str, values: Sequence[Any], limit: int
) -> tuple[list[StoredEvent], bool]:
    """The events of a statement, and whether there are no more than these."""
    while True:
        try:
            text: str = connection.execute(sql, (*values, limit)).fetchone()[0]
        except sqlite3.DataError:  # over LONGEST
            if limit == 1:
                raise
            limit = max(1, limit // 8)
            continue
        events = _decode_events(text)
        return events, len(events) < limit


def read_pages(connection: Executes, requests: list[PageRequest]) -> list[Page]:
    """A page of each stream, in one statement."""
    limit = max(request[3] for request in requests)
    wanted = _encode([request[:3] for request in requests]).decode()
    try:
        text: str = connection.execute(schema.SELECT_PAGES, (limit, wanted)).fetchone()[0]
    except sqlite3.DataError:  # over LONGEST: one by one, each in as many steps as it takes
        return [page_of(read_stream(connection, *request, 0)) for request in requests]
    return _decode_pages(text)


def read_stream(
    connection: Executes, tenant: str, stream: str, after: int, limit: int, beyond: int
) -> list[StoredEvent]:
    """Events of one stream with version > after and position > beyond."""
    found: list[StoredEvent] = []
    whole = False
    while not whole and len(found) < limit:
        version = found[-1].version if found else after
        events, whole = read_events(
            connection, schema.SELECT_STREAM, (tenant, stream, version, beyond), limit - len(found)
        )
        found += events
    return found


def read_tagged(connection: Executes, requests: list[TaggedRequest]) -> list[Batch]:
    """The events of each boundary, all of one snapshot."""
    connection.execute("BEGIN")
    try:
        head: Position = connection.execute(schema.SELECT_HEAD).fetchone()[0]
        if len(requests) > 1 and all(_has_single_tags(query) for _, query, _ in requests):
            try:
                pages = _read_single_tags(connection, requests)
            except sqlite3.DataError:
                pages = [_read_tagged(connection, request) for request in requests]
        else:
            pages = [_read_tagged(connection, request) for request in requests]
    finally:
        connection.execute("ROLLBACK")
    return [Batch(page, head) for page in pages]


def _has_single_tags(query: Tagged) -> bool:
    return all(len(item) == 1 for item in query.items)


def _read_single_tags(
    connection: Executes, requests: list[TaggedRequest]
) -> list[list[StoredEvent]]:
    wanted = [
        (place, tenant, item[0], after)
        for place, (tenant, query, after) in enumerate(requests)
        for item in query.items
    ]
    row = connection.execute(schema.SELECT_TAGGED, (_encode(wanted).decode(),)).fetchone()
    pages: list[list[StoredEvent]] = [[] for _ in requests]
    for place, event in _decode_placed(row[0]):
        if event.name in requests[place][1].names:
            pages[place].append(event)
    return pages


def _read_tagged(connection: Executes, request: TaggedRequest) -> list[StoredEvent]:
    tenant, query, after = request
    found: list[StoredEvent] = []
    whole = False
    while not whole:
        where, values = tagged(tenant, query, found[-1].position if found else after)
        events, whole = read_events(connection, schema.events(where, "position"), values, PAGE)
        found += events
    return found


def tagged(tenant: str, query: Tagged, after: Position) -> tuple[str, list[Any]]:
    """Which events a boundary looks at: the condition, and its values."""
    values: list[Any] = []
    for item in query.items:
        values += (tenant, after, *item)
    values += query.names
    return schema.tagged(query.items, len(query.names)), values
