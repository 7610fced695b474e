"""The log as its readers see it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from diptych.log.codec import EventCodec
from diptych.log.port import Store
from diptych.message import Position, Recorded
from diptych.subscription.runner import BATCH, news


class Log:
    """The events of a context, in the one order that every reader sees."""

    def __init__(self, store: Store, codec: EventCodec) -> None:
        self._store = store
        self._codec = codec

    async def read(
        self,
        *,
        after: Position = 0,
        stream: str | None = None,
        types: Sequence[type] | None = None,
        tenant: str = "",
    ) -> AsyncIterator[Recorded[Any]]:
        """Events with position > after, ascending, up to the head.

        Args:
            stream: Only of this stream (``showing:s1``), of `tenant`.
            types: Only of these classes.
        """
        if stream is not None:
            version = 0
            while True:
                page = await self._store.read_stream(
                    tenant, stream, after=version, limit=BATCH, beyond=after
                )
                for stored in page:
                    recorded = self._codec.recorded(stored)
                    if types is None or type(recorded.event) in types:
                        yield recorded
                if len(page) < BATCH:
                    return
                version = page[-1].version
        names = None if types is None else self._codec.names(tuple(types))
        head = await self._store.head()
        while after < head:
            batch = await self._store.read_all(after=after, limit=BATCH, names=names)
            for stored in batch.events:
                yield self._codec.recorded(stored)
            after = batch.through

    async def follow(
        self, *, after: Position = 0, types: Sequence[type] | None = None
    ) -> AsyncIterator[Recorded[Any]]:
        """Like `read`, and on as events are committed, by whichever process; never ends."""
        names = None if types is None else self._codec.names(tuple(types))
        while True:
            batch = await self._store.read_all(after=after, limit=BATCH, names=names)
            for stored in batch.events:
                yield self._codec.recorded(stored)
            if batch.through == after:
                await news(self._store, after)
            after = batch.through

    async def head(self) -> Position:
        """Position of the last event; 0 for an empty log."""
        return await self._store.head()
