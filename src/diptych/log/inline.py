"""What a store needs of a view that it keeps in the commit of the events themselves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol, TypeAlias

from diptych.log.port import StoredEvent
from diptych.message import Recorded

Key: TypeAlias = tuple[Any, ...]
"""The values of the fields that name a row."""

Step: TypeAlias = tuple[Key, Any, "Recorded[Any] | None"]
"""A row's key, what happened to it, and what the log knows of that (where it is asked for)."""


class RowFold(Protocol):
    """A view as pure functions over stored events."""

    @property
    def names(self) -> frozenset[str]:
        """Stored names of the events that it takes."""
        ...

    def steps(self, stored: StoredEvent) -> Sequence[Step]:
        """What an event says, row by row."""
        ...

    def fold(self, rows: dict[Key, Any], steps: Iterable[Step]) -> None:
        """Takes steps into rows by key; None stands for a row that is removed, or not there."""
        ...
