"""Looking at a store's file without leaving a trace: nothing in its directory changes.

Opening a database in WAL mode read-only creates its `-wal` and `-shm` files where they are missing,
and writes the `-shm` where they are not. So a file that nobody has open is read as immutable, and
looked at again afterwards; one that is open (or was when its process died) with a shared memory
that is only read.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote

from diptych.adapters.sqlite import schema
from diptych.adapters.sqlite.connection import Guard, fault, refuse_foreign
from diptych.adapters.sqlite.pausing import pauses
from diptych.adapters.sqlite.presence import now, processes
from diptych.adapters.sqlite.reading import LONGEST, read_events
from diptych.adapters.sqlite.store import WINDOW
from diptych.errors import ForeignStore, StoreUnavailable
from diptych.log.inspection import Checkpoint, Process, Standing, Wanted
from diptych.log.pauses import Pause
from diptych.log.port import Batch, StoredEvent
from diptych.message import Position

T = TypeVar("T")

SELECT_NEXT = "SELECT time FROM diptych_events WHERE position > ? ORDER BY position LIMIT 1"

ATTEMPTS = 20
PAUSE = 0.01
"""How often it is looked at again when it changed meanwhile, and seconds in between."""


class SqliteInspection:
    """The file of a store, read by whoever may not even touch it.

    Not for a process that has the store open itself, which has the store to ask: connections of one
    process share their view of the shared memory, and a writer that came to share this one's could
    not write.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    async def standing(self) -> Standing:
        return await asyncio.to_thread(self._look, _standing)

    async def last(self, wanted: Wanted, *, limit: int) -> Batch:
        return await asyncio.to_thread(self._look, lambda c: _last(c, wanted, limit))

    async def after(self, wanted: Wanted, *, after: Position, limit: int) -> Batch:
        return await asyncio.to_thread(self._look, lambda c: _after(c, wanted, after, limit))

    def _look(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` finds in one snapshot.

        Raises:
            StoreFault: It cannot be read.
        """
        failed: sqlite3.Error | None = None
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(PAUSE)
            before = _trace(self.path)
            if before.wal and not before.shm and attempt < ATTEMPTS - 1:
                continue  # who closes the file last takes the -shm away before the -wal
            try:
                with closing(_connect(self.path, before)) as connection:
                    found = self._read(connection, work)
            except sqlite3.Error as error:
                failed = error
                if _trace(self.path) == before and not _passes(error):
                    raise fault(error, self.path) from error
                continue  # it was opened, or closed, under our hands
            if before.wal or _trace(self.path) == before:
                return found
        raise StoreUnavailable(
            f"{self.path}: it could not be read without changing it"
            + (f" ({failed})" if failed else "")
            + ". If no app has it open, start the app once: it recovers the file. Else try again."
        ) from failed

    def _read(self, connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST)
        guard = Guard(connection)
        guard.begin()
        try:
            refuse_foreign(connection, self.path)
            if not _tables(connection):
                raise StoreUnavailable(
                    f"{self.path}: there is no store in it yet. Start the app once: it creates it."
                )
            (written,) = connection.execute("SELECT format FROM diptych_store").fetchone()
            if written != schema.FORMAT:
                raise ForeignStore(
                    f"{self.path} has store format {written}, this diptych reads {schema.FORMAT}. "
                    "Use the version of diptych that wrote it."
                )
            return work(connection)
        finally:
            guard.end()


class _Trace(NamedTuple):
    """What changes when somebody opens the file, or writes it.

    Attributes:
        wal: Bytes of the write-ahead log; None where there is none.
        shm: Whether there is a file of shared memory.
    """

    file: int
    size: int
    changed: int
    wal: int | None
    shm: bool


def _trace(path: Path) -> _Trace:
    """Files are never opened for this: to close one would drop SQLite's own locks on it.

    Raises:
        StoreUnavailable: There is no file, or it may not be looked at.
    """
    try:
        found = path.stat()
        wal, shm = (size_of(Path(f"{path}{end}")) for end in ("-wal", "-shm"))
    except FileNotFoundError:
        raise StoreUnavailable(
            f"{path.absolute()}: there is no such file. Run this where the app runs (a relative "
            "path begins there), or start the app once: it creates the file."
        ) from None
    except OSError as error:
        raise StoreUnavailable(
            f"{path.absolute()}: {error.strerror}. Run this as a user who may read it."
        ) from error
    return _Trace(found.st_ino, found.st_size, found.st_mtime_ns, wal, shm is not None)


def _passes(error: sqlite3.Error) -> bool:
    """Whether another process may just be opening or recovering the file."""
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in (
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_BUSY,
    )


def size_of(path: Path) -> int | None:
    """Bytes; None where there is no file."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def _connect(path: Path, trace: _Trace) -> sqlite3.Connection:
    if trace.wal and not trace.shm:
        raise StoreUnavailable(
            f"{path}: its -wal file holds commits, but its -shm file is missing, as after a copy. "
            "Start the app once: it puts them together."
        )
    how = "readonly_shm=1" if trace.wal else "immutable=1"
    return sqlite3.connect(
        f"file:{quote(str(path))}?mode=ro&{how}", uri=True, isolation_level=None, timeout=5
    )


def _tables(connection: sqlite3.Connection) -> frozenset[str]:
    found = connection.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB 'diptych_*'"
    )
    return frozenset(name for (name,) in found.fetchall())


def _standing(connection: sqlite3.Connection) -> Standing:
    context, epoch = connection.execute("SELECT context, epoch FROM diptych_store").fetchone()
    head: Position = connection.execute(schema.SELECT_HEAD).fetchone()[0]
    last = connection.execute("SELECT time FROM diptych_events WHERE position = ?", (head,))
    row = last.fetchone()
    checkpoints = _checkpoints(connection)
    there: Sequence[Process] = ()
    paused: Mapping[str, Pause] = {}
    if "diptych_processes" in _tables(connection):  # else written before there was such a table
        there = processes(connection)
    if "diptych_pauses" in _tables(connection):
        paused = pauses(connection)
    known = (one.position for one in checkpoints.values())
    positions = {0, *known, *(v.position for p in there for v in p.views)}
    oldest: dict[Position, int] = {}
    for position in positions:
        found = connection.execute(SELECT_NEXT, (position,)).fetchone()
        if found is not None:
            oldest[position] = found[0]
    return Standing(
        context=context,
        epoch=epoch,
        now=now(),
        head=head,
        head_time=None if row is None else row[0],
        checkpoints=checkpoints,
        pauses=paused,
        oldest=oldest,
        processes=there,
    )


def _checkpoints(connection: sqlite3.Connection) -> dict[str, Checkpoint]:
    try:
        rows = connection.execute("SELECT name, position, target FROM diptych_checkpoints")
    except sqlite3.OperationalError:  # written before there were targets
        rows = connection.execute("SELECT name, position, 0 FROM diptych_checkpoints")
    return {name: Checkpoint(position, target) for name, position, target in rows.fetchall()}


def _where(wanted: Wanted) -> tuple[str, list[Any]]:
    conditions: list[str] = ["position > ?", "position <= ?"]
    values: list[Any] = []
    if wanted.stream is not None:
        conditions += ["tenant = ?", "stream = ?"]
        values += [wanted.tenant, wanted.stream]
    if wanted.names:
        conditions.append(f"name IN ({', '.join('?' * len(wanted.names))})")
        values += wanted.names
    return " AND ".join(conditions), values


def _after(connection: sqlite3.Connection, wanted: Wanted, after: Position, limit: int) -> Batch:
    head: Position = connection.execute(schema.SELECT_HEAD).fetchone()[0]
    # A stream is found by its index; all else is looked through, a window at a time.
    step = head if wanted.stream is not None else WINDOW
    where, values = _where(wanted)
    found: list[StoredEvent] = []
    while after < head:
        through = min(head, after + step)
        sql = schema.events(where, "position")
        events, whole = read_events(connection, sql, (after, through, *values), limit - len(found))
        found += events
        if not whole or len(found) >= limit:
            return Batch(found, found[-1].position)
        after = through
    return Batch(found, max(after, head))


def _last(connection: sqlite3.Connection, wanted: Wanted, limit: int) -> Batch:
    head: Position = connection.execute(schema.SELECT_HEAD).fetchone()[0]
    step = head if wanted.stream is not None else WINDOW
    where, values = _where(wanted)
    found: list[StoredEvent] = []
    through = head
    while through > 0 and len(found) < limit:
        after = max(0, through - step)
        sql = schema.events(where, "position DESC")
        events, whole = read_events(connection, sql, (after, through, *values), limit - len(found))
        found += events
        through = after if whole else events[-1].position - 1
    return Batch(found[::-1], head)
