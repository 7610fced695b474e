"""One value holds what one atomic step may do, and one what became of it."""

from __future__ import annotations

from typing import Any, TypeAlias

from msgspec import Struct

from diptych.message import Position


class NewEvent(Struct, frozen=True):
    """An event to be appended.

    Attributes:
        name: Stored name.
        schema: Version of its shape, from 1.
        data: JSON.
        tags: What boundaries may find it by.
    """

    name: str
    schema: int
    data: str
    tags: tuple[str, ...] = ()


class StateTable(Struct, frozen=True):
    """A table of the user's that keeps states.

    Attributes:
        key: The column that is its primary key.
    """

    name: str
    columns: tuple[str, ...]
    key: str


class StateRow(Struct, frozen=True, kw_only=True):
    """The row that keeps a state: what a decision stood on, and what becomes of it.

    Attributes:
        key: As a value of the database, like all values here.
        stood: Every column as the decision knew it; None where there was no row.
        becomes: Every column afterwards; None where there is no row.
        puts: Places of the columns to be written, the others keep what they have; none where
            nothing changes.
        whole: Whether `becomes` is all known: the database may fill columns in when it writes.
        trusted: Nobody else writes the table, so `stood` need not be compared.
    """

    table: StateTable
    key: Any
    stood: tuple[Any, ...] | None
    becomes: tuple[Any, ...] | None
    puts: tuple[int, ...] = ()
    whole: bool = True
    trusted: bool = False


class Append(Struct, frozen=True):
    """Events for one stream.

    Attributes:
        expected: Version the stream must have; None where versions only number the events.
        upon: Id of the command that must have caused the event at `expected`. Given where the
            decision stood on a commit still on its way: the version alone could be somebody
            else's event in its place.
        row: Where the stream's state is kept in a row: it must be as the decision knew it.
    """

    stream: str
    expected: int | None
    events: tuple[NewEvent, ...] = ()
    upon: str | None = None
    row: StateRow | None = None


class Tagged(Struct, frozen=True):
    """Which events a boundary looks at: of one of the types, under one of the items.

    Attributes:
        names: Stored names.
        items: Each a set of tags; an event matches an item if it carries all of them.
    """

    names: tuple[str, ...]
    items: tuple[tuple[str, ...], ...]


class Condition(Struct, frozen=True):
    """Holds if the matching events after `after` are exactly those that `besides` caused.

    So a decision may count in commits that are still on their way: if one of them does not
    happen, or somebody else's event comes in between, the condition fails.

    Attributes:
        besides: Ids of the commands whose events were counted in.
    """

    query: Tagged
    after: Position
    besides: frozenset[str] = frozenset()


class Cause(Struct, frozen=True):
    """Why something is written: stored with each event.

    Attributes:
        time: Microseconds since 1970, UTC.
    """

    id: str
    correlation: str
    principal: str
    tenant: str
    time: int


class Refusal(Struct, frozen=True):
    """A business "no" as it is stored."""

    code: str
    message: str
    values: dict[str, Any] = {}


class Outcome(Struct, frozen=True):
    """What is kept of a command under its id, so that repeating it changes nothing.

    Attributes:
        drawn: The engine drew the id, so nobody can have sent it before.
    """

    fingerprint: bytes
    drawn: bool
    refusal: Refusal | None = None


class Rows(Struct, frozen=True):
    """Rows to put into and keys to remove from one table, as values of the database.

    Attributes:
        types: Of the columns, where the database wants to be told.
    """

    table: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    types: tuple[str, ...] = ()
    upserts: tuple[tuple[Any, ...], ...] = ()
    deletes: tuple[tuple[Any, ...], ...] = ()


class Advance(Struct, frozen=True):
    """Moves a checkpoint; fails as a conflict if it is not where it was expected."""

    checkpoint: str
    expected: Position
    position: Position


class Commit(Struct, frozen=True, kw_only=True):
    """All of it happens, or none.

    Attributes:
        cause: Needed where there are events or an outcome; its tenant is the commit's.
        outcome: Stored under `cause.id`; found there already, it is answered instead.
        statements: SQLAlchemy's, executed in order.
    """

    cause: Cause | None = None
    tenant: str = ""
    appends: tuple[Append, ...] = ()
    condition: Condition | None = None
    outcome: Outcome | None = None
    rows: tuple[Rows, ...] = ()
    statements: tuple[Any, ...] = ()
    advance: tuple[Advance, ...] = ()


class Appended(Struct, frozen=True):
    """It happened.

    Attributes:
        position: Of the last event; without events, the head at the commit.
        versions: Of each append's stream, afterwards.
    """

    position: Position
    versions: tuple[int, ...] = ()


class Conflict(Struct, frozen=True):
    """It did not happen: what it stood on is not so.

    Attributes:
        what: Stream, boundary or checkpoint.
    """

    what: str
    expected: int
    found: int | None


class Settled(Struct, frozen=True):
    """The stored outcome of a command: it happened before (also: what a look-up finds).

    Attributes:
        stream: "" where no stream was touched.
        version: Of the stream afterwards.
        count: How many events; they are the last `count` versions up to `version`.
    """

    id: str
    fingerprint: bytes
    position: Position
    stream: str
    version: int
    count: int
    refusal: Refusal | None


Committed: TypeAlias = Appended | Conflict | Settled
