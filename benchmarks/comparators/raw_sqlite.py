"""Hand-written SQLite: commands in groups, a warm loop, a projection, a row after a receipt."""

from __future__ import annotations

import json
import sqlite3
import time

from benchmarks.comparators.payload import (
    INSERT,
    META,
    NOTE,
    PAYLOAD,
    REFERENCE,
    WHEN,
    Ev,
    connect,
    decode,
    encode,
    full,
)
from benchmarks.durability import durability
from benchmarks.measuring import Measure, Measured, Settings, median, timed

STREAMS = 1000


def _seed(connection: sqlite3.Connection) -> None:
    connection.execute("begin")
    connection.executemany(
        INSERT,
        [(f"a{i}", v, "D", PAYLOAD, META) for i in range(STREAMS) for v in range(1, 11)],
    )
    connection.execute("commit")


def command(group: int) -> Measure:
    """Select the stream (10+ events), decode, fold, encode, insert; `group` commands per commit."""

    def measure(settings: Settings) -> Measured:
        connection = connect(settings, "raw")
        _seed(connection)
        place = 0

        def operation() -> None:
            nonlocal place
            connection.execute("begin immediate")
            for _ in range(group):
                stream = f"a{place % STREAMS}"
                place += 1
                rows = connection.execute(
                    "select version,data from events where stream=? order by version", (stream,)
                ).fetchall()
                balance = sum(decode(data).amount for _, data in rows)
                event = Ev("a", balance, "EUR", NOTE, REFERENCE, WHEN)
                connection.execute(INSERT, (stream, rows[-1][0] + 1, "D", encode(event), META))
            connection.execute("commit")

        rate = timed(operation, settings.seconds, each=group)
        durability.assert_full()
        connection.close()
        return Measured(rate)

    return measure


def warm(group: int) -> Measure:
    """State and version are cached: fold, encode, one insert per command, `group` per commit.

    Stricter than `command`: nothing is read, so nothing but the work that a warm engine must do
    is left. No door, no command id, no outcome, no answer to a caller.
    """

    def measure(settings: Settings) -> Measured:
        connection = connect(settings, "warm")
        _seed(connection)
        versions = [10] * STREAMS
        balances = [1250 * 10] * STREAMS
        place = 0

        def operation() -> None:
            nonlocal place
            connection.execute("begin immediate")
            for _ in range(group):
                i = place % STREAMS
                place += 1
                event = Ev(f"a{i}", 1, "EUR", NOTE, REFERENCE, WHEN)
                balances[i] += event.amount
                versions[i] += 1
                connection.execute(INSERT, (f"a{i}", versions[i], "D", encode(event), META))
            connection.execute("commit")

        rate = timed(operation, settings.seconds, each=group)
        durability.assert_full()
        connection.close()
        return Measured(rate)

    return measure


def projection(batch: int) -> Measure:
    """Read events in batches, upsert a row per event and the checkpoint, a transaction a batch."""

    def measure(settings: Settings) -> Measured:
        count = settings.size(20_000, 2_000)
        log = connect(settings, "projection")
        log.execute("begin")
        log.executemany(
            INSERT,
            [(f"acc-{i % 2000}", i // 2000, "Deposited", PAYLOAD, META) for i in range(count)],
        )
        log.execute("commit")
        view = sqlite3.connect(settings.data / "projection" / "v.db", isolation_level=None)
        full(view)
        view.execute("create table view(id text primary key, total int)")
        view.execute("create table ck(name text primary key, pos int)")
        start = time.perf_counter()
        position = seen = 0
        while True:
            rows = log.execute(
                "select position,stream,data from events where position>? "
                "order by position limit ?",
                (position, batch),
            ).fetchall()
            if not rows:
                break
            view.execute("begin immediate")
            view.executemany(
                "insert into view values(?,?) "
                "on conflict(id) do update set total=total+excluded.total",
                [(stream, json.loads(data)["amount"]) for _, stream, data in rows],
            )
            position = rows[-1][0]
            seen += len(rows)
            view.execute(
                "insert into ck values('p',?) on conflict(name) do update set pos=excluded.pos",
                (position,),
            )
            view.execute("commit")
        rate = seen / (time.perf_counter() - start)
        durability.assert_full()
        log.close()
        view.close()
        return Measured(rate)

    return measure


def receipt_to_answer(settings: Settings) -> Measured:
    """p50 in ms from a committed event to the row that shows it: read, upsert, commit, select."""
    log = connect(settings, "receipt")
    log.execute("create table view(id text primary key, total int)")
    log.execute("create table ck(name text primary key, pos int)")
    waits: list[float] = []
    for turn in range(settings.size(200, 20)):
        log.execute("begin immediate")
        log.execute(INSERT, ("a0", turn + 1, "D", PAYLOAD, META))
        log.execute("commit")
        start = time.perf_counter()
        ((position, data),) = log.execute(
            "select position,data from events where position>?", (turn,)
        ).fetchall()
        log.execute("begin immediate")
        log.execute(
            "insert into view values('a0',?) "
            "on conflict(id) do update set total=total+excluded.total",
            (decode(data).amount,),
        )
        log.execute(
            "insert into ck values('p',?) on conflict(name) do update set pos=excluded.pos",
            (position,),
        )
        log.execute("commit")
        log.execute("select total from view where id='a0'").fetchone()
        waits.append((time.perf_counter() - start) * 1e3)
    durability.assert_full()
    log.close()
    return Measured(median(waits))
