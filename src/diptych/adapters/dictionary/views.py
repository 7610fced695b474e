"""Views as dictionaries: rows by key, as close as a row can be; filled anew at every start."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from types import TracebackType
from typing import Any, TypeAlias

from diptych.adapters.dictionary.rows import RowsByKey
from diptych.adapters.news import News
from diptych.errors import NotOpen
from diptych.log.inline import RowFold
from diptych.message import Position
from diptych.read.port import Begun, Followed, Loaded, Origin, Session, Shape, Snapshot

BREATH = 250
"""Rows after which the loop may do something else."""

Key: TypeAlias = tuple[Any, ...]


class DictionaryViews:
    """All in the loop's own thread, without a lock: a save happens between two steps of readers.

    A session that has begun before a save goes on seeing what was there: what a save replaces is
    remembered for as long as somebody may look at it.
    """

    def __init__(self) -> None:
        self.now = 0
        """Counts the saves."""
        self.checkpoints: Mapping[str, Position] = {}
        self._views: dict[str, RowsByKey] = {}
        self._news: dict[str, News] = {}
        self._looking: dict[int, int] = {}
        """How many sessions look at the views as of which save, oldest first."""

    async def open(
        self,
        shapes: Sequence[Shape],
        *,
        origin: Origin,
        inline: Mapping[str, RowFold] | None = None,
    ) -> Mapping[str, Begun]:
        for shape in shapes:
            self._views[shape.checkpoint] = RowsByKey(shape)
            self._news[shape.checkpoint] = News(partial(self.checkpoint, shape))
        self.checkpoints = {shape.checkpoint: 0 for shape in shapes}
        return {shape.checkpoint: Begun(0, origin.head) for shape in shapes}

    async def close(self) -> None:
        for news in self._news.values():
            news.close()
        self._views = {}

    async def load(self, shape: Shape, keys: Sequence[Key]) -> Loaded:
        found = self.of(shape).read(keys)
        return Loaded(self.checkpoints[shape.checkpoint], found)

    async def save(
        self,
        shape: Shape,
        upserts: Sequence[Any],
        deletes: Sequence[Key],
        *,
        expected: Position,
        position: Position,
    ) -> bool:
        view = self.of(shape)
        changes: dict[Key, Any] = {}
        for count, row in enumerate(upserts, 1):
            key, kept = view.checked(row)
            changes[key] = kept
            if count % BREATH == 0:
                await asyncio.sleep(0)
        for key in deletes:
            view.codec.encode_key(key)
            changes[key] = None
        if self.checkpoints[shape.checkpoint] != expected:
            return False
        self.now += 1
        view.change(changes, self.now, oldest=next(iter(self._looking), None))
        self.checkpoints = {**self.checkpoints, shape.checkpoint: position}
        self._news[shape.checkpoint].tell(position)
        return True

    async def checkpoint(self, kept: Followed) -> Position:
        return self.checkpoints[kept.checkpoint]

    async def wait(self, kept: Followed, position: Position) -> None:
        await self._news[kept.checkpoint].wait(position - 1)

    def session(self) -> AbstractAsyncContextManager[Session]:
        return DictionarySession(self)

    def of(self, shape: Shape) -> RowsByKey:
        """The rows of a view."""
        view = self._views.get(shape.checkpoint)
        if view is None:
            raise NotOpen("memory")
        return view

    def look(self) -> int:
        """Somebody looks at the views as they are now."""
        now = self.now
        self._looking[now] = self._looking.get(now, 0) + 1
        return now

    def look_away(self, since: int) -> None:
        """One of those who look at them as they were then does not do so any more."""
        left = self._looking[since] - 1
        if left:
            self._looking[since] = left
        else:
            del self._looking[since]


class DictionarySession:
    """Reads as of one save; awaits nothing."""

    __slots__ = ("_since", "_store", "snapshot")

    def __init__(self, store: DictionaryViews) -> None:
        self._store = store
        self._since = -1
        self.snapshot: Snapshot | None = None

    async def begin(self) -> Snapshot:
        return self.snapshot or self._begin()

    def _begin(self) -> Snapshot:
        self._since = self._store.look()
        self.snapshot = Snapshot(None, self._store.checkpoints)
        return self.snapshot

    async def get(self, shape: Shape, key: Key) -> Any | None:
        if self.snapshot is None:
            self._begin()
        return self._store.of(shape).get(key, self._since)

    async def all(self, shape: Shape) -> Sequence[Any]:
        if self.snapshot is None:
            self._begin()
        return self._store.of(shape).all(self._since)

    async def __aenter__(self) -> DictionarySession:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.snapshot is not None:
            self._store.look_away(self._since)
            self.snapshot = None
