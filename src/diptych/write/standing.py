"""What decisions stand on: committed states in a cache, and commits that are still on their way.

Commands that come together for one stream, or for overlapping tags, are one chain: each is decided
on the state that its predecessors would leave, although none has committed yet. Its commit says so
(`Append.upon`, `Condition.besides`), so that the store refuses it if a predecessor fell out. The
cache takes committed state only, and the store's check is never skipped for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

from diptych.errors import SchemaChanged
from diptych.log.codec import EventCodec
from diptych.log.commit import Append, Cause, Committed, Condition, NewEvent
from diptych.log.port import StoredEvent
from diptych.message import Position, Recorded
from diptych.write.decider import Decider

PAGE = 1000
"""Events of a long stream that are read at a time."""


class Standing(Protocol):
    """One decision's ground: the state, and how to say in a commit what was stood on."""

    stream: str

    @property
    def state(self) -> Any: ...

    @property
    def guess(self) -> bool:
        """Whether the state is not known but likely; a decision that breaks on it says nothing."""
        ...

    def expectations(
        self, events: Sequence[Any], new: tuple[NewEvent, ...]
    ) -> tuple[tuple[Append, ...], Condition | None]:
        """The parts of a commit that carry the events and what they stand on.

        Args:
            events: As decided; none for a refusal.
            new: The same, encoded.
        """
        ...

    def sent(self, cause: Cause, events: Sequence[Any], new: tuple[NewEvent, ...]) -> None:
        """The commit is on its way: followers may stand on it. Called without any awaiting."""
        ...

    def arrived(self, committed: Committed | None) -> None:
        """What became of it (also where nothing was sent); None where that is not known."""
        ...


class Ground(Protocol):
    """Gives decisions of one model something to stand on."""

    def at_hand(self, tenant: str, command: Any) -> Standing | None:
        """Where a decision can be made at once; None where something must be read first."""
        ...

    async def stand(self, tenant: str, command: Any, *, alone: bool) -> Standing:
        """Where a decision can be made; no commit that matters comes before it is sent.

        Args:
            alone: Wait until nothing it would stand on is still on its way.
        """
        ...

    async def missed(self, tenant: str, command: Any, seen: Position) -> list[Recorded[Any]]:
        """The events after `seen` on what this command stands on."""
        ...


class Waiters:
    """Tasks that wait until something has gone on."""

    __slots__ = ("_futures",)

    def __init__(self) -> None:
        self._futures: list[asyncio.Future[None]] = []

    async def wait(self) -> None:
        """Returns when woken."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._futures.append(future)
        await future

    def wake(self) -> None:
        """Wakes all."""
        futures, self._futures = self._futures, []
        for future in futures:
            if not future.done():
                future.set_result(None)


def wants_facts(decider: Decider[Any]) -> bool:
    """Whether a state cannot be told before the commit, since evolve asks for its position."""
    return any(route.wants_facts for route in decider.evolves.values())


def no_function(stream: str, name: str) -> SchemaChanged:
    """The error for an event that was stored once and has no evolve any more."""
    return SchemaChanged(
        f"{stream} holds {name!r}, which its evolve does not take any more. "
        "Keep a function for every event that was ever stored."
    )


def evolve_stored(decider: Decider[Any], codec: EventCodec, state: Any, stored: StoredEvent) -> Any:
    """The state after one more event of the log.

    Raises:
        SchemaChanged: The event has no function any more.
    """
    event = codec.decode(stored)
    route = decider.evolves.get(event.__class__)
    if route is None:
        raise no_function(stored.stream, stored.name)
    if route.wants_facts:
        return route.function(state, event, codec.recorded(stored))
    return route.function(state, event)


class ReadsStreams(Protocol):
    """A store, or a transaction of one."""

    async def read_stream(
        self, tenant: str, stream: str, *, after: int, limit: int, beyond: Position = 0
    ) -> Sequence[StoredEvent]: ...


async def read_beyond(
    store: ReadsStreams, codec: EventCodec, tenant: str, stream: str, seen: Position
) -> list[Recorded[Any]]:
    """All events of a stream after a position."""
    found: list[Recorded[Any]] = []
    version, more = 0, True
    while more:
        page = await store.read_stream(tenant, stream, after=version, limit=PAGE, beyond=seen)
        found += map(codec.recorded, page)
        more = len(page) == PAGE
        version = page[-1].version if page else version
    return found
