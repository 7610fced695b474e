"""The PostgreSQL of a run: one server for all variants, a new database for each measurement."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg

from benchmarks.durability import SYNCHRONOUS, demand_synchronous
from benchmarks.environment import file_system
from tests.servers.databases import Databases
from tests.servers.postgres import Postgres

SETTINGS = {"shared_buffers": "128MB"}
"""Beside the server's own defaults, of which this is one: the tests' servers have less."""

_TOLD = (
    "fsync", "synchronous_commit", "full_page_writes", "wal_sync_method", "shared_buffers",
    "max_wal_size", "max_connections",
)  # fmt: skip


class Server:
    """Hands out databases.

    Attributes:
        about: Its version and settings, and the file system of its data.
    """

    def __init__(self, dsn: str, folder: Path | None, *, hasty: bool = False) -> None:
        """Looks whether it waits for the disk.

        Args:
            folder: Of its data, where that is known.
            hasty: Databases are left to go with the server: nothing is measured in earnest.
        """
        self._dsn = dsn
        self._hasty = hasty
        self.about = asyncio.run(_look(dsn, folder))
        self._databases = Databases(dsn, prepare=_nothing)

    @contextmanager
    def database(self) -> Iterator[str]:
        """The DSN of one that is empty, and gone afterwards.

        Whatever would disturb a measurement, the checkpoint of a drop too, is over when it begins.
        """
        dsn = self._databases.new()
        try:
            if not self._hasty:
                asyncio.run(_execute(self._dsn, "CHECKPOINT"))
            yield dsn
        finally:
            if not self._hasty:
                name = urlsplit(dsn).path[1:]
                drop = f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'
                asyncio.run(_execute(self._dsn, drop))

    def close(self) -> None:
        self._databases.close()


@contextmanager
def server(given: str | None, *, smoke: bool) -> Iterator[Server]:
    """One of its own, or the one whose DSN is given, whose role may create databases.

    Raises:
        RuntimeError: It does not wait for the disk, or has none.
    """
    if given:
        found = Server(given, None)
        try:
            yield found
        finally:
            found.close()
        return
    with Postgres(durable=True, settings=SETTINGS) as own:
        found = Server(own.dsn(), own.data, hasty=smoke)
        if found.about["file_system"] == "tmpfs" and not smoke:
            raise RuntimeError(f"{own.data} is in memory. Set TMPDIR to a folder on a disk.")
        try:
            yield found
        finally:
            found.close()


async def _nothing(dsn: str) -> None: ...


async def _execute(dsn: str, sql: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


async def _look(dsn: str, folder: Path | None) -> dict[str, Any]:
    connection = await asyncpg.connect(dsn)
    try:
        demand_synchronous({row[0]: row[1] for row in await connection.fetch(SYNCHRONOUS)})
        settings = {name: await connection.fetchval(f"SHOW {name}") for name in _TOLD}
        version = await connection.fetchval("SHOW server_version")
    finally:
        await connection.close()
    return {
        "version": version,
        "settings": settings,
        "file_system": file_system(folder) if folder else "not known",
    }
