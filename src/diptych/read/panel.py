"""The read panel of an open app: query models in their stores, each following the log."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from contextlib import AsyncExitStack

from diptych.errors import ForeignStore
from diptych.log.codec import EventCodec
from diptych.log.port import Store
from diptych.message import Chance, Position
from diptych.read.port import Begun, Origin, Shape, ViewStore
from diptych.read.projecting import Projecting
from diptych.read.sources import Sources
from diptych.read.view import Kept
from diptych.subscription.runner import Runner


class ReadPanel:
    """What keeps the views of an app, and keeps them going.

    Args:
        log: That they follow.
        own: The view store beside the log.
        views: Each with its table, by the place where it rests; None is beside the log.
        elsewhere: The other stores, by place.
        tables: Names of the write model's own tables that may be read.

    Attributes:
        sources: For queries.
        inline: The checkpoints that move with each commit.
    """

    def __init__(
        self,
        log: Store,
        own: ViewStore | None,
        views: Sequence[Kept],
        elsewhere: Mapping[str, ViewStore],
        *,
        codec: EventCodec,
        chance: Chance,
        tables: Collection[str],
    ) -> None:
        self._log = log
        self._own = own
        self._elsewhere = elsewhere
        self._shapes: dict[str | None, list[Shape]] = {None: []}
        self._followers: dict[str, Projecting] = {}
        self._runners: dict[str, Runner] = {}
        self._stores: dict[str, ViewStore] = {}
        self._stack = AsyncExitStack()
        self._tasks: list[asyncio.Task[None]] = []
        by_row: dict[type, tuple[Shape, ViewStore]] = {}
        for view, shape, place in views:
            store = own if place is None else elsewhere[place]
            assert store is not None
            name = shape.checkpoint
            self._shapes.setdefault(place, []).append(shape)
            self._stores[name] = store
            self._followers[name] = Projecting(view, shape, store, codec)
            self._runners[name] = Runner(self._followers[name], log, chance)
            by_row[view.row] = shape, store
        self.inline = [n for n, one in self._followers.items() if one.moves_by_itself]
        self.sources = Sources(log, own, by_row, tables=tables, position=self._position)

    async def open(self, context: str) -> None:
        """Opens the stores.

        Raises:
            StoreFault: One of them cannot be opened, or keeps the views of another log.
        """
        origin = Origin(context, self._log.epoch, await self._log.head())
        try:
            places: list[tuple[str | None, ViewStore]] = [*self._elsewhere.items()]
            if self._own is not None:
                places.insert(0, (None, self._own))
            for place, store in places:
                inline = {name: self._followers[name].folding for name in self.inline}
                begun = await store.open(
                    self._shapes.get(place, []),
                    origin=origin,
                    inline=inline if place is None else None,
                )
                self._stack.push_async_callback(store.close)
                self.sources.begin(store, begun)
                if place is not None:
                    await self._refuse_ahead(place, begun)
        except BaseException:
            await self._stack.aclose()
            raise

    async def _refuse_ahead(self, place: str, begun: Mapping[str, Begun]) -> None:
        """A log that was put back to an older state knows less than its views."""
        furthest = max((one.position for one in begun.values()), default=0)
        if furthest and furthest > await self._log.head():
            raise ForeignStore(
                f"{place} keeps views that are ahead of the log, at position {furthest}: the log "
                "was put back to an older state. Delete it: its views fill anew."
            )

    def start(self) -> None:
        """Begins to follow the log."""
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(runner.run(), name=f"diptych {name}")
            for name, runner in self._runners.items()
        ]

    async def close(self) -> None:
        """Stops following, then lets go of the stores."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._stack.aclose()

    def failure(self, checkpoint: str) -> str | None:
        """Why a view cannot go on at the moment."""
        runner = self._runners.get(checkpoint)
        return None if runner is None else runner.failure

    async def catch_up(self) -> None:
        """Returns when the inline views have taken in what was committed without them.

        Raises:
            ProjectionFailed: One of them cannot take it.
        """
        head = await self._log.head()
        for name in self.inline:
            await self._runners[name].reached(head)

    async def settled(self) -> None:
        """Returns when every view has taken in the whole log."""
        head = await self._log.head()
        for name, store in self._stores.items():
            await store.wait(self._followers[name].shape, head)

    async def due(self) -> list[str]:
        """What waits, in words."""
        head = await self._log.head()
        return [
            f"view {name} is at {runner.position} of {head}"
            + (f" ({runner.failure})" if runner.failure else "")
            for name, runner in self._runners.items()
            if runner.position < head
        ]

    def _position(self, checkpoint: str) -> Position:
        runner = self._runners.get(checkpoint)
        return 0 if runner is None else runner.position
