"""Connections to SQLite: how they are opened, what they may do, and what their errors mean.

There is one SQLite library per process, the standard one: a second one in the same process drops
the first one's file locks and loses commits (see docs/adr/0004).
"""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable, Collection, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias, TypeVar
from urllib.parse import quote

from diptych.errors import (
    Fault,
    ForeignStore,
    ReadOnly,
    StoreCorrupt,
    StoreFull,
    StoreUnavailable,
)

T = TypeVar("T")

Synchronous: TypeAlias = Literal["FULL", "NORMAL", "OFF"]

OLDEST = (3, 38, 0)
WAL_PAGES = 4000
"""Pages of WAL (16 MB) before they are copied into the file. With SQLite's 1000, a group commit over
many streams copies the same index pages again and again: half the rate (measured)."""

DECIMAL = "diptych_decimal"
"""Collation of decimal text: by value, exactly."""

_READING = frozenset(
    {
        sqlite3.SQLITE_SELECT,
        sqlite3.SQLITE_READ,
        sqlite3.SQLITE_FUNCTION,
        sqlite3.SQLITE_RECURSIVE,
        sqlite3.SQLITE_TRANSACTION,
    }
)


class Executes(Protocol):
    """A connection of sqlite3, or what stands for one that somebody else owns."""

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Any: ...


def connect(path: Path | None, *, read_only: bool) -> sqlite3.Connection:
    """A connection in autocommit mode; None is a database in memory.

    Raises:
        StoreFault: What stands in the way, with the remedy.
    """
    if sqlite3.sqlite_version_info < OLDEST:
        raise StoreUnavailable(
            f"SQLite {sqlite3.sqlite_version} is too old; 3.38 is needed. "
            "Use a newer build of Python, or of the system's SQLite."
        )
    try:
        connection = sqlite3.connect(
            ":memory:"
            if path is None
            else f"file:{quote(str(path))}?mode={'ro' if read_only else 'rwc'}",
            uri=path is not None,
            isolation_level=None,
            check_same_thread=False,
            timeout=5 if read_only else 0,
            cached_statements=256,
        )
        connection.create_collation(DECIMAL, by_value)
    except sqlite3.Error as error:
        raise fault(error, path) from error
    return connection


def refuse_foreign(connection: sqlite3.Connection, path: Path, own: Collection[str] = ()) -> None:
    """Looks before anything is written.

    Args:
        own: Tables that the app has named: a file that has one is its own.

    Raises:
        ForeignStore: The file is another program's database.
    """
    tables = {
        row[0]
        for row in patiently(
            lambda: connection.execute(
                "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT GLOB 'sqlite_*'"
            ).fetchall()
        )
    }
    if tables and "diptych_store" not in tables and tables.isdisjoint(own):
        raise ForeignStore(
            f"{path} is the database of another program (tables: {', '.join(sorted(tables)[:5])}). "
            "Name another file; if it is yours, wire its tables: read=[Tables(metadata)]."
        )


def prepare_to_write(
    connection: sqlite3.Connection, path: Path, synchronous: Synchronous = "FULL"
) -> None:
    """WAL, and an fsync for each commit: with NORMAL a power cut loses acknowledged commits.

    Args:
        synchronous: Less than FULL only for what can be made anew.

    Raises:
        StoreUnavailable: The file system cannot do it.
    """
    mode = patiently(lambda: connection.execute("PRAGMA journal_mode = WAL").fetchone()[0])
    if mode != "wal":
        raise StoreUnavailable(
            f"{path}: SQLite gives journal mode {mode!r}, not WAL. "
            "Put the file on a local disk (not a network file system)."
        )
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")


def patiently(attempt: Callable[[], T], *, seconds: float = 10.0) -> T:
    """Repeats while another process holds the lock: short random naps, so that none starves.

    SQLite's own back-off grows to 100 ms, and a busy neighbour wins every time.

    Raises:
        sqlite3.OperationalError: It was locked the whole time.
    """
    until = time.monotonic() + seconds
    naps = 0
    while True:
        try:
            return attempt()
        except sqlite3.OperationalError as error:
            if not is_locked(error) or time.monotonic() > until:
                raise
        naps += 1
        time.sleep(random.uniform(0.0002, 0.001) if naps < 5 else random.uniform(0.001, 0.005))


def is_locked(error: sqlite3.Error) -> bool:
    """Whether somebody else holds the lock."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


class Guard:
    """Lets a connection run nothing but what reads, and only within the transaction begun here.

    `mode=ro` alone is not enough: ATTACH with mode=rw writes the same file, VACUUM INTO another
    one, and a query could end its own snapshot.
    """

    # Not the plain words: those a query might have used, and SQLite would not be asked again.
    _BEGIN = "BEGIN /* diptych */"
    _END = "ROLLBACK /* diptych */"

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._within = False
        # A table-valued function declares its columns at its first use, which would be refused.
        connection.execute("SELECT 1 FROM json_each('[]'), json_tree('[]')").fetchall()
        self.up()

    def up(self) -> None:
        """From now on, only reading."""
        self._connection.set_authorizer(self._authorize)

    def down(self) -> None:
        """From now on, anything."""
        self._connection.set_authorizer(None)

    def begin(self) -> None:
        """Begins a snapshot."""
        self._within = False
        self._connection.execute(self._BEGIN)
        self._within = True

    def end(self) -> None:
        """Ends it, if there is one."""
        self._within = False
        if self._connection.in_transaction:
            self._connection.execute(self._END)

    def _authorize(
        self, action: int, first: str | None, second: str | None, db: str | None, by: str | None
    ) -> int:
        if action == sqlite3.SQLITE_FUNCTION and second == "load_extension":
            return sqlite3.SQLITE_DENY
        if action == sqlite3.SQLITE_TRANSACTION and self._within:
            return sqlite3.SQLITE_DENY
        return sqlite3.SQLITE_OK if action in _READING else sqlite3.SQLITE_DENY


def by_value(a: str, b: str) -> int:
    """How two decimals compare, as a collation says it."""
    x, y = Decimal(a), Decimal(b)
    return (x > y) - (x < y)


def fault(error: sqlite3.Error, path: Path | None) -> Fault:
    """What an error of SQLite means for whoever uses the store."""
    code = getattr(error, "sqlite_errorcode", None)
    primary = None if code is None else code & 0xFF
    where = path if path is not None else "the database in memory"
    if primary == sqlite3.SQLITE_AUTH or str(error).startswith("not authorized"):
        return ReadOnly(str(error))
    match primary:
        case sqlite3.SQLITE_FULL:
            return StoreFull(
                f"{where}: no room left on the disk; nothing was written. "
                "Make room, then send the command again."
            )
        case sqlite3.SQLITE_NOTADB | sqlite3.SQLITE_CORRUPT:
            return StoreCorrupt(
                f"{where}: {error}. It is damaged or no SQLite file. "
                "Restore it from a backup, or name another file."
            )
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM | sqlite3.SQLITE_CANTOPEN:
            return StoreUnavailable(
                f"{where}: {error}. Create the directory and let this user write there "
                "(SQLite needs to write beside the file, too)."
            )
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return StoreUnavailable(
                f"{where}: another program holds the write lock for too long. Close programs "
                "that keep a transaction open on this file, then try again."
            )
        case sqlite3.SQLITE_IOERR:
            return StoreUnavailable(
                f"{where}: {error}. The disk failed to do what it was asked; nothing was "
                "written. Look at the disk, then send the command again."
            )
        case _:
            return StoreUnavailable(f"{where}: {error}.")


def is_fault(error: sqlite3.Error) -> bool:
    """Whether the store failed, not a statement."""
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in (
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
    )
