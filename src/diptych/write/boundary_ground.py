"""The ground of boundaries: a fold per set of tags, at a position, and read on from there."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from operator import attrgetter
from typing import Any

from diptych.log.codec import EventCodec
from diptych.log.commit import (
    Append,
    Appended,
    Cause,
    Committed,
    Condition,
    NewEvent,
    Settled,
    Tagged,
)
from diptych.log.port import Store
from diptych.message import Position, Recorded
from diptych.write.boundary import Boundary, Items
from diptych.write.standing import Waiters, evolve_stored, wants_facts

GUESS = 16
"""Sets of tags in a row under which a read found nothing, before the next one is taken to be empty
without a read. Rules of the kind "this name is taken by nobody" find nothing nearly always."""


class _Flight:
    """A commit on its way."""

    __slots__ = ("besides", "doomed", "events", "id", "landed", "number", "tags")

    def __init__(
        self,
        number: int,
        id: str,
        events: Sequence[tuple[Any, frozenset[str]]],
        besides: frozenset[str],
    ) -> None:
        self.number = number
        self.id = id
        self.events = events
        self.besides = besides
        """The commits that it was decided upon while they were on their way."""
        self.doomed = False
        """One of those fell out, and so will this one: nobody stands on it any more."""
        self.tags = (
            events[0][1] if len(events) == 1 else {tag for _, tags in events for tag in tags}
        )
        self.landed: Waiters | None = None

    async def land(self) -> None:
        """Returns when it has arrived."""
        if self.landed is None:
            self.landed = Waiters()
        await self.landed.wait()


class BoundaryGround:
    """Keeps the folds of one boundary.

    Args:
        size: Folds kept; the one longest untouched falls out.
    """

    def __init__(self, model: Boundary[Any], codec: EventCodec, store: Store, size: int) -> None:
        self._model = model
        self._codec = codec
        self._store = store
        self._size = size
        self._facts = wants_facts(model.decider)
        self._names = codec.names(tuple(model.decider.evolves))
        self._kept: dict[tuple[str, Items], tuple[Any, Position]] = {}
        self._flying: dict[tuple[str, str], dict[_Flight, None]] = {}
        self._numbers = count()
        self._empty = 0
        """Reads in a row that found nothing under tags not met before."""

    def at_hand(self, tenant: str, command: Any) -> BoundaryStanding | None:
        """A guess that there is nothing under the tags yet, where that was so lately; else None.

        What is kept may have been written under by others, so it is always read on. A wrong guess
        costs a conflict and another attempt: the condition is looked up under the lock.
        """
        if self._empty < GUESS or self._facts:
            return None
        items = self._model.reads(command)
        if (tenant, items) in self._kept:
            return None
        query = Tagged(self._names, items)
        flying = self._matching(tenant, items)
        return self._standing(
            tenant, command, query, self._model.decider.initial, 0, flying, guess=True
        )

    async def stand(self, tenant: str, command: Any, *, alone: bool) -> BoundaryStanding:
        query = Tagged(self._names, self._model.reads(command))
        while True:
            state, position = await self._committed(tenant, query)
            flying = self._matching(tenant, query.items)
            if flying and (alone or self._facts):
                await flying[0].land()
                continue
            return self._standing(tenant, command, query, state, position, flying, guess=False)

    def _standing(
        self,
        tenant: str,
        command: Any,
        query: Tagged,
        state: Any,
        position: Position,
        flying: Sequence[_Flight],
        *,
        guess: bool,
    ) -> BoundaryStanding:
        """A standing on a state, with what is on its way counted in."""
        besides: frozenset[str] = frozenset()
        if flying:
            state, besides = self._counted_in(query.items, state, flying)
        condition = Condition(query, position, besides)
        return BoundaryStanding(
            self, tenant, state, self._model.stream(command), condition, guess=guess
        )

    def _counted_in(
        self, items: Items, state: Any, flying: Sequence[_Flight]
    ) -> tuple[Any, frozenset[str]]:
        """The state with what is on its way, and whose commits those are."""
        besides: set[str] = set()
        evolves = self._model.decider.evolves
        for flight in flying:
            for event, tags in flight.events:
                route = evolves.get(event.__class__)
                if route is not None and _carries(items, tags):
                    state = route.function(state, event)
                    besides.add(flight.id)
        return state, frozenset(besides)

    def guessed_wrong(self) -> None:
        """From now on it is read again."""
        self._empty = 0

    async def missed(self, tenant: str, command: Any, seen: Position) -> list[Recorded[Any]]:
        query = Tagged(self._names, self._model.reads(command))
        batch = await self._store.read_tagged(tenant, query, after=seen)
        return [self._codec.recorded(event) for event in batch.events]

    async def _committed(self, tenant: str, query: Tagged) -> tuple[Any, Position]:
        decider = self._model.decider
        key = (tenant, query.items)
        kept = self._kept.pop(key, None)
        state, position = (decider.initial, 0) if kept is None else kept
        if kept is not None:
            self._kept[key] = kept  # now the one touched last
        batch = await self._store.read_tagged(tenant, query, after=position)
        for stored in batch.events:
            state = evolve_stored(decider, self._codec, state, stored)
        if kept is None:
            self._empty = 0 if batch.events else self._empty + 1
        if batch.events or kept is not None:
            kept = self._kept.get(key)
            if kept is None or kept[1] < batch.through:
                self._kept[key] = (state, batch.through)
                if len(self._kept) > self._size:
                    del self._kept[next(iter(self._kept))]
        return state, batch.through

    def _matching(self, tenant: str, items: Items) -> list[_Flight]:
        """Commits on their way with an event under these tags, in the order they were sent."""
        flying = self._flying
        if not flying:
            return []
        found: dict[_Flight, None] = {}
        for item in items:
            for flight in flying.get((tenant, item[0]), ()):
                if not flight.doomed and any(_carries((item,), t) for _, t in flight.events):
                    found[flight] = None
        if not found:
            return []
        return sorted(found, key=attrgetter("number"))

    def foresee(self, state: Any, events: Sequence[Any]) -> None:
        """What evolve cannot take must not be stored: it would bar the tags for good."""
        if self._facts:
            return  # it asks for positions, which are not known yet
        evolves = self._model.decider.evolves
        for event in events:
            route = evolves.get(event.__class__)
            if route is not None:
                state = route.function(state, event)

    def send(
        self,
        tenant: str,
        id: str,
        events: Sequence[Any],
        new: Sequence[NewEvent],
        besides: frozenset[str],
    ) -> _Flight:
        """Notes a commit that is on its way."""
        pairs = [(e, frozenset(n.tags)) for e, n in zip(events, new, strict=True)]
        flight = _Flight(next(self._numbers), id, pairs, besides)
        for tag in flight.tags:
            self._flying.setdefault((tenant, tag), {})[flight] = None
        return flight

    def fall_out(self, tenant: str, flight: _Flight) -> None:
        """It did not happen: what was decided upon it will not, either. Without this, commands that
        stand on each other's attempts could fail for ever once the first of them has."""
        for tag in flight.tags:
            for other in self._flying.get((tenant, tag), ()):
                if not other.doomed and flight.id in other.besides:
                    other.doomed = True
                    self.fall_out(tenant, other)

    def land(self, tenant: str, flight: _Flight) -> None:
        """It has arrived, or nobody knows."""
        for tag in flight.tags:
            under = self._flying.get((tenant, tag))
            if under is not None:
                under.pop(flight, None)
                if not under:
                    del self._flying[(tenant, tag)]
        if flight.landed is not None:
            flight.landed.wake()


class BoundaryStanding:
    """A decision on the fold of the events under some tags."""

    __slots__ = ("_condition", "_flight", "_ground", "_tenant", "guess", "state", "stream")

    def __init__(
        self,
        ground: BoundaryGround,
        tenant: str,
        state: Any,
        stream: str,
        condition: Condition,
        *,
        guess: bool,
    ) -> None:
        self.guess = guess
        self._ground = ground
        self._tenant = tenant
        self._condition = condition
        self._flight: _Flight | None = None
        self.state = state
        self.stream = stream

    def expectations(
        self, events: Sequence[Any], new: tuple[NewEvent, ...]
    ) -> tuple[tuple[Append, ...], Condition | None]:
        return (Append(self.stream, None, new),), self._condition

    def sent(self, cause: Cause, events: Sequence[Any], new: tuple[NewEvent, ...]) -> None:
        if events:
            self._ground.foresee(self.state, events)
            besides = self._condition.besides
            self._flight = self._ground.send(self._tenant, cause.id, events, new, besides)

    def arrived(self, committed: Committed | None) -> None:
        happened = isinstance(committed, Appended | Settled)
        if self._flight is not None:
            if not happened:
                self._ground.fall_out(self._tenant, self._flight)
            self._ground.land(self._tenant, self._flight)
        if self.guess and not happened:
            self._ground.guessed_wrong()


def _carries(items: Items, tags: frozenset[str]) -> bool:
    return any(tags.issuperset(item) for item in items)
