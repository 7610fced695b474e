"""Reads the store's tables on PostgreSQL by a session of its own: no import of diptych."""

from __future__ import annotations

import json
from typing import Any

import asyncpg

from tests.faults.tables import Stored


async def fetch(dsn: str, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """The rows of a statement."""
    session = await asyncpg.connect(dsn)
    try:
        return [tuple(row) for row in await session.fetch(sql, *values)]
    finally:
        await session.close()


async def stored_entries(dsn: str) -> list[Stored]:
    """All events in order of position."""
    rows = await fetch(
        dsn,
        "SELECT position, stream, version, data, causation FROM diptych_events ORDER BY position",
    )
    found: list[Stored] = []
    for position, stream, version, data, cause in rows:
        event = json.loads(data)
        found.append(
            Stored(position, stream, version, event["entry"], event["line"], event["number"], cause)
        )
    return found
