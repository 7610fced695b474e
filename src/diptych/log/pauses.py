"""Views that stand still because somebody wants it so: who, why, and until when."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from msgspec import Struct


class Pause(Struct, frozen=True, kw_only=True):
    """Ends by itself. Times in microseconds since 1970, by the clock of the store, or of
    whoever paused it where the store is a file.

    Attributes:
        view: Name of the checkpoint: `free-seats@1`.
        by: Who wants it.
        reason: Why, in words.
    """

    view: str
    by: str
    reason: str
    since: int
    until: int


@runtime_checkable
class Pauses(Protocol):
    """A store in which views can be paused."""

    async def pauses(self) -> Mapping[str, Pause]:
        """Those that have not ended, by view."""
        ...


class Pausing(Protocol):
    """Pauses views in a store from outside, whether or not an app has it open."""

    async def pause(self, pause: Pause, *, context: str) -> None:
        """Pauses a view; in place of another pause of it.

        Raises:
            StoreFault: It could not be written, or belongs to another context.
        """
        ...

    async def resume(self, view: str, *, context: str) -> Pause | None:
        """Ends a pause; None where there was none.

        Raises:
            StoreFault: It could not be written, or belongs to another context.
        """
        ...
