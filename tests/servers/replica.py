"""A server that comes back as a replica."""

from __future__ import annotations

import os

from tests.servers.postgres import Postgres


def become_replica(server: Postgres) -> None:
    """Of nobody: it can be read, and promoted by `SELECT pg_promote()`."""
    server.stop()
    signal = server.data / "standby.signal"
    signal.touch()
    owner = server.data.stat()
    os.chown(signal, owner.st_uid, owner.st_gid)
    server.start()
