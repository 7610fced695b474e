"""The store port: what a log must be able to do. One contract suite holds all adapters to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, runtime_checkable

from msgspec import Raw, Struct

from diptych.log.commit import Commit, Committed, Settled, Tagged
from diptych.log.names import Stamp
from diptych.message import Position


class StoredEvent(Struct, frozen=True, array_like=True, gc=False):
    """An event as it rests in the log.

    Attributes:
        schema: Version of its shape, from 1.
        data: JSON in that shape.
        time: Microseconds since 1970, UTC.
        causation: Id of the command that caused it.
    """

    position: Position
    tenant: str
    stream: str
    version: int
    name: str
    schema: int
    data: str
    time: int
    causation: str
    correlation: str
    principal: str


class Batch(Struct, frozen=True):
    """Events in order of position, and how far they are complete.

    Attributes:
        through: No matching event at or below this position is missing; none will come.
    """

    events: Sequence[StoredEvent]
    through: Position


class Page(Struct, frozen=True, array_like=True):
    """Events of one stream as a fold needs them: without what the log knows of each.

    Attributes:
        schema: The highest among them.
        names: Stored names, in order.
        data: A JSON array of their data.
    """

    schema: int
    names: list[str]
    data: Raw


def page_of(events: Sequence[StoredEvent]) -> Page:
    """The same events, without what the log knows of each."""
    if not events:
        return Page(1, [], Raw(b"[]"))
    return Page(
        max(event.schema for event in events),
        [event.name for event in events],
        Raw(f"[{','.join(event.data for event in events)}]".encode()),
    )


class Store(Protocol):
    """A log with its outcomes and checkpoints: one value is committed at a time, or not at all."""

    @property
    def epoch(self) -> str:
        """Which incarnation of the log this is; receipts of another one are refused."""
        ...

    async def open(self, context: str, stamps: Sequence[Stamp]) -> None:
        """Creates what is missing, and compares the names in the store with these.

        Raises:
            ForeignStore: It belongs to another context or program.
            SchemaChanged: A stored name means something else in the code.
            StoreUnavailable, StoreCorrupt: It cannot be opened.
        """
        ...

    async def close(self) -> None:
        """Waits for what was taken, then lets go of everything. May be opened again."""
        ...

    def commit(self, commit: Commit) -> Awaitable[Committed]:
        """Judges and writes. Commits are judged in the order of the calls, before any awaiting.

        The outcome is looked up first, then versions, condition and checkpoints are compared.

        Raises:
            Overloaded: At once, if too many wait.
            CommitUnknown: Whether it happened could not be found out.
            StoreFault: It did not happen.
        """
        ...

    async def outcome(self, tenant: str, id: str) -> Settled | None:
        """The stored outcome of a command; None if it did not happen (or was long ago)."""
        ...

    async def read_all(
        self, *, after: Position, limit: int, names: Sequence[str] | None = None
    ) -> Batch:
        """Events with position > after, ascending, at most `limit`; fewer at the head, or where they
        are large.

        Never skips a position that a slower writer may still fill.
        """
        ...

    async def read_stream(
        self, tenant: str, stream: str, *, after: int, limit: int, beyond: Position = 0
    ) -> Sequence[StoredEvent]:
        """Events with version > after and position > beyond, ascending, at most `limit`."""
        ...

    def read_page(self, tenant: str, stream: str, *, after: int, limit: int) -> Awaitable[Page]:
        """Like `read_stream`, for a fold: much cheaper where many streams are read at once."""
        ...

    def read_tagged(self, tenant: str, query: Tagged, *, after: Position) -> Awaitable[Batch]:
        """All matching events with position > after, of one snapshot whose head is `through`."""
        ...

    async def head(self) -> Position:
        """Position of the last committed event; 0 for an empty log."""
        ...


@runtime_checkable
class Wakes(Protocol):
    """A store that can say when there is something new."""

    async def wait_for_news(self, after: Position) -> None:
        """Returns when the head is beyond `after`, whoever wrote. May return early."""
        ...


class Collision(Exception):
    """Statements of a unit met somebody else's, so nothing of it has happened; they may be run anew.

    Attributes:
        error: Of the database, for when that does not help.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class Unit(Protocol):
    """One transaction that somebody else's statements share with a commit."""

    session: Any
    """Of the type that was asked for."""

    settled: Settled | None
    """The stored outcome of the command, where its id was given."""

    head: Position
    """Of the log, when the transaction began."""

    version: int | None
    """Of the stream, when the transaction began; None where nothing can come in between."""

    async def read_stream(
        self, tenant: str, stream: str, *, after: int, limit: int, beyond: Position = 0
    ) -> Sequence[StoredEvent]:
        """As `Store.read_stream`, in this transaction."""
        ...

    async def undo(self) -> None:
        """Takes back what the session did; the transaction goes on."""
        ...

    async def commit(self, commit: Commit) -> Committed:
        """Commits it with what the session did, or neither. Ends the transaction.

        Raises:
            BadResult: The session was committed or rolled back by hand.
            Collision: Nothing has happened; it may be tried anew.
            CommitUnknown, StoreFault: As for `Store.commit`.
        """
        ...


@runtime_checkable
class Units(Protocol):
    """A store that lends sessions for its own transactions."""

    def lends(self, session: type) -> bool:
        """Whether it can give a session of this type."""
        ...

    def unit(
        self, session: type, *, tenant: str, stream: str, id: str | None
    ) -> AbstractAsyncContextManager[Unit]:
        """Waits for its turn, and begins a transaction in which nobody else has one for this stream;
        a store may have but one at a time.

        Left without a commit, nothing of it has happened. It raises `Collision` of errors of the
        session's statements that mean so.

        Args:
            stream: Which the commit will append to.
            id: Of the command, whose outcome is looked up first; None where it was drawn.
        """
        ...


@runtime_checkable
class UserTables(Protocol):
    """A store that keeps its users' own tables in its database."""

    async def create_tables(self, metadata: Sequence[Any]) -> None:
        """Creates what is missing.

        Args:
            metadata: SQLAlchemy's.
        """
        ...


@runtime_checkable
class Joins(Protocol):
    """A store that can commit inside a transaction which its user owns, on the same database."""

    def joined(
        self, session: Any, ready: Callable[[], Awaitable[None]]
    ) -> AbstractAsyncContextManager[None]:
        """Takes the write lock in the transaction of an asynchronous session, in its turn; the
        session keeps it to its end.

        Args:
            ready: Awaited before, unless the session has the lock already.

        Raises:
            JoinFailed: That transaction cannot carry events.
            ForeignStore: It is on another database.
            StoreUnavailable: Somebody else had the lock for too long.
        """
        ...

    def begin_join_now(self, session: Any, ready: Callable[[], Awaitable[None]]) -> None:
        """The same for a session that blocks, in a thread that is not the loop's."""
        ...

    def end_join(self, session: Any, commit: Commit) -> Committed:
        """Judges a commit and writes it into the session's transaction; runs where that runs.

        Appended means that it happens if the session commits.
        """
        ...
