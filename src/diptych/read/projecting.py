"""Folds a view from the log, batch by batch: read the touched rows, fold, write, move on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from diptych.errors import Fault
from diptych.log.codec import EventCodec
from diptych.log.port import Batch
from diptych.message import Position, Recorded
from diptych.read.port import Shape, ViewStore
from diptych.read.view import KeyValues, View

BREATH = 250
"""Events after which the loop may do something else."""


class ProjectionFailed(Fault):
    """A view cannot take an event; it stands before it, and everything else goes on."""

    def __init__(self, view: str, position: Position, name: str, cause: Exception) -> None:
        super().__init__(
            f"{view} cannot take {name!r} at position {position}: "
            f"{type(cause).__name__}: {cause}. Correct its functions and start it again."
        )
        self.view = view
        self.position = position
        self.name = name


class Projecting:
    """A view as a follower of the log.

    Two of them for one view, in one process or several, do no harm: the checkpoint moves together
    with the rows, so only one of them gets each step through.
    """

    def __init__(self, view: View[Any], shape: Shape, store: ViewStore, codec: EventCodec) -> None:
        self._view = view
        self._shape = shape
        self._store = store
        self._codec = codec
        self.names: Sequence[str] = codec.names(
            tuple(type_ for type_ in view.events if codec.knows(type_))
        )

    @property
    def title(self) -> str:
        return f"view {self._shape.checkpoint}"

    async def checkpoint(self) -> Position:
        return await self._store.checkpoint(self._shape)

    async def take(self, batch: Batch, *, after: Position) -> Position:
        steps: list[tuple[Position, str, KeyValues, Any, Recorded[Any] | None]] = []
        failed: ProjectionFailed | None = None
        through = batch.through
        view, codec = self._view, self._codec
        for count, stored in enumerate(batch.events, 1):
            try:
                event = codec.decode(stored)
                recorded = codec.recorded(stored) if view.wants_facts else None
                for key, item in view.items(event, recorded):
                    steps.append((stored.position, stored.name, key, item, recorded))
            except Exception as error:
                failed = ProjectionFailed(self.title, stored.position, stored.name, error)
                through = stored.position - 1
                steps = [step for step in steps if step[0] < stored.position]
                break
            if count % BREATH == 0:
                await asyncio.sleep(0)
        rows: dict[KeyValues, Any] = {}
        if steps:
            keys = list(dict.fromkeys(step[2] for step in steps))
            loaded = await self._store.load(self._shape, keys)
            if loaded.position != after:
                return loaded.position
            before = loaded.rows
            for count, (position, name, key, item, recorded) in enumerate(steps, 1):
                try:
                    row = rows[key] if key in rows else before.get(key)
                    rows[key] = view.fold(key, row, item, recorded)
                except Exception as error:
                    failed = ProjectionFailed(self.title, position, name, error)
                    through = position - 1
                    # Rows that this event (or its other items) touched begin again before it.
                    return await self._save_before(batch, after, through, failed)
                if count % BREATH == 0:
                    await asyncio.sleep(0)
        if through > after:
            position = await self._save(rows, after, through)
        else:
            position = after
        if failed is not None:
            raise failed
        return position

    async def _save_before(
        self, batch: Batch, after: Position, through: Position, failed: ProjectionFailed
    ) -> Position:
        """Takes what lies before the event that failed, then says so."""
        good = [stored for stored in batch.events if stored.position <= through]
        if through > after:
            await self.take(Batch(good, through), after=after)
        raise failed

    async def _save(
        self, rows: dict[KeyValues, Any], after: Position, through: Position
    ) -> Position:
        upserts = [row for row in rows.values() if row is not None]
        deletes = [key for key, row in rows.items() if row is None]
        if await self._store.save(self._shape, upserts, deletes, expected=after, position=through):
            return through
        return await self._store.checkpoint(self._shape)
