"""Views that are being filled for the first time, and what is shown of them meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from diptych.message import Position
from diptych.read.port import Begun, Shape


class Filling:
    """Knows which views have not yet reached the head that the log had when they were new.

    Nobody is shown half of such a view. Where an older version with the same fields is there, it
    is shown instead.

    Args:
        position: How far a view has got, as far as this process knows.
    """

    def __init__(self, position: Callable[[str], Position]) -> None:
        self._position = position
        self._begun: dict[str, Begun] = {}

    def begin(self, begun: Mapping[str, Begun]) -> None:
        """Takes down how the views stand."""
        self._begun.update({n: one for n, one in begun.items() if one.position < one.target})

    def target(self, checkpoint: str) -> Position:
        """Where it will be filled; 0 where it is."""
        begun = self._begun.get(checkpoint)
        if begun is None:
            return 0
        self.tell(checkpoint, self._position(checkpoint))
        return begun.target if checkpoint in self._begun else 0

    def tell(self, checkpoint: str, position: Position) -> None:
        """A view has got (at least) there."""
        begun = self._begun.get(checkpoint)
        if begun is not None and position >= begun.target:
            del self._begun[checkpoint]

    def shown(self, shape: Shape) -> Shape:
        """The version whose rows are shown."""
        if not self._begun or not self.target(shape.checkpoint):
            return shape
        return self._begun[shape.checkpoint].older or shape
