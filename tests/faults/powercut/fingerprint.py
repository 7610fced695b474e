"""What a database holds, in one word; for a connection of either library, so it imports none."""

from __future__ import annotations

import hashlib
from typing import Any


def fingerprint(connection: Any) -> str:
    """Schema and rows of every table, in an order that does not depend on storage."""
    digest = hashlib.blake2b(digest_size=16)
    tables = connection.execute("select name, sql from sqlite_master order by name").fetchall()
    for name, sql in tables:
        digest.update(repr((name, sql)).encode())
    for (name,) in connection.execute(
        "select name from sqlite_master where type = 'table' order by name"
    ).fetchall():
        rows = connection.execute(f'select * from "{name}"').fetchall()
        for row in sorted(map(repr, rows)):
            digest.update(row.encode())
    return digest.hexdigest()
