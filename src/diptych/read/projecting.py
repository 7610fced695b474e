"""Folds a view from the log, batch by batch: read the touched rows, fold, write, move on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from diptych.errors import ProjectionFailed, SchemaChanged, StoreCorrupt, StoreFault
from diptych.log.codec import EventCodec
from diptych.log.inline import Key, Step
from diptych.log.port import Batch, StoredEvent
from diptych.message import Position
from diptych.read.port import Shape, ViewStore
from diptych.read.view import View

BREATH = 250
"""Events after which the loop may do something else."""


class Folding:
    """A view as pure functions over stored events."""

    def __init__(self, view: View[Any], codec: EventCodec) -> None:
        self._view = view
        self._codec = codec
        self.names = frozenset(codec.names([type_ for type_ in view.events if codec.knows(type_)]))
        self.fold = view.fold

    def steps(self, stored: StoredEvent) -> Sequence[Step]:
        """What an event says, row by row."""
        recorded = self._codec.recorded(stored) if self._view.wants_facts else None
        return self._view.steps(self._codec.decode(stored), recorded)


class Projecting:
    """A view as a follower of the log.

    An inline view moves by itself, with each commit: followed, it only catches up on what was
    committed without it.

    Two of them for one view, in one process or several, do no harm: the checkpoint moves together
    with the rows, so only one of them gets each step through.
    """

    def __init__(self, view: View[Any], shape: Shape, store: ViewStore, codec: EventCodec) -> None:
        self.shape = shape
        self._store = store
        self.folding = Folding(view, codec)
        self.names: Sequence[str] = tuple(sorted(self.folding.names))
        self.moves_by_itself = view.inline

    @property
    def title(self) -> str:
        return f"view {self.shape.checkpoint}"

    async def checkpoint(self) -> Position:
        return await self._store.checkpoint(self.shape)

    async def take(self, batch: Batch, *, after: Position) -> Position:
        """Takes the events, or as many as it can before one that fails.

        Raises:
            ProjectionFailed: With the event; everything before it is in.
        """
        return await self._take(batch.events, batch.through, after)

    async def _take(
        self, events: Sequence[StoredEvent], through: Position, after: Position
    ) -> Position:
        try:
            return await self._fold(events, through, after)
        except Exception as error:
            if isinstance(error, StoreFault) and not isinstance(
                error, SchemaChanged | StoreCorrupt
            ):
                raise  # not this event's doing
            # Functions are pure and nothing was written: halves tell which event it is.
            if not events:
                raise
            if len(events) == 1:
                stored = events[0]
                if stored.position - 1 > after:
                    await self._save({}, after, stored.position - 1)
                raise ProjectionFailed(self.title, stored.position, stored.name, error) from error
        half = len(events) // 2
        middle = events[half - 1].position
        position = await self._take(events[:half], middle, after)
        if position != middle:
            return position  # somebody else has gone on
        return await self._take(events[half:], through, middle)

    async def _fold(
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
            loaded = await self._store.load(self.shape, list({step[0]: None for step in steps}))
            if loaded.position != after:
                return loaded.position
            rows.update(loaded.rows)
            for start in range(0, len(steps), BREATH):
                folding.fold(rows, steps[start : start + BREATH])
                await asyncio.sleep(0)
        return await self._save(rows, after, through)

    async def _save(self, rows: dict[Key, Any], after: Position, through: Position) -> Position:
        upserts = [row for row in rows.values() if row is not None]
        deletes = [key for key, row in rows.items() if row is None]
        if await self._store.save(self.shape, upserts, deletes, expected=after, position=through):
            return through
        return await self._store.checkpoint(self.shape)
