"""Bugs for the engine to have, so that the checkers can show that they catch them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from diptych.adapters.sqlite.join import Joiner
from diptych.adapters.sqlite.unit import Lender
from diptych.adapters.sqlite.writer import Writer
from diptych.log.commit import Commit, Committed


class _Apart:
    """A unit whose session is a second connection, with a transaction of its own."""

    settled = None
    head = 0

    def __init__(self, lender: Any, session: AsyncSession) -> None:
        self._lender = lender
        self.session = session

    async def undo(self) -> None:
        await self.session.rollback()

    async def commit(self, commit: Commit) -> Committed:
        await self.session.commit()
        committed: Committed = await self._lender._committer.commit(commit)
        return committed


def second_connection() -> None:
    """Handlers get a session of the driver's defaults: it takes no lock before it writes."""
    engines: dict[str, AsyncEngine] = {}

    @asynccontextmanager
    async def unit(
        self: Any, session_type: type, *, tenant: str, id: str | None
    ) -> AsyncGenerator[Any, None]:
        url = f"sqlite+aiosqlite:///{self._path}"
        engine = engines.setdefault(url, create_async_engine(url))
        async with AsyncSession(engine, expire_on_commit=False) as session:
            yield _Apart(self, session)

    Lender.unit = unit  # type: ignore[assignment, method-assign]


def begin_deferred() -> None:
    """The writer begins without the lock, and takes it at its first statement that writes."""

    def begin(self: Any) -> None:
        self.connection.execute("BEGIN")

    Writer._begin = begin  # type: ignore[method-assign]
    Writer.lock_on_the_spot = lambda self: False  # type: ignore[method-assign]


def join_late() -> None:
    """A join takes no lock before its user's first statement that writes."""

    @asynccontextmanager
    async def joined(self: Any, session: Any, ready: Any) -> AsyncGenerator[None, None]:
        yield

    Joiner.joined = joined  # type: ignore[assignment, method-assign]


def no_queue() -> None:
    """Whoever wants the lock asks SQLite to wait for it, as its own busy handler does."""

    def begin(self: Any) -> None:
        self.connection.execute("PRAGMA busy_timeout = 10000")
        self.connection.execute("BEGIN IMMEDIATE")

    @asynccontextmanager
    async def joined(self: Any, session: Any, ready: Any) -> AsyncGenerator[None, None]:
        await session.run_sync(self._lock)
        yield

    Writer._begin = begin  # type: ignore[method-assign]
    Joiner.joined = joined  # type: ignore[assignment, method-assign]


def two_commits() -> None:
    """What a handler wrote is committed before its events are."""

    def commit_unit(self: Any, commit: Commit) -> Any:
        self.connection.execute("COMMIT")
        (answer,) = self._write([commit])
        return answer

    Writer.commit_unit = commit_unit  # type: ignore[method-assign]


BUGS: dict[str, Callable[[], None]] = {
    "second connection": second_connection,
    "begin deferred": begin_deferred,
    "join late": join_late,
    "no queue": no_queue,
    "two commits": two_commits,
}


def plant(bug: str) -> None:
    """Changes this process's engine; the empty one changes nothing."""
    if bug:
        BUGS[bug]()
