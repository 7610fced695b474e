"""What decisions stand on: committed states in a cache, and commits that are still on their way.

Commands that come together for one stream, or for overlapping tags, are one chain: each is decided
on the state that its predecessors would leave, although none has committed yet. Its commit says so
(`Append.upon`, `Condition.besides`), so that the store refuses it if a predecessor fell out. The
cache takes committed state only, and the store's check is never skipped for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from diptych.errors import SchemaChanged
from diptych.log.codec import EventCodec, from_micros
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
from diptych.log.port import Store, StoredEvent
from diptych.message import Position, Recorded
from diptych.write.boundary import Boundary, Items
from diptych.write.decider import Decider
from diptych.write.event_sourced import EventSourced

PAGE = 1000
"""Events of a long stream that are read at a time."""

TenantKey = tuple[str, Any]


class Standing(Protocol):
    """One decision's ground: the state, and how to say in a commit what was stood on."""

    state: Any
    stream: str

    def expectations(
        self, events: tuple[NewEvent, ...]
    ) -> tuple[tuple[Append, ...], Condition | None]:
        """The parts of a commit that carry the events and what they stand on."""
        ...

    def sent(self, cause: Cause, events: list[Any], new: tuple[NewEvent, ...]) -> None:
        """The commit is on its way: followers may stand on it. Called without any awaiting."""
        ...

    def arrived(self, committed: Committed | None) -> None:
        """What became of it; None where that is not known."""
        ...


class Ground(Protocol):
    """Gives decisions of one model something to stand on."""

    async def stand(self, tenant: str, command: Any, *, alone: bool) -> Standing:
        """Where a decision can be made now; no commit that matters comes before it is sent.

        Args:
            alone: Wait until nothing it would stand on is still on its way.
        """
        ...

    async def missed(self, tenant: str, command: Any, seen: Position) -> list[Recorded[Any]]:
        """The events after `seen` on what this command stands on."""
        ...


def wants_facts(decider: Decider[Any]) -> bool:
    """Whether a state cannot be told before the commit, since evolve asks for its position."""
    return any(route.wants_facts for route in decider.evolves.values())


class _Flight:
    """Commits on their way, that others may stand on or wait for."""

    __slots__ = ("_waiters", "count")

    def __init__(self) -> None:
        self.count = 0
        self._waiters: list[asyncio.Future[None]] = []

    async def landed(self) -> None:
        future = asyncio.get_running_loop().create_future()
        self._waiters.append(future)
        await future

    def wake(self) -> None:
        for future in self._waiters:
            if not future.done():
                future.set_result(None)
        self._waiters.clear()


# --- streams ----------------------------------------------------------------------------------


class _Kept:
    """A committed state. `fresh` until there is a sign that somebody else wrote."""

    __slots__ = ("fresh", "position", "state", "version")

    def __init__(self, state: Any, version: int, position: Position) -> None:
        self.state = state
        self.version = version
        self.position = position
        self.fresh = True


class _Tail(_Flight):
    """The end of a stream as it will be when all that is on its way has arrived."""

    __slots__ = ("state", "upon", "version")

    def __init__(self, kept: _Kept) -> None:
        super().__init__()
        self.state = kept.state
        self.version = kept.version
        self.upon: str | None = None


class StreamGround:
    """For event-sourced models: one state per stream."""

    def __init__(
        self, model: EventSourced[Any], codec: EventCodec, store: Store, size: int
    ) -> None:
        self._model = model
        self._codec = codec
        self._store = store
        self._size = size
        self._facts = wants_facts(model.decider)
        self._kept: dict[tuple[str, str], _Kept] = {}
        self._tails: dict[tuple[str, str], _Tail] = {}
        self._loads: dict[tuple[str, str], asyncio.Task[None]] = {}

    async def stand(self, tenant: str, command: Any, *, alone: bool) -> Standing:
        stream = self._model.stream(command)
        key = (tenant, stream)
        while True:
            tail = self._tails.get(key)
            if tail is not None:
                if not (alone or self._facts):
                    return StreamStanding(self, key, tail.state, tail.version, tail.upon)
                await tail.landed()
                continue
            kept = self._kept.get(key)
            if kept is not None and kept.fresh:
                return StreamStanding(self, key, kept.state, kept.version, None)
            await self._load_once(key)

    async def missed(self, tenant: str, command: Any, seen: Position) -> list[Recorded[Any]]:
        stream = self._model.stream(command)
        kept = self._kept.get((tenant, stream))
        if kept is not None and kept.fresh and kept.position <= seen:
            return []
        found = await self._store.read_stream(tenant, stream, after=0, limit=PAGE, beyond=seen)
        return [self._codec.recorded(event) for event in found]

    async def _load_once(self, key: tuple[str, str]) -> None:
        """Several commands for one cold stream read it once."""
        load = self._loads.get(key)
        if load is None:
            load = asyncio.get_running_loop().create_task(self._load(key))
            self._loads[key] = load
            load.add_done_callback(lambda _: self._loads.pop(key, None))
        await asyncio.shield(load)

    async def _load(self, key: tuple[str, str]) -> None:
        tenant, stream = key
        decider, codec = self._model.decider, self._codec
        kept = self._kept.get(key)
        state, version, position = (
            (decider.initial, 0, 0) if kept is None else (kept.state, kept.version, kept.position)
        )
        while True:
            page = await self._store.read_stream(tenant, stream, after=version, limit=PAGE)
            for stored in page:
                state = _evolve(decider, codec, state, stored)
                version, position = stored.version, stored.position
            if len(page) < PAGE:
                break
        self.keep(key, _Kept(state, version, position))

    def keep(self, key: tuple[str, str], kept: _Kept) -> None:
        """Puts a committed state into the cache; the one longest untouched falls out."""
        older = self._kept.pop(key, None)
        if older is not None and older.version > kept.version:
            kept = older
        self._kept[key] = kept
        if len(self._kept) > self._size:
            del self._kept[next(iter(self._kept))]

    def tail(self, key: tuple[str, str]) -> _Tail:
        tail = self._tails.get(key)
        if tail is None:
            tail = self._tails[key] = _Tail(self._kept[key])
        return tail

    def drop(self, key: tuple[str, str], tail: _Tail) -> None:
        """Nobody stands on this tail any more."""
        if self._tails.get(key) is tail:
            del self._tails[key]
        tail.wake()

    def doubt(self, key: tuple[str, str]) -> None:
        """Somebody else wrote: read on before the next decision."""
        kept = self._kept.get(key)
        if kept is not None:
            kept.fresh = False

    def after(self, state: Any, events: list[Any], facts: Callable[[int], Recorded[Any]]) -> Any:
        evolve = self._model.decider.evolve
        for index, event in enumerate(events):
            state = evolve(state, event, partial(facts, index))
        return state

    @property
    def facts(self) -> bool:
        return self._facts


class StreamStanding:
    """A decision on one stream's state."""

    __slots__ = (
        "_after",
        "_ground",
        "_key",
        "_sent",
        "_tail",
        "_upon",
        "state",
        "stream",
        "version",
    )

    def __init__(
        self,
        ground: StreamGround,
        key: tuple[str, str],
        state: Any,
        version: int,
        upon: str | None,
    ) -> None:
        self._ground = ground
        self._key = key
        self._upon = upon
        self._tail: _Tail | None = None
        self._sent: tuple[Cause, list[Any], tuple[NewEvent, ...]] | None = None
        self._after: Any = None
        self.state = state
        self.stream = key[1]
        self.version = version

    def expectations(
        self, events: tuple[NewEvent, ...]
    ) -> tuple[tuple[Append, ...], Condition | None]:
        return (Append(self.stream, self.version, events, self._upon),), None

    def sent(self, cause: Cause, events: list[Any], new: tuple[NewEvent, ...]) -> None:
        ground = self._ground
        tail = self._tail = ground.tail(self._key)
        tail.count += 1
        self._sent = (cause, events, new)
        self._after = self.state
        if events:
            if not ground.facts:
                self._after = ground.after(self.state, events, _no_facts)
            tail.state = self._after
            tail.version = self.version + len(events)
            tail.upon = cause.id

    def arrived(self, committed: Committed | None) -> None:
        ground, tail = self._ground, self._tail
        if tail is None or self._sent is None:  # a refusal: nobody stands on it
            if not isinstance(committed, Appended | Settled):
                ground.doubt(self._key)
            return
        tail.count -= 1
        if isinstance(committed, Appended):
            cause, events, new = self._sent
            version = self.version + len(events)
            if events:
                state = self._after
                if ground.facts:
                    state = ground.after(
                        self.state, events, _facts(cause, self.stream, events, new, committed)
                    )
                ground.keep(self._key, _Kept(state, version, committed.position))
            if tail.count == 0:
                ground.drop(self._key, tail)
        else:
            ground.doubt(self._key)
            ground.drop(self._key, tail)


# --- boundaries -------------------------------------------------------------------------------


class _Commit(_Flight):
    """A boundary's commit on its way."""

    __slots__ = ("events", "id")

    def __init__(self, id: str, events: list[tuple[Any, frozenset[str]]]) -> None:
        super().__init__()
        self.id = id
        self.events = events


class BoundaryGround:
    """For boundaries: a fold per set of tags, at a position, and read on from there."""

    def __init__(self, model: Boundary[Any], codec: EventCodec, store: Store, size: int) -> None:
        self._model = model
        self._codec = codec
        self._store = store
        self._size = size
        self._facts = wants_facts(model.decider)
        self._names = codec.names(tuple(model.decider.evolves))
        self._kept: dict[tuple[str, Items], tuple[Any, Position]] = {}
        self._flying: dict[tuple[str, str], dict[_Commit, None]] = {}

    async def stand(self, tenant: str, command: Any, *, alone: bool) -> Standing:
        items = self._model.reads(command)
        stream = self._model.stream(command)
        while True:
            state, position = await self._committed(tenant, items)
            flying = self._matching(tenant, items)
            if flying and (alone or self._facts):
                await flying[0].landed()
                continue
            besides: set[str] = set()
            for commit in flying:
                for event, tags in commit.events:
                    if type(event) in self._model.decider.evolves and _carries(items, tags):
                        state = self._model.decider.evolve(state, event, _never)
                        besides.add(commit.id)
            condition = Condition(Tagged(self._names, items), position, frozenset(besides))
            return BoundaryStanding(self, tenant, state, stream, condition)

    async def missed(self, tenant: str, command: Any, seen: Position) -> list[Recorded[Any]]:
        query = Tagged(self._names, self._model.reads(command))
        batch = await self._store.read_tagged(tenant, query, after=seen)
        return [self._codec.recorded(event) for event in batch.events]

    async def _committed(self, tenant: str, items: Items) -> tuple[Any, Position]:
        key = (tenant, items)
        state, position = self._kept.get(key, (self._model.decider.initial, 0))
        batch = await self._store.read_tagged(tenant, Tagged(self._names, items), after=position)
        for stored in batch.events:
            state = _evolve(self._model.decider, self._codec, state, stored)
        self.keep(key, state, batch.through)
        return state, batch.through

    def keep(self, key: tuple[str, Items], state: Any, position: Position) -> None:
        """Puts a committed fold into the cache; the one longest untouched falls out."""
        older = self._kept.pop(key, None)
        if older is not None and older[1] > position:
            state, position = older
        self._kept[key] = (state, position)
        if len(self._kept) > self._size:
            del self._kept[next(iter(self._kept))]

    def _matching(self, tenant: str, items: Items) -> list[_Commit]:
        """Commits on their way with an event under these tags, in the order they were sent."""
        flying = self._flying
        if not flying:
            return []
        found: dict[_Commit, None] = {}
        for item in items:
            for commit in flying.get((tenant, item[0]), ()):
                if any(_carries((item,), tags) for _, tags in commit.events):
                    found[commit] = None
        return sorted(found, key=lambda commit: commit.count)

    _sequence = 0

    def fly(self, tenant: str, commit: _Commit) -> None:
        BoundaryGround._sequence += 1
        commit.count = BoundaryGround._sequence
        for tag in {tag for _, tags in commit.events for tag in tags}:
            self._flying.setdefault((tenant, tag), {})[commit] = None

    def land(self, tenant: str, commit: _Commit) -> None:
        for tag in {tag for _, tags in commit.events for tag in tags}:
            under = self._flying.get((tenant, tag))
            if under is not None:
                under.pop(commit, None)
                if not under:
                    del self._flying[(tenant, tag)]
        commit.wake()


class BoundaryStanding:
    """A decision on the fold of the events under some tags."""

    __slots__ = ("_commit", "_condition", "_ground", "_tenant", "state", "stream")

    def __init__(
        self,
        ground: BoundaryGround,
        tenant: str,
        state: Any,
        stream: str,
        condition: Condition,
    ) -> None:
        self._ground = ground
        self._tenant = tenant
        self._condition = condition
        self._commit: _Commit | None = None
        self.state = state
        self.stream = stream

    def expectations(
        self, events: tuple[NewEvent, ...]
    ) -> tuple[tuple[Append, ...], Condition | None]:
        return (Append(self.stream, None, events),), self._condition

    def sent(self, cause: Cause, events: list[Any], new: tuple[NewEvent, ...]) -> None:
        if events:
            pairs = zip(events, new, strict=True)
            flying = [(event, frozenset(stored.tags)) for event, stored in pairs]
            self._commit = _Commit(cause.id, flying)
            self._ground.fly(self._tenant, self._commit)

    def arrived(self, committed: Committed | None) -> None:
        if self._commit is not None:
            self._ground.land(self._tenant, self._commit)


# --- shared -----------------------------------------------------------------------------------


def _carries(items: Items, tags: frozenset[str]) -> bool:
    return any(tags.issuperset(item) for item in items)


def _evolve(decider: Decider[Any], codec: EventCodec, state: Any, stored: StoredEvent) -> Any:
    event = codec.decode(stored)
    if type(event) not in decider.evolves:
        raise SchemaChanged(
            f"{stored.stream} holds {stored.name!r} at version {stored.version}, which its evolve "
            "does not take any more. Keep a function for every event that was ever stored."
        )
    return decider.evolve(state, event, lambda: codec.recorded(stored))


def _never() -> Recorded[Any]:
    raise AssertionError("a state that needs positions is told after the commit")


def _no_facts(index: int) -> Recorded[Any]:
    return _never()


def _facts(
    cause: Cause,
    stream: str,
    events: list[Any],
    new: tuple[NewEvent, ...],
    committed: Appended,
) -> Callable[[int], Recorded[Any]]:
    """What the log knows of the events of a commit that has arrived; they lie side by side."""
    last = len(events) - 1

    def facts(index: int) -> Recorded[Any]:
        return Recorded(
            event=events[index],
            position=committed.position - last + index,
            stream=stream,
            version=committed.versions[0] - last + index,
            name=new[index].name,
            time=from_micros(cause.time),
            principal=cause.principal,
            tenant=cause.tenant,
            causation_id=cause.id,
            correlation_id=cause.correlation,
        )

    return facts
