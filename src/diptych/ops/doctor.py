"""Whether the machine, the store and the app are fit to work together, and what to do where not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from diptych.ops.findings import Exit, Finding, Severity, exit_of

if TYPE_CHECKING:
    from diptych.adapters.machine import Interpreter, Place
    from diptych.app import App
    from diptych.log.inspection import Standing
    from diptych.ops.target import Target

OLDEST_PYTHON = (3, 11, 0)
OLDEST_SQLITE = (3, 38, 0)
WAL_RESET_FIXED = (3, 51, 3)
WAL_RESET_ALSO_FIXED = ((3, 44, 6), (3, 50, 7))
"""Two processes that checkpoint at the same moment could corrupt a file (sqlite.org/wal.html); the
fix was carried back to two older lines."""

LITTLE_ROOM = 1 << 30
NO_ROOM = 64 << 20
LONG_WAL = 128 << 20
"""Bytes."""

DRIFT = 60
"""Seconds that events may lie in the future."""


class Diagnosis(Struct, frozen=True, kw_only=True):
    """What was found, what is well included.

    Attributes:
        store: URL of the store; null where no app could be found.
        strict: Whether warnings count.
    """

    context: str | None
    store: str | None
    strict: bool
    findings: tuple[Finding, ...]

    @property
    def exit(self) -> Exit:
        """Errors, or warnings where they count."""
        return exit_of(self.findings, strict=self.strict)


async def doctor(target: Target, *, strict: bool) -> Diagnosis:
    """Looks at everything; what cannot be looked at is a finding, too. Changes nothing."""
    from diptych.adapters.machine import interpreter, place_of
    from diptych.adapters.opening import build_inspection, file_of, look_at_server, where
    from diptych.errors import AppNotFound, StoreFault, WiringError
    from diptych.ops.kept import kept
    from diptych.ops.server import judge_server

    app: App | None = None
    try:
        app = target.app
        found = [_finding("app", "ok", target.name, f"is the app of context {app.name!r}")]
    except (AppNotFound, WiringError) as error:
        message, _, remedy = str(error).partition(". ")
        found = [_finding("app", "error", "app", message, remedy)]
    machine = judge_interpreter(interpreter())  # after the app's modules have been loaded
    if app is None:
        return Diagnosis(context=None, store=None, strict=strict, findings=(*found, *machine))
    shown = where(app.store)
    file, inspection = file_of(app.store), build_inspection(app.store)
    try:
        server = await look_at_server(app.store)
        if server is None or any("sqlite" in (one.place or "") for one in kept(app.wiring)):
            found += machine
        else:
            found += (one for one in machine if one.code == "python")
        if server is not None:
            found += judge_server(server, shown, now=time.time())
        if file is not None:
            found += judge_place(place_of(file))
        if inspection is None:
            found.append(_finding("store", "ok", shown, "is gone when its process ends"))
        elif file is None or place_of(file).size is not None:
            found += judge_store(app.name, await inspection.standing(), now=time.time())
    except StoreFault as error:
        message, _, remedy = str(error).partition(". ")
        found.append(_finding("store", "error", shown, message, remedy))
    return Diagnosis(context=app.name, store=shown, strict=strict, findings=tuple(found))


def judge_interpreter(facts: Interpreter) -> Iterator[Finding]:
    """Python, SQLite, and whether there is more than one of the latter."""
    python = f"{facts.implementation} {_dotted(facts.python)}"
    if facts.python < OLDEST_PYTHON:
        yield _finding("python", "error", python, "is too old", "Use Python 3.11 or newer.")
    elif facts.bits < 64:
        yield _finding(
            "python", "warning", python, "has 32 bits", "Use 64 bits: files grow beyond 2 GB."
        )
    elif facts.threads_free:
        yield _finding(
            "python",
            "warning",
            python,
            "runs without its global lock, which diptych is not tested with",
            "Use the usual build.",
        )
    else:
        yield _finding("python", "ok", python, "is supported")
    sqlite = f"SQLite {_dotted(facts.sqlite)}"
    if facts.sqlite < OLDEST_SQLITE:
        yield _finding(
            "sqlite",
            "error",
            sqlite,
            "is too old: 3.38 is needed",
            "Use a newer build of Python, or of the system's SQLite.",
        )
    elif not facts.sqlite_serialized:
        yield _finding(
            "sqlite",
            "error",
            sqlite,
            "is not built for threads (SQLITE_THREADSAFE=1)",
            "Use the usual build.",
        )
    elif not _wal_reset_is_fixed(facts.sqlite):
        yield _finding(
            "sqlite",
            "warning",
            sqlite,
            "can damage a file, very rarely, where two processes checkpoint at the same moment",
            f"Use SQLite {_dotted(WAL_RESET_FIXED)} or newer where several processes share a file.",
        )
    else:
        yield _finding("sqlite", "ok", sqlite, "is supported")
    if len(facts.sqlite_libraries) > 1:
        yield _finding(
            "sqlite-libraries",
            "error",
            ", ".join(facts.sqlite_libraries),
            "are SQLite libraries in one process: each drops the other's file locks, and commits "
            "are lost",
            "Let one process use one of them: remove the imports of apsw, pysqlite3 and the like.",
        )
    else:
        yield _finding("sqlite-libraries", "ok", "SQLite", "there is one library in this process")
    if facts.system == "Darwin":
        yield _finding(
            "durability",
            "warning",
            "fsync",
            "does not reach the disk's platters on macOS, so a power cut may lose commits",
            "Keep what must survive that on another system.",
        )
    else:
        yield _finding(
            "durability", "ok", "synchronous=FULL", "every commit is synced before it is answered"
        )


def _wal_reset_is_fixed(version: tuple[int, int, int]) -> bool:
    return version >= WAL_RESET_FIXED or any(
        version[:2] == fixed[:2] and version >= fixed for fixed in WAL_RESET_ALSO_FIXED
    )


def judge_place(facts: Place) -> Iterator[Finding]:
    """Where the store's file is, or would be."""
    if not facts.is_directory:
        yield _finding("store", "error", facts.path, "its directory is missing", "Create it first.")
    elif facts.size is None:
        yield _finding(
            "store",
            "warning",
            facts.path,
            "there is no such file yet",
            "Start the app once, or run this where the app runs: a relative path begins there.",
        )
    kind = facts.kind or "a file system that cannot be told"
    if facts.is_remote:
        yield _finding(
            "file-system",
            "error",
            facts.path,
            f"is on {kind}, a network: SQLite's locks do not hold there, and files are damaged",
            "Put it on a local disk.",
        )
    elif facts.kind in ("tmpfs", "ramfs"):
        yield _finding(
            "file-system",
            "warning",
            facts.path,
            f"is on {kind}, which is memory: gone after a restart",
            "Put it on a disk, unless that is what you want.",
        )
    else:
        yield _finding("file-system", "ok", facts.path, f"is on {kind}")
    severity: Severity = (
        "error" if facts.free < NO_ROOM else "warning" if facts.free < LITTLE_ROOM else "ok"
    )
    room = f"{facts.free >> 20:,} MiB of {facts.total >> 20:,} MiB are free"
    remedy = "" if severity == "ok" else "Make room: a full disk refuses commands."
    yield _finding("disk", severity, facts.mount or facts.directory, room, remedy)
    if facts.size is not None:
        yield from _judge_wal(facts)
    yield from _judge_rights(facts)


def _judge_wal(facts: Place) -> Iterator[Finding]:
    size = facts.wal or 0
    if size > LONG_WAL:
        yield _finding(
            "wal",
            "warning",
            f"{facts.path}-wal",
            f"has {size >> 20:,} MiB: something reads for so long that it cannot be copied into "
            "the file",
            "Look for a program that keeps a transaction open on the file, a backup or a shell.",
        )
    else:
        yield _finding("wal", "ok", f"{facts.path}-wal", f"has {size / (1 << 20):.1f} MiB")


def _judge_rights(facts: Place) -> Iterator[Finding]:
    exists = facts.size is not None
    if not facts.is_directory:
        return
    if exists and not (facts.may_read and facts.may_write):
        what = "write" if facts.may_read else "read"
        yield _finding(
            "permissions",
            "error",
            facts.path,
            f"this user may not {what} it",
            "Run as the user whose file it is, or let this one in.",
        )
    elif not facts.may_write_beside:
        yield _finding(
            "permissions",
            "error",
            str(Path(facts.path).parent),
            "this user may not create files here, and SQLite needs to (-wal, -shm)",
            "Let this user write in the directory.",
        )
    elif facts.exposed:
        yield _finding(
            "permissions",
            "warning",
            facts.path,
            "everybody on this machine may write it",
            f"chmod o-w {facts.path}",
        )
    else:
        yield _finding("permissions", "ok", facts.path, "this user may read and write it")


def judge_store(context: str, standing: Standing, *, now: float) -> Iterator[Finding]:
    """What the store says of itself."""
    if standing.context != context:
        yield _finding(
            "store",
            "error",
            standing.context,
            f"is the context that the store belongs to; this app is {context!r}",
            "Give each context a file, or a schema of a database, of its own.",
        )
        return
    yield _finding("store", "ok", context, f"its log is at position {standing.head}")
    heard = max((process.seen for process in standing.processes), default=0)
    latest = max(standing.head_time or 0, heard) / 1_000_000
    if latest > now + DRIFT:
        at = datetime.fromtimestamp(latest, UTC).isoformat(timespec="seconds")
        yield _finding(
            "clock",
            "warning",
            at,
            "was written already: this machine's clock is behind, or another one was ahead",
            "Let the clock be set (NTP). The order of the log does not depend on it; lags and "
            "status words do.",
        )
    elif now < datetime(2025, 1, 1, tzinfo=UTC).timestamp():
        at = datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds")
        yield _finding("clock", "warning", at, "cannot be today", "Let the clock be set (NTP).")
    else:
        yield _finding("clock", "ok", "clock", "agrees with the log")


def _finding(
    code: str, severity: Severity, subject: str, message: str, remedy: str = ""
) -> Finding:
    return Finding(code=code, severity=severity, subject=subject, message=message, remedy=remedy)


def _dotted(version: tuple[int, int, int]) -> str:
    return ".".join(map(str, version))
