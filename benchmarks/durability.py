"""That every connection which can write waits for the disk: no figure is told without it."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import Any


class Durability:
    """Remembers the connections of this process, to prove that those that write wait for the disk.

    Installed before anything else is imported. It drops SQLite's check that a connection stays on
    its thread, because the question is put from another one while the connection is idle.
    """

    def __init__(self) -> None:
        self._seen: list[tuple[str, sqlite3.Connection]] = []
        self._served: list[Any] = []

    def install(self, *, postgres: bool = False) -> None:
        """From now on.

        Args:
            postgres: Connections of asyncpg too.
        """
        self._install_sqlite()
        if postgres:
            self._install_asyncpg()

    def _install_sqlite(self) -> None:
        connect = sqlite3.connect

        def remembering(database: Any, *args: Any, **named: Any) -> sqlite3.Connection:
            named["check_same_thread"] = False
            connection = connect(database, *args, **named)
            self._seen.append((str(database), connection))
            return connection

        sqlite3.connect = remembering  # type: ignore[assignment]
        sqlite3.dbapi2.connect = remembering  # type: ignore[assignment]  # SQLAlchemy's way in

    def _install_asyncpg(self) -> None:
        import asyncpg

        connect = asyncpg.connect

        async def remembering(*args: Any, **named: Any) -> Any:
            connection = await connect(*args, **named)
            self._served.append(connection)
            return connection

        asyncpg.connect = remembering  # type: ignore[assignment]
        asyncpg.connection.connect = remembering  # type: ignore[assignment]  # the pools' way in

    async def assert_synchronous(self) -> None:
        """Raises unless a connection of asyncpg is open, and each is as `demand_synchronous` has
        it."""
        asked = 0
        for connection in self._served:
            found = await _ask(connection)
            if found is not None:
                demand_synchronous(found)
                asked += 1
        if not asked:
            raise RuntimeError("no open connection to a server was found: durability is not proven")

    def assert_full(self) -> None:
        """Raises unless a file is open and each writable connection to one is at FULL or above."""
        writable = 0
        for database, connection in self._seen:
            if ":memory:" in database or "mode=ro" in database or "mode=memory" in database:
                continue
            try:
                (level,) = connection.execute("pragma synchronous").fetchone()
            except (sqlite3.ProgrammingError, sqlite3.DatabaseError):
                continue  # closed already, or a read-only session whose authorizer refuses pragmas
            writable += 1
            if level < 2:
                raise RuntimeError(
                    f"a connection is at synchronous={level}, not FULL: no comparison"
                )
        if not writable:
            raise RuntimeError("no open connection to a file was found: durability is not proven")


SYNCHRONOUS = (
    "SELECT name, setting FROM pg_settings "
    "WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit')"
)


def demand_synchronous(found: dict[str, str]) -> None:
    """Raises unless these settings of a session, by name, are all on.

    Args:
        found: What `SYNCHRONOUS` gives in that session.
    """
    if found != {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}:
        raise RuntimeError(f"a connection has {found}: no comparison")


async def _ask(connection: Any) -> dict[str, str] | None:
    """The settings of its session; None where it is closed, or is being closed."""
    import asyncpg

    for _ in range(500):  # it may be at work for a view
        if connection.is_closed():
            return None
        try:
            return {row[0]: row[1] for row in await connection.fetch(SYNCHRONOUS)}
        except asyncpg.ConnectionDoesNotExistError:
            return None
        except asyncpg.InterfaceError:
            await asyncio.sleep(0.01)
    raise RuntimeError("a connection is never idle: durability is not proven")


durability = Durability()
