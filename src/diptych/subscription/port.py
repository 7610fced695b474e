"""What follows the log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from diptych.log.port import Batch
from diptych.message import Position


class Follower(Protocol):
    """Takes events in order and remembers, by itself, how far it has got."""

    @property
    def title(self) -> str:
        """How messages name it."""
        ...

    @property
    def names(self) -> Sequence[str]:
        """Stored names of the events it takes."""
        ...

    @property
    def moves_by_itself(self) -> bool:
        """Whether its checkpoint moves with the commits; only what was missed is for it to take."""
        ...

    async def checkpoint(self) -> Position:
        """The last position it has finished."""
        ...

    async def take(self, batch: Batch, *, after: Position) -> Position:
        """Takes the events after `after`, and returns how far it has got.

        That is `batch.through`, or another position where somebody else moved the checkpoint.
        """
        ...
