"""Hand-written PostgreSQL with asyncpg: commands in groups, a warm loop, a projection, one row."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg

from benchmarks.comparators.payload import META, NOTE, PAYLOAD, REFERENCE, WHEN, Ev, decode, encode
from benchmarks.durability import durability
from benchmarks.measuring import Measure, Measured, Settings, median
from benchmarks.ours.domain import Total

STREAMS = 1024

DDL = (
    "create table events(position bigint generated always as identity primary key, "
    "stream text not null, version int not null, type text not null, data bytea not null, "
    "metadata bytea, unique(stream,version))"
)
INSERT = "insert into events(stream,version,type,data,metadata) values($1,$2,$3,$4,$5)"
UNNEST = (
    "insert into events(stream,version,type,data,metadata) "
    "select * from unnest($1::text[],$2::int[],$3::text[],$4::bytea[],$5::bytea[])"
)
COLUMNS = ["stream", "version", "type", "data", "metadata"]
VIEW = "create table view(id text primary key, total bigint)"
CHECKPOINT = "create table ck(name text primary key, pos bigint)"
MOVE = "insert into ck values('p',$1) on conflict(name) do update set pos=excluded.pos"
UPSERT = (
    "insert into view select * from unnest($1::text[],$2::bigint[]) "
    "on conflict(id) do update set total=view.total+excluded.total"
)


def _measured(work: Callable[[Settings, Any], Awaitable[float]]) -> Measure:
    """Runs it on one connection to an empty events table, and asks that for its durability."""

    def measure(settings: Settings) -> Measured:
        async def main() -> float:
            connection = await asyncpg.connect(settings.postgres)
            await connection.execute(DDL)
            value = await work(settings, connection)
            await durability.assert_synchronous()
            await connection.close()
            return value

        return Measured(settings.run(main()))

    return measure


async def _seed(connection: Any) -> None:
    await connection.copy_records_to_table(
        "events",
        records=[(f"a{i}", v, "D", PAYLOAD, META) for i in range(STREAMS) for v in range(1, 11)],
        columns=COLUMNS,
    )


def command(group: int) -> Measure:
    """Select the stream (10+ events), decode, fold, encode, insert: a caller without a group.

    A group has one select for all its streams and one insert, which is its commit.
    """

    async def one(settings: Settings, connection: Any) -> float:
        await _seed(connection)
        done, start = 0, time.perf_counter()
        end = start + settings.seconds
        while time.perf_counter() < end:
            stream = f"a{done % STREAMS}"
            rows = await connection.fetch(
                "select version,data from events where stream=$1 order by version", stream
            )
            balance = sum(decode(data).amount for _, data in rows)
            event = Ev("a", balance, "EUR", NOTE, REFERENCE, WHEN)
            await connection.execute(INSERT, stream, rows[-1][0] + 1, "D", encode(event), META)
            done += 1
        return done / (time.perf_counter() - start)

    async def many(settings: Settings, connection: Any) -> float:
        await _seed(connection)
        insert = await connection.prepare(UNNEST)
        select = await connection.prepare(
            "select stream,version,data from events where stream=any($1) order by stream,version"
        )
        done, start = 0, time.perf_counter()
        end = start + settings.seconds
        while time.perf_counter() < end:
            streams = [f"a{(done + j) % STREAMS}" for j in range(group)]
            last: dict[str, int] = {}
            balance: dict[str, int] = {}
            for stream, version, data in await select.fetch(streams):
                last[stream] = version
                balance[stream] = balance.get(stream, 0) + decode(data).amount
            await insert.fetch(
                streams,
                [last[stream] + 1 for stream in streams],
                ["D"] * group,
                [encode(Ev("a", balance[s], "EUR", NOTE, REFERENCE, WHEN)) for s in streams],
                [META] * group,
            )
            done += group
        return done / (time.perf_counter() - start)

    return _measured(one if group == 1 else many)


def warm(group: int) -> Measure:
    """State and version are cached: fold, encode, one insert for the group, which is its commit.

    Stricter than `command`: nothing is read, so nothing but the work that a warm engine must do
    is left. No door, no command id, no outcome, no answer to a caller, no order with others.
    """

    async def work(settings: Settings, connection: Any) -> float:
        await _seed(connection)
        insert = await connection.prepare(UNNEST)
        versions = [10] * STREAMS
        balances = [1250 * 10] * STREAMS
        done, start = 0, time.perf_counter()
        end = start + settings.seconds
        while time.perf_counter() < end:
            places = [(done + j) % STREAMS for j in range(group)]
            events: list[bytes] = []
            for i in places:
                event = Ev(f"a{i}", 1, "EUR", NOTE, REFERENCE, WHEN)
                balances[i] += event.amount
                versions[i] += 1
                events.append(encode(event))
            await insert.fetch(
                [f"a{i}" for i in places],
                [versions[i] for i in places],
                ["D"] * group,
                events,
                [META] * group,
            )
            done += group
        return done / (time.perf_counter() - start)

    return _measured(work)


def projection(batch: int) -> Measure:
    """Read events in batches, one upsert of the rows of a batch, the checkpoint: a transaction."""

    async def work(settings: Settings, connection: Any) -> float:
        count = settings.size(20_000, 2_000)
        await connection.execute(f"{VIEW}; {CHECKPOINT}")
        await connection.copy_records_to_table(
            "events",
            records=[
                (f"acc-{i % 2000}", i // 2000, "Deposited", PAYLOAD, META) for i in range(count)
            ],
            columns=COLUMNS,
        )
        select = await connection.prepare(
            "select position,stream,data from events where position>$1 order by position limit $2"
        )
        upsert, move = await connection.prepare(UPSERT), await connection.prepare(MOVE)
        start = time.perf_counter()
        position = seen = 0
        while rows := await select.fetch(position, batch):
            totals: dict[str, int] = {}
            for _, stream, data in rows:
                totals[stream] = totals.get(stream, 0) + json.loads(data)["amount"]
            position = rows[-1][0]
            async with connection.transaction():
                await upsert.fetch(list(totals), list(totals.values()))
                await move.fetch(position)
            seen += len(rows)
        return seen / (time.perf_counter() - start)

    return _measured(work)


async def _receipt_to_answer(settings: Settings, connection: Any) -> float:
    await connection.execute(f"{VIEW}; {CHECKPOINT}")
    waits: list[float] = []
    for turn in range(settings.size(200, 20)):
        await connection.execute(INSERT, "a0", turn + 1, "D", PAYLOAD, META)
        start = time.perf_counter()
        ((position, data),) = await connection.fetch(
            "select position,data from events where position>$1", turn
        )
        async with connection.transaction():
            await connection.execute(UPSERT, ["a0"], [decode(data).amount])
            await connection.execute(MOVE, position)
        await connection.fetchval("select total from view where id='a0'")
        waits.append((time.perf_counter() - start) * 1e3)
    return median(waits)


receipt_to_answer = _measured(_receipt_to_answer)
"""p50 in ms from a committed event to the row that shows it: read, upsert, commit, select."""


ROWS = 500


async def _by_key(settings: Settings, connection: Any) -> float:
    await connection.execute(VIEW)
    await connection.executemany(
        "insert into view values($1, 1250)", [(f"a{n}",) for n in range(ROWS)]
    )
    done = total = 0
    start = time.perf_counter()
    while time.perf_counter() - start < settings.seconds:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            for n in range(100):
                row = await connection.fetchrow(
                    "select id, total from view where id = $1", f"a{n % ROWS}"
                )
                total += Total(*row).total
        done += 100
    took = time.perf_counter() - start
    if total != done * 1250:
        raise RuntimeError("a row is missing")
    return took / done * 1e6


by_key = _measured(_by_key)
"""Microseconds for each row: SELECT by primary key in a read transaction, then an object."""
