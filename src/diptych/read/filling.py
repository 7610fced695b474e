"""Views that are being filled for the first time, and what is shown of them meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from diptych.message import Position
from diptych.read.port import Begun, Shape


class Filling:
    """Knows where views that are new here will have reached the head of their very first start.

    Nobody is shown half of such a view. Where an older version with the same fields is there, it
    is shown instead.

    Args:
        position: How far a view has got, as far as this process knows.
    """

    def __init__(self, position: Callable[[str], Position]) -> None:
        self._position = position
        self._begun: dict[str, Begun] = {}
        self._filled: set[str] = set()

    def begin(self, begun: Mapping[str, Begun]) -> None:
        """Takes down how the views stand."""
        self._begun.update({n: one for n, one in begun.items() if one.position < one.target})

    def target(self, checkpoint: str) -> Position:
        """Where a snapshot must be to show the whole view; 0 where any will do.

        It is for the snapshot to say: what has been filled since then is not in it.
        """
        begun = self._begun.get(checkpoint)
        return 0 if begun is None else begun.target

    def tell(self, checkpoint: str, position: Position) -> None:
        """A view has got (at least) there."""
        if position >= self.target(checkpoint):
            self._filled.add(checkpoint)

    def shown(self, shape: Shape) -> Shape:
        """The version whose rows are shown by a snapshot that begins now."""
        begun = self._begun.get(shape.checkpoint)
        if begun is None or begun.older is None or shape.checkpoint in self._filled:
            return shape
        self.tell(shape.checkpoint, self._position(shape.checkpoint))
        return shape if shape.checkpoint in self._filled else begun.older
