"""Events are never edited: an old shape is lifted to today's when it is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from diptych.errors import WiringError

Upcast: TypeAlias = Callable[[dict[str, Any]], dict[str, Any]]
"""Pure: the fields of one shape in, those of the next out."""


class Upcasters:
    """Chains of upcasts by stored event name; the n-th lifts schema n to n + 1.

    Raises:
        WiringError: A name that no event has.
    """

    def __init__(self, chains: Mapping[str, Sequence[Upcast]], names: frozenset[str]) -> None:
        for name in chains:
            if name not in names:
                raise WiringError(
                    f"upcast: no event is named {name!r} here. Names are stored names: "
                    f"{', '.join(sorted(names)) or 'none'}."
                )
        self._chains = {name: tuple(chain) for name, chain in chains.items()}

    def schema(self, name: str) -> int:
        """Today's schema of an event: one more than it has upcasts."""
        return len(self._chains.get(name, ())) + 1

    def lift(self, name: str, schema: int, fields: dict[str, Any]) -> dict[str, Any]:
        """The fields in today's shape."""
        for upcast in self._chains.get(name, ())[schema - 1 :]:
            fields = upcast(fields)
        return fields
