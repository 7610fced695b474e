"""Looking at a store on PostgreSQL from outside: in a transaction that the server keeps read-only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from diptych.adapters.postgres.address import Address
from diptych.adapters.postgres.connection import Connection, visit
from diptych.adapters.postgres.ownership import owner_of
from diptych.adapters.postgres.pausing import pauses
from diptych.adapters.postgres.presence import now, processes
from diptych.adapters.postgres.reading import SNAPSHOT, events_of
from diptych.adapters.postgres.schema import Statements, statements
from diptych.log.inspection import Checkpoint, Standing, Wanted
from diptych.log.port import Batch, StoredEvent
from diptych.message import Position

T = TypeVar("T")

WINDOW = 50_000
"""Positions that one statement looks through at most."""


class PostgresInspection:
    """A store, read on a connection of its own by whoever may read its tables; a replica will do."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._sql = statements(address.schema)

    async def standing(self) -> Standing:
        return await self._look(self._standing)

    async def last(self, wanted: Wanted, *, limit: int) -> Batch:
        return await self._look(lambda connection, _: _last(connection, self._sql, wanted, limit))

    async def after(self, wanted: Wanted, *, after: Position, limit: int) -> Batch:
        return await self._look(
            lambda connection, _: _after(connection, self._sql, wanted, after, limit)
        )

    async def _look(self, work: Callable[[Connection, tuple[str, str]], Awaitable[T]]) -> T:
        """What `work` finds in one snapshot.

        Raises:
            StoreFault: It cannot be read.
        """
        async with visit(self._address, SNAPSHOT) as connection:
            owner = await owner_of(connection, self._address, self._sql)
            return await work(connection, owner)

    async def _standing(self, connection: Connection, owner: tuple[str, str]) -> Standing:
        s = self._sql.schema
        ((head, head_time, time, size),) = await connection.fetch(
            "SELECT position, "
            f"(SELECT time FROM {s}.diptych_events ORDER BY position DESC LIMIT 1), {now()}, "
            "(SELECT sum(pg_total_relation_size(oid))::bigint FROM pg_class "
            r"WHERE relnamespace = $1::text::regnamespace AND relname LIKE 'diptych\_%' "
            f"AND relkind = 'r') FROM {s}.diptych_head",
            s,
        )
        there = await processes(connection, s)
        checkpoints = {
            name: Checkpoint(position, target)
            for name, position, target in await connection.fetch(
                f"SELECT name, position, target FROM {s}.diptych_checkpoints"
            )
        }
        positions = {0, *(one.position for one in checkpoints.values())}
        positions |= {view.position for process in there for view in process.views}
        oldest = await connection.fetch(
            "SELECT p, e.time FROM unnest($1::bigint[]) AS wanted (p) CROSS JOIN LATERAL "
            f"(SELECT time FROM {s}.diptych_events WHERE position > p ORDER BY position LIMIT 1) e",
            sorted(positions),
        )
        return Standing(
            context=owner[0],
            epoch=owner[1],
            now=time,
            head=head,
            head_time=head_time,
            size=size,
            checkpoints=checkpoints,
            pauses=await pauses(connection, s),
            oldest={row[0]: row[1] for row in oldest},
            processes=there,
        )


async def _head(connection: Connection, sql: Statements) -> Position:
    ((head,),) = await connection.fetch(sql.select_head)
    position: Position = head
    return position


async def _read(
    connection: Connection,
    sql: Statements,
    wanted: Wanted,
    between: tuple[Position, Position],
    limit: int,
    order: str,
) -> list[StoredEvent]:
    conditions = ["e.position > $1::bigint", "e.position <= $2::bigint"]
    values: list[Any] = [*between, limit]
    if wanted.stream is not None:
        conditions += ["e.tenant = $4::text", "e.stream = $5::text"]
        values += [wanted.tenant, wanted.stream]
    if wanted.names:
        values.append(list(wanted.names))
        conditions.append(f"e.name = ANY (${len(values)}::text[])")
    rows = await connection.fetch(
        f"{sql.select_events} WHERE {' AND '.join(conditions)} ORDER BY {order} LIMIT $3::integer",
        *values,
    )
    return events_of(rows)


def _order(wanted: Wanted, direction: str) -> str:
    """By version where one stream is read, so that the index of streams is used."""
    return f"e.{'position' if wanted.stream is None else 'version'}{direction}"


async def _after(
    connection: Connection, sql: Statements, wanted: Wanted, after: Position, limit: int
) -> Batch:
    head = await _head(connection, sql)
    # A stream is found by its index; all else is looked through, a window at a time.
    step = head if wanted.stream is not None else WINDOW
    found: list[StoredEvent] = []
    while after < head:
        through = min(head, after + step)
        found += await _read(
            connection, sql, wanted, (after, through), limit - len(found), _order(wanted, "")
        )
        if len(found) >= limit:
            return Batch(found, found[-1].position)
        after = through
    return Batch(found, max(after, head))


async def _last(connection: Connection, sql: Statements, wanted: Wanted, limit: int) -> Batch:
    head = await _head(connection, sql)
    step = head if wanted.stream is not None else WINDOW
    found: list[StoredEvent] = []
    through = head
    while through > 0 and len(found) < limit:
        after = max(0, through - step)
        found += await _read(
            connection, sql, wanted, (after, through), limit - len(found), _order(wanted, " DESC")
        )
        through = after
    return Batch(found[::-1], head)
