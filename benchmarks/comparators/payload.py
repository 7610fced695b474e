"""The payload that every comparator writes: about 200 bytes of JSON."""

from __future__ import annotations

import json
import sqlite3

import msgspec

from benchmarks.measuring import Settings

NOTE = "x" * 60
REFERENCE = "ref-2026-11-23-000001"
WHEN = "2026-11-23T14:39:19Z"
PAYLOAD = json.dumps(
    {
        "account_id": "acc-000001",
        "amount": 1250,
        "currency": "EUR",
        "note": NOTE,
        "reference": REFERENCE,
        "ts": "2026-11-23T14:39:19.000000Z",
    }
).encode()
META = b'{"correlation_id":"c-1","causation_id":"k-1"}'

DDL = (
    "create table events(position integer primary key, stream text not null, "
    "version int not null, type text not null, data blob not null, metadata blob, "
    "unique(stream,version))"
)
INSERT = "insert into events(stream,version,type,data,metadata) values(?,?,?,?,?)"


class Ev(msgspec.Struct):
    account_id: str
    amount: int
    currency: str
    note: str
    reference: str
    ts: str


decode = msgspec.json.Decoder(Ev).decode
encode = msgspec.json.Encoder().encode


def connect(settings: Settings, name: str) -> sqlite3.Connection:
    """A new file with the events table, WAL and synchronous=FULL."""
    connection = sqlite3.connect(settings.fresh(name) / "a.db", isolation_level=None)
    full(connection)
    connection.execute(DDL)
    return connection


def full(connection: sqlite3.Connection) -> None:
    connection.execute("pragma journal_mode=wal")
    connection.execute("pragma synchronous=full")
