"""Looking at a store from outside: nothing is created, stamped, started or changed by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from diptych.log.pauses import Pause
from diptych.log.port import Batch
from diptych.log.presence import ViewProgress
from diptych.message import Position


class Process(Struct, frozen=True, kw_only=True):
    """What a process said of itself, the last time it was heard. Times in microseconds since 1970.

    Attributes:
        space: Which numbering of processes `pid` belongs to (Linux's namespace); "" where there is
            only one.
        started: When it opened the store.
        seen: When it was last heard.
        left: When it went, of its own accord; None while it has not.
    """

    id: str
    host: str
    space: str
    pid: int
    started: int
    seen: int
    left: int | None
    views: tuple[ViewProgress, ...]


class Checkpoint(Struct, frozen=True):
    """How far a view has got, and where it will have been filled for the first time."""

    position: Position
    target: Position


class Standing(Struct, frozen=True, kw_only=True):
    """How everything stands in a store, all of one moment.

    Attributes:
        now: The time of that moment, as the store tells it (microseconds).
        head_time: When the last event was decided (microseconds); None for an empty log.
        checkpoints: Of the views whose checkpoints rest in this store.
        pauses: Those that have not ended, by view.
        oldest: By position, when the first event after it was decided; for all positions of views.
        size: Bytes of its tables; None where it is a file, which can be looked at itself.
    """

    context: str
    epoch: str
    now: int
    head: Position
    head_time: int | None
    checkpoints: Mapping[str, Checkpoint]
    pauses: Mapping[str, Pause]
    oldest: Mapping[Position, int]
    processes: Sequence[Process]
    size: int | None = None


class Wanted(Struct, frozen=True, kw_only=True):
    """Which events.

    Attributes:
        names: Stored names; all where there are none.
    """

    stream: str | None = None
    tenant: str = ""
    names: tuple[str, ...] = ()


class Inspection(Protocol):
    """A store, looked at from outside.

    Every method raises `StoreFault` where it cannot be read: missing, foreign, damaged.
    """

    async def standing(self) -> Standing:
        """How everything stands now."""
        ...

    async def last(self, wanted: Wanted, *, limit: int) -> Batch:
        """The last events, at most `limit`, ascending."""
        ...

    async def after(self, wanted: Wanted, *, after: Position, limit: int) -> Batch:
        """Events with position > after, ascending, at most `limit`."""
        ...
