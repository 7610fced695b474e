"""The ground of event-sourced models: one state per stream, and the tip it will have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

from diptych.log.codec import EventCodec, from_micros
from diptych.log.commit import (
    Append,
    Appended,
    Cause,
    Committed,
    Condition,
    NewEvent,
    Settled,
)
from diptych.log.port import Store
from diptych.message import Position, Recorded
from diptych.write.event_sourced import Keyed
from diptych.write.standing import (
    PAGE,
    Waiters,
    evolve_stored,
    no_function,
    read_beyond,
    wants_facts,
)


class Stream:
    """A stream as it is committed, and its tip: as it will be when all on its way has arrived."""

    __slots__ = (
        "flying",
        "fresh",
        "generation",
        "key",
        "landed",
        "state",
        "tip",
        "tip_version",
        "touched",
        "upon",
        "version",
    )

    def __init__(self, key: tuple[str, str], state: Any) -> None:
        self.key = key
        self.state = state
        self.version = 0
        self.fresh = False
        """Until there is a sign that somebody else wrote."""
        self.tip = state
        self.tip_version = 0
        self.upon: str | None = None
        """Id of the command whose commit the tip ends with; None where that has arrived."""
        self.flying = 0
        self.generation = 0
        """Raised when a commit on its way falls out: the others of its chain do not count."""
        self.landed: Waiters | None = None
        self.touched = True

    def settle(self, state: Any, version: int) -> None:
        """This is committed."""
        self.state = state
        self.version = version
        if not self.flying:
            self.tip = state
            self.tip_version = version
            self.upon = None

    def fall_back(self) -> None:
        """The tip is not to be trusted: read on before the next decision."""
        self.generation += 1
        self.fresh = False
        self.flying = 0
        self.tip = self.state
        self.tip_version = self.version
        self.upon = None
        self.wake()

    def wake(self) -> None:
        if self.landed is not None:
            self.landed.wake()
            self.landed = None


class StreamGround:
    """Keeps the streams of one model.

    Args:
        size: Streams kept; of those that nobody touched lately, the oldest falls out.
    """

    def __init__(self, model: Keyed[Any], codec: EventCodec, store: Store, size: int) -> None:
        self._model = model
        self._codec = codec
        self._store = store
        self._size = size
        self.evolves = model.decider.evolves
        self.facts = wants_facts(model.decider)
        self._streams: dict[tuple[str, str], Stream] = {}
        self._loading: dict[tuple[str, str], Waiters | None] = {}

    def at_hand(self, tenant: str, command: Any) -> StreamStanding | None:
        found = self._streams.get((tenant, self._model.stream(command)))
        if found is None or not found.fresh or (found.flying and self.facts):
            return None
        return self._standing(found, command, read=False)

    async def stand(self, tenant: str, command: Any, *, alone: bool) -> StreamStanding:
        key = (tenant, self._model.stream(command))
        read = False
        while True:
            found = self._streams.get(key)
            if found is not None and found.flying and (alone or self.facts or not found.fresh):
                if found.landed is None:
                    found.landed = Waiters()
                await found.landed.wait()
            elif found is None or not found.fresh:
                read = True
                if key in self._loading:  # several commands for one cold stream read it once
                    waiters = self._loading[key]
                    if waiters is None:
                        waiters = self._loading[key] = Waiters()
                    await waiters.wait()
                    continue
                self._loading[key] = None
                try:
                    await self._read(key, command)
                finally:
                    waiters = self._loading.pop(key)
                    if waiters is not None:
                        waiters.wake()
            else:
                return self._standing(found, command, read=read)

    def _standing(self, found: Stream, command: Any, *, read: bool) -> StreamStanding:
        """Args:
        read: Whether it was read for this very decision.
        """
        return StreamStanding(self, found)

    async def missed(self, tenant: str, command: Any, seen: Position) -> list[Recorded[Any]]:
        stream = self._model.stream(command)
        return await read_beyond(self._store, self._codec, tenant, stream, seen)

    async def _read(self, key: tuple[str, str], command: Any) -> None:
        """Gets to know what is committed, from where it is known."""
        found = self._streams.get(key) or Stream(key, self._model.decider.initial)
        state, version = await self._committed(found, command)
        if version >= found.version:
            found.settle(state, version)
        found.fresh = True
        self._streams[key] = found
        if len(self._streams) > self._size:
            self._forget_one()

    async def _committed(self, found: Stream, command: Any) -> tuple[Any, int]:
        """The state of a stream, and its version."""
        key = tenant, stream = found.key
        state, version = found.state, found.version
        more = True
        while more:
            events: list[Any] | None = None
            if not self.facts:
                page = await self._store.read_page(tenant, stream, after=version, limit=PAGE)
                events = self._codec.decode_page(page)
                if events:
                    state = self._fold(state, events, stream)
                    version += len(events)  # versions have no holes
                    more = len(events) == PAGE
            if events is None:
                state, version, more = await self._read_on(key, state, version)
            elif not events:
                more = False
        return state, version

    def _fold(self, state: Any, events: list[Any], stream: str) -> Any:
        functions: dict[type, Callable[[Any, Any], Any]] = {}
        for type_ in set(map(type, events)):
            route = self.evolves.get(type_)
            if route is None:
                raise no_function(stream, self._codec.name(type_))
            functions[type_] = route.function
        if len(functions) == 1:
            return reduce(functions.popitem()[1], events, state)
        for event in events:
            state = functions[event.__class__](state, event)
        return state

    async def _read_on(
        self, key: tuple[str, str], state: Any, version: int
    ) -> tuple[Any, int, bool]:
        """One page the long way: each event with what the log knows of it."""
        tenant, stream = key
        page = await self._store.read_stream(tenant, stream, after=version, limit=PAGE)
        for stored in page:
            state = evolve_stored(self._model.decider, self._codec, state, stored)
            version = stored.version
        return state, version, len(page) == PAGE

    def _forget_one(self) -> None:
        for _ in range(len(self._streams)):
            key = next(iter(self._streams))
            oldest = self._streams.pop(key)
            if not (oldest.touched or oldest.flying):
                return
            oldest.touched = False
            self._streams[key] = oldest


class StreamStanding:
    """A decision on one stream's tip."""

    guess = False
    __slots__ = (
        "_after",
        "_cause",
        "_events",
        "_found",
        "_generation",
        "_ground",
        "_new",
        "_tip",
        "_upon",
        "_version",
        "stream",
    )

    def __init__(self, ground: StreamGround, found: Stream) -> None:
        self._ground = ground
        self._found = found
        self._generation = found.generation
        self._version = found.tip_version
        self._upon = found.upon
        self._cause: Cause | None = None
        self._tip = found.tip
        self.stream = found.key[1]
        found.touched = True

    @property
    def state(self) -> Any:
        return self._tip

    def expectations(
        self, events: Sequence[Any], new: tuple[NewEvent, ...]
    ) -> tuple[tuple[Append, ...], Condition | None]:
        return (Append(self.stream, self._version, new, self._upon),), None

    def sent(self, cause: Cause, events: Sequence[Any], new: tuple[NewEvent, ...]) -> None:
        state = self.state
        if not self._ground.facts:  # first of all: an evolve that raises leaves nothing behind
            evolves = self._ground.evolves
            for event in events:
                state = evolves[event.__class__].function(state, event)
        self._fly(cause, events, new, state)

    def _fly(
        self, cause: Cause, events: Sequence[Any], new: tuple[NewEvent, ...], after: Any
    ) -> None:
        """Others may stand on what this leaves."""
        found = self._found
        self._cause = cause
        self._events = events
        self._new = new
        self._after = after
        self._generation = found.generation
        found.flying += 1
        if events:
            if not self._ground.facts:
                found.tip = after
            found.tip_version = self._version + len(events)
            found.upon = cause.id

    def arrived(self, committed: Committed | None) -> None:
        found = self._found
        if self._cause is None:  # a refusal: nobody stands on it
            if not isinstance(committed, Appended | Settled) and self._is_current():
                found.fall_back()
            return
        if not self._is_current():
            return
        if not isinstance(committed, Appended):
            found.fall_back()
            return
        found.flying -= 1
        if self._events:
            if self._ground.facts:
                self._after = self._fold_facts(committed)
            found.settle(self._after, self._version + len(self._events))
        elif not found.flying:
            found.upon = None
        if found.landed is not None and not found.flying:
            found.wake()

    def _is_current(self) -> bool:
        """Whether nothing of its chain has fallen out since."""
        return self._found.generation == self._generation

    def _fold_facts(self, committed: Appended) -> Any:
        """The state, now that the positions of the events are known; they lie side by side."""
        cause = self._cause
        assert cause is not None
        state = self.state
        last = len(self._events) - 1
        for index, event in enumerate(self._events):
            route = self._ground.evolves[event.__class__]
            if not route.wants_facts:
                state = route.function(state, event)
                continue
            recorded: Recorded[Any] = Recorded(
                event=event,
                position=committed.position - last + index,
                stream=self.stream,
                version=committed.versions[0] - last + index,
                name=self._new[index].name,
                time=from_micros(cause.time),
                principal=cause.principal,
                tenant=cause.tenant,
                causation_id=cause.id,
                correlation_id=cause.correlation,
            )
            state = route.function(state, event, recorded)
        return state
