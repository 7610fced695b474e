"""Takes the log into views and projections, batch by batch; both move on with their checkpoint.

Two of them for one view, in one process or several, do no harm: the checkpoint moves together with
what is written, so only one of them gets each step through.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

from diptych.errors import Overloaded, ProjectionFailed, SchemaChanged, StoreCorrupt, StoreFault
from diptych.log.codec import EventCodec
from diptych.log.inline import Key, Step
from diptych.log.port import Batch, StoredEvent
from diptych.message import Position
from diptych.read.port import Followed, Shape, SqlViewStore, TableSet, ViewStore
from diptych.read.projection import Projection
from diptych.read.view import View

BREATH = 250
"""Events after which the loop may do something else."""

STATEMENTS_OF = 500
"""Events whose statements are executed in one transaction: meanwhile nobody else writes."""


class Folding:
    """A view as pure functions over stored events."""

    def __init__(self, view: View[Any], codec: EventCodec) -> None:
        self._view = view
        self._codec = codec
        self.names = names_of(view.events, codec)
        self.fold = view.fold

    def steps(self, stored: StoredEvent) -> Sequence[Step]:
        """What an event says, row by row."""
        recorded = self._codec.recorded(stored) if self._view.wants_facts else None
        event = self._codec.decode(stored) if recorded is None else recorded.event
        return self._view.steps(event, recorded)


class Projecting:
    """A follower of the log that keeps something of it.

    Args:
        kept: What, and under which checkpoint.
        step: Events that it writes at a time, at most; 0 for a whole batch.
    """

    moves_by_itself = False

    def __init__(self, title: str, kept: Followed, names: frozenset[str], step: int) -> None:
        self.title = f"{title} {kept.checkpoint}"
        self.kept = kept
        self.names: Sequence[str] = tuple(sorted(names))
        self._step = step

    async def checkpoint(self) -> Position:
        raise NotImplementedError

    async def write(
        self, events: Sequence[StoredEvent], through: Position, after: Position
    ) -> Position:
        """Writes what the events say, and moves the checkpoint to `through`; both or neither.

        Returns:
            Where the checkpoint is: elsewhere if somebody else has gone on.
        """
        raise NotImplementedError

    async def take(self, batch: Batch, *, after: Position) -> Position:
        """Takes the events, or as many as it can before one that fails.

        Raises:
            ProjectionFailed: With the event; everything before it is in.
        """
        position = after
        for events, through in _parts(batch, self._step):
            position = await self._take(events, through, position)
            if position != through:
                break  # somebody else has gone on
        return position

    async def _take(
        self, events: Sequence[StoredEvent], through: Position, after: Position
    ) -> Position:
        try:
            return await self.write(events, through, after)
        except Exception as error:
            if isinstance(error, StoreFault | Overloaded) and not isinstance(
                error, SchemaChanged | StoreCorrupt
            ):
                raise  # not this event's doing
            # Functions are pure and nothing was written: halves tell which event it is.
            if not events:
                raise
            if len(events) == 1:
                stored = events[0]
                if stored.position - 1 > after:
                    await self.write((), stored.position - 1, after)
                raise ProjectionFailed(self.title, stored.position, stored.name, error) from error
        half = len(events) // 2
        middle = events[half - 1].position
        position = await self._take(events[:half], middle, after)
        if position != middle:
            return position
        return await self._take(events[half:], through, middle)


class ProjectingView(Projecting):
    """Folds a view: reads the touched rows, folds, writes them, moves on.

    An inline view moves by itself, with each commit: followed, it only catches up on what was
    committed without it.
    """

    def __init__(self, view: View[Any], shape: Shape, store: ViewStore, codec: EventCodec) -> None:
        self.folding = Folding(view, codec)
        super().__init__("view", shape, self.folding.names, 0)
        self._shape = shape
        self._store = store
        self.moves_by_itself = view.inline

    async def checkpoint(self) -> Position:
        return await self._store.checkpoint(self._shape)

    async def write(
        self, events: Sequence[StoredEvent], through: Position, after: Position
    ) -> Position:
        folding = self.folding
        steps: list[Step] = []
        for count, stored in enumerate(events, 1):
            steps += folding.steps(stored)
            if count % BREATH == 0:
                await asyncio.sleep(0)
        rows: dict[Key, Any] = {}
        if steps:
            loaded = await self._store.load(self._shape, list({step[0]: None for step in steps}))
            if loaded.position != after:
                return loaded.position
            rows.update(loaded.rows)
            for start in range(0, len(steps), BREATH):
                folding.fold(rows, steps[start : start + BREATH])
                await asyncio.sleep(0)
        upserts = [row for row in rows.values() if row is not None]
        deletes = [key for key, row in rows.items() if row is None]
        if await self._store.save(self._shape, upserts, deletes, expected=after, position=through):
            return through
        return await self._store.checkpoint(self._shape)


class ProjectingTables(Projecting):
    """Executes the statements of a projection."""

    def __init__(
        self, projection: Projection, tables: TableSet, store: SqlViewStore, codec: EventCodec
    ) -> None:
        names = names_of(projection.events, codec)
        super().__init__("projection", tables, names, STATEMENTS_OF)
        self._projection = projection
        self._tables = tables
        self._store = store
        self._codec = codec

    async def checkpoint(self) -> Position:
        return await self._store.checkpoint(self._tables)

    async def write(
        self, events: Sequence[StoredEvent], through: Position, after: Position
    ) -> Position:
        statements: list[Any] = []
        for count, stored in enumerate(events, 1):
            recorded = self._codec.recorded(stored) if self._projection.wants_facts else None
            event = self._codec.decode(stored) if recorded is None else recorded.event
            statements += self._projection.statements(event, recorded)
            if count % BREATH == 0:
                await asyncio.sleep(0)
        if await self._store.execute(self._tables, statements, expected=after, position=through):
            return through
        return await self._store.checkpoint(self._tables)


def names_of(events: Sequence[type], codec: EventCodec) -> frozenset[str]:
    """Stored names of the events among these classes."""
    return frozenset(codec.names([type_ for type_ in events if codec.knows(type_)]))


def _parts(batch: Batch, step: int) -> Iterator[tuple[Sequence[StoredEvent], Position]]:
    """The events of a batch, some at a time, each with how far it is complete."""
    events = batch.events
    if step:
        while len(events) > step:
            yield events[:step], events[step - 1].position
            events = events[step:]
    yield events, batch.through
