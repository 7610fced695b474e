"""Deliberately wrong writers and readers on a plain table: what the checkers must catch.

`python -m tests.faults.naive write FILE NAME --bug BUG --seconds S`, or `tail FILE`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sqlite3
import time

DDL = (
    "create table if not exists naive("
    "position integer primary key autoincrement, stream text, version int, id text, at int)"
)


def connect(file: str) -> sqlite3.Connection:
    connection = sqlite3.connect(file, isolation_level=None, timeout=30)
    connection.execute("pragma journal_mode=wal")
    connection.execute(DDL)
    return connection


def say(**line: object) -> None:
    os.write(1, (json.dumps(line) + "\n").encode())


def write(file: str, name: str, bug: str, seconds: float) -> None:
    connection, chance = connect(file), random.Random(name)
    end, number = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        stream, id = f"s{chance.randrange(3)}", f"{name}-{number}"
        number += 1
        say(id=id, called=time.monotonic(), stream=stream)
        if bug != "stale version":
            connection.execute("begin immediate")
        (head,) = connection.execute(
            "select coalesce(max(version), 0) from naive where stream = ?", (stream,)
        ).fetchone()
        time.sleep(chance.random() / 500)
        row = (stream, head + 1, id, time.time_ns() // 20_000_000)
        insert = "insert into naive(stream, version, id, at) values(?, ?, ?, ?)"
        connection.execute(insert, row)
        if bug == "stale version":
            pass  # read outside the transaction that wrote: two writers take one version
        elif bug == "answer before commit" and chance.random() < 0.1:
            say(id=id, returned=time.monotonic(), position=0)
            connection.execute("rollback")
            continue
        elif bug == "blind retry" and chance.random() < 0.1:
            # the answer was lost on its way; without a command id it is simply done again
            connection.execute(insert, (stream, head + 2, *row[2:]))
            connection.execute("commit")
        else:
            connection.execute("commit")
        say(id=id, returned=time.monotonic(), position=1)


def tail(file: str) -> None:
    """Takes time for order: what commits within the tick that was read already is never seen."""
    connection, last = connect(file), -1
    while True:
        rows = connection.execute(
            "select position, at from naive where at > ? order by position", (last,)
        ).fetchall()
        for position, at in rows:
            last = max(last, at)
            os.write(1, b"%d\n" % position)
        time.sleep(0.005)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("act", choices=["write", "tail"])
    parser.add_argument("file")
    parser.add_argument("name", nargs="?", default="n0")
    parser.add_argument("--bug", default="")
    parser.add_argument("--seconds", type=float, default=1.0)
    asked = parser.parse_args()
    if asked.act == "write":
        write(asked.file, asked.name, asked.bug, asked.seconds)
    else:
        tail(asked.file)


if __name__ == "__main__":
    main()
