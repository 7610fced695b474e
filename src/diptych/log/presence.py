"""Who is there: what a process that has a store open says of itself, for others to see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from msgspec import Struct

from diptych.message import Position

BEAT = 5.0
"""Seconds between two signs of life."""

SILENT = 3 * BEAT
"""Seconds without one after which a process counts as silent."""


class ViewProgress(Struct, frozen=True):
    """A view that a process keeps going, and how far it has got there.

    Attributes:
        view: Name of its checkpoint: `free-seats@1`.
        target: Where it will have been filled for the first time; 0 where it has been.
        failure: Why it cannot go on at the moment; None while all is well.
        paused: Whether it stands still because somebody wants it so.
    """

    view: str
    position: Position
    target: Position = 0
    failure: str | None = None
    paused: bool = False


@runtime_checkable
class Attends(Protocol):
    """A store in which processes can say that they are there. The time is the store's own."""

    async def attend(self, views: Sequence[ViewProgress]) -> None:
        """Says that this process is there and follows these views; said again every `BEAT`.

        Raises:
            Fault: It could not be written down.
        """
        ...

    async def leave(self) -> None:
        """Says that this process goes, and that nothing is wrong with that.

        Raises:
            Fault: It could not be written down.
        """
        ...
