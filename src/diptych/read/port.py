"""The view-store port: where views rest, and how answerers read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from msgspec import Struct

from diptych.log.inline import RowFold
from diptych.message import Position


class Shape(Struct, frozen=True, kw_only=True):
    """The table of one version of a view.

    Attributes:
        view: Stored name of the view.
        row: Class of its rows; its fields are the columns, in order.
        key: Fields that name a row.
    """

    view: str
    version: int
    row: type
    key: tuple[str, ...]

    @property
    def checkpoint(self) -> str:
        """Name of its checkpoint: each version has its own."""
        return f"{self.view}@{self.version}"


class Loaded(Struct, frozen=True):
    """Rows by key, and the checkpoint that they are true at; both of one snapshot."""

    position: Position
    rows: Mapping[tuple[Any, ...], Any]


class Snapshot(Struct, frozen=True):
    """How far everything was when a session began to read.

    Attributes:
        head: Of the log.
        checkpoints: By checkpoint name; a view that has not begun is missing.
    """

    head: Position
    checkpoints: Mapping[str, Position]


class Found(Struct, frozen=True):
    """What a statement gave.

    Attributes:
        views: The views whose tables it names; None where that cannot be told.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    views: frozenset[str] | None


class Session(Protocol):
    """Reads of one answer: all of one snapshot, which begins with the first of them."""

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

    async def select(self, statement: Any) -> Found:
        """What an SQLAlchemy statement gives.

        Raises:
            ReadOnly: It would write.
        """
        ...

    async def oldest(self, after: Position) -> int | None:
        """Time (microseconds) of the first event after a position; None where there is none."""
        ...


class ViewStore(Protocol):
    """Keeps views and their checkpoints, always together."""

    async def open(
        self, shapes: Sequence[Shape], *, inline: Mapping[str, RowFold] | None = None
    ) -> None:
        """Creates what is missing.

        Args:
            inline: By checkpoint, the views to be kept in the commit of the events themselves.
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

    async def checkpoint(self, shape: Shape) -> Position:
        """How far it has got; 0 before the first event."""
        ...

    async def wait(self, shape: Shape, position: Position) -> None:
        """Returns when the stored checkpoint is at `position` or beyond, whoever moved it."""
        ...

    def table(self, shape: Shape) -> Any:
        """The SQLAlchemy table, for statements."""
        ...

    def session(self) -> AbstractAsyncContextManager[Session]:
        """A read-only session."""
        ...
