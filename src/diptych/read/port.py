"""The view-store port: where query models rest, and how answerers read them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeAlias, TypeVar, runtime_checkable

from msgspec import Struct
from msgspec.structs import force_setattr

from diptych.log.inline import RowFold
from diptych.log.names import Stamp
from diptych.message import Position

T = TypeVar("T")


class Shape(Struct, frozen=True, kw_only=True):
    """The table of one version of a view.

    Attributes:
        view: Stored name of the view.
        row: Class of its rows; its fields are the columns, in order.
        key: Fields that name a row.
        fields: Their stored form, to be compared over time.
        key_type: What the key is where it is no field of the row, but a column beside it; rows are
            given and taken as `Beside` then.
        checkpoint: Name of its checkpoint: each version has its own.
    """

    view: str
    version: int
    row: type
    key: tuple[str, ...]
    fields: Mapping[str, str] = {}
    key_type: type | None = None
    checkpoint: str = ""

    def __post_init__(self) -> None:
        force_setattr(self, "checkpoint", f"{self.view}@{self.version}")

    @property
    def is_beside(self) -> bool:
        """Whether the key is a column beside the row."""
        return self.key_type is not None

    @property
    def stamp(self) -> Stamp:
        """What the store should remember of it."""
        fields = {**self.fields, "(key)": ", ".join(self.key)}
        return Stamp("view", self.checkpoint, self.version, fields)


class Beside(Struct, frozen=True):
    """A row, and the key beside it."""

    key: Any
    row: Any


class TableSet(Struct, frozen=True, kw_only=True):
    """The tables that one version of a projection fills.

    Attributes:
        metadata: SQLAlchemy's.
        names: Of its tables.
        stamps: What the store should remember of them.
    """

    projection: str
    version: int
    metadata: Any
    names: frozenset[str]
    stamps: tuple[Stamp, ...]
    checkpoint: str = ""

    def __post_init__(self) -> None:
        force_setattr(self, "checkpoint", f"{self.projection}@{self.version}")


Followed: TypeAlias = Shape | TableSet
"""What is kept of the log, up to a checkpoint."""


class Origin(Struct, frozen=True):
    """The log that views are folded from.

    Attributes:
        head: As of now.
    """

    context: str
    epoch: str
    head: Position


class Begun(Struct, frozen=True):
    """What a store found of a view when it was opened.

    Attributes:
        position: Its checkpoint.
        target: The head of the log when the view was opened for the very first time; before it is
            there, the view shows half of what was.
        older: The newest older version in this store that is filled and has the same fields.
    """

    position: Position
    target: Position
    older: Shape | None = None


class Loaded(Struct, frozen=True):
    """Rows by key, and the checkpoint that they are true at; both of one snapshot."""

    position: Position
    rows: Mapping[tuple[Any, ...], Any]


class Snapshot(Struct, frozen=True):
    """How far everything was when a session began to read.

    Attributes:
        head: Of the log; None where the log is in another store.
        checkpoints: By checkpoint name; a view that has not begun is missing, or at 0.
    """

    head: Position | None
    checkpoints: Mapping[str, Position]


class Found(Struct, frozen=True):
    """What a statement gave."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


class Session(Protocol):
    """Reads of one answer from one store: all of one snapshot, which begins with the first."""

    @property
    def snapshot(self) -> Snapshot | None:
        """None before the first read."""
        ...

    async def begin(self) -> Snapshot:
        """The snapshot; taken now if nothing was read yet."""
        ...

    async def get(self, shape: Shape, key: tuple[Any, ...]) -> Any | None:
        """The row, or None."""
        ...

    async def all(self, shape: Shape) -> Sequence[Any]:
        """All rows, in no particular order."""
        ...


class SqlSession(Session, Protocol):
    """A session that takes SQLAlchemy's statements."""

    async def select(self, statement: Any) -> Found:
        """What a statement gives.

        Raises:
            ReadOnly: It would write.
        """
        ...

    async def run(self, function: Callable[[Any], T]) -> T:
        """What a function of a `sqlalchemy.orm.Session` returns; it runs where reading blocks nobody.

        Raises:
            ReadOnly: It would write.
        """
        ...


class ViewStore(Protocol):
    """Keeps views and their checkpoints, always together."""

    async def open(
        self,
        shapes: Sequence[Shape],
        *,
        origin: Origin,
        inline: Mapping[str, RowFold] | None = None,
    ) -> Mapping[str, Begun]:
        """Creates what is missing.

        Args:
            inline: By checkpoint, the views to be kept in the commit of the events themselves.

        Returns:
            How each view stands, by checkpoint.

        Raises:
            ForeignStore: It holds the views of another log.
            SchemaChanged: A view's fields changed, but not its version.
        """
        ...

    async def close(self) -> None:
        """Lets go of everything."""
        ...

    async def load(self, shape: Shape, keys: Sequence[tuple[Any, ...]]) -> Loaded:
        """The rows of these keys that exist, and the checkpoint."""
        ...

    async def save(
        self,
        shape: Shape,
        upserts: Sequence[Any],
        deletes: Sequence[tuple[Any, ...]],
        *,
        expected: Position,
        position: Position,
    ) -> bool:
        """Writes rows and moves the checkpoint, both or neither.

        Returns:
            False if the checkpoint is not at `expected`: somebody else has gone on.
        """
        ...

    async def checkpoint(self, kept: Followed) -> Position:
        """How far it has got; 0 before the first event."""
        ...

    async def wait(self, kept: Followed, position: Position) -> None:
        """Returns when the stored checkpoint is at `position` or beyond, whoever moved it."""
        ...

    def session(self) -> AbstractAsyncContextManager[Session]:
        """A read-only session."""
        ...


@runtime_checkable
class SqlViewStore(ViewStore, Protocol):
    """A view store whose views are tables, and which takes tables of others."""

    async def take(self, projections: Sequence[TableSet], *, origin: Origin) -> Mapping[str, Begun]:
        """Creates what is missing of the tables that projections fill; after `open`.

        Returns:
            How each projection stands, by checkpoint.

        Raises:
            SchemaChanged: A table belongs to another projection, or to another version.
        """
        ...

    async def execute(
        self,
        projection: TableSet,
        statements: Sequence[Any],
        *,
        expected: Position,
        position: Position,
    ) -> bool:
        """Executes SQLAlchemy's statements and moves the checkpoint, all or nothing.

        Returns:
            False if the checkpoint is not at `expected`: somebody else has gone on.

        Raises:
            BadResult: The database does not take one of them.
        """
        ...

    def table(self, shape: Shape) -> Any:
        """The SQLAlchemy table, for statements."""
        ...

    def filled_by(self, table: str) -> str | None:
        """The checkpoint of the view, or projection, whose table this is; None where it is none's."""
        ...

    def session(self) -> AbstractAsyncContextManager[SqlSession]:
        """A read-only session."""
        ...


class ReadReplica(SqlViewStore, Protocol):
    """A copy of the database beside the log, which answers are read from. It may lag."""

    async def follow(self, kept: Sequence[Followed], *, origin: Origin) -> None:
        """Opens it; returns when it has all that is to be read.

        Raises:
            ForeignStore: It is a copy of something else.
            StoreUnavailable: It cannot be opened, or has not got that after a while.
        """
        ...

    async def head(self) -> Position:
        """Of the log, as far as it is there."""
        ...
