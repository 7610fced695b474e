"""The read panel of an open app: query models in their stores, each following the log."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from contextlib import AsyncExitStack

from diptych.errors import ForeignStore, WiringError
from diptych.log.codec import EventCodec
from diptych.log.port import Store
from diptych.log.presence import ViewProgress
from diptych.message import Chance, Position
from diptych.read.port import (
    Begun,
    Followed,
    Origin,
    ReadReplica,
    Shape,
    SqlViewStore,
    TableSet,
    ViewStore,
)
from diptych.read.projecting import (
    Folding,
    Projecting,
    ProjectingTables,
    ProjectingView,
)
from diptych.read.projection import PlacedTables
from diptych.read.sources import Sources
from diptych.read.view import Placed
from diptych.subscription.runner import Runner


class ReadPanel:
    """What keeps the views of an app, and keeps them going.

    Args:
        log: That they follow.
        own: The view store beside the log.
        views: Each with its table, and the place where it rests.
        projections: Each with the place where its tables rest.
        elsewhere: The other stores, by place.
        readable: Names of the write model's own tables.
        replica: Of the store beside the log, for answers to be read from.

    Attributes:
        sources: For queries.
        inline: The checkpoints that move with each commit.
    """

    def __init__(
        self,
        log: Store,
        own: ViewStore | None,
        views: Sequence[Placed],
        projections: Sequence[PlacedTables],
        elsewhere: Mapping[str, ViewStore],
        *,
        codec: EventCodec,
        chance: Chance,
        readable: Collection[str],
        replica: ReadReplica | None = None,
    ) -> None:
        self._log = log
        self._replica = replica
        self._places: list[tuple[str | None, ViewStore]] = [*elsewhere.items()]
        if own is not None:
            self._places.insert(0, (None, own))
        stores = dict(self._places)
        self._followers: dict[str, tuple[Projecting, ViewStore]] = {}
        self._folding: dict[str, Folding] = {}
        self._shapes: dict[str | None, list[Shape]] = {place: [] for place in stores}
        self._tables: dict[str | None, list[TableSet]] = {place: [] for place in stores}
        self._stack = AsyncExitStack()
        self._tasks: list[asyncio.Task[None]] = []
        by_row: dict[type, tuple[Shape, ViewStore]] = {}
        for view, shape, place in views:
            follower = ProjectingView(view, shape, stores[place], codec)
            self._followers[shape.checkpoint] = follower, stores[place]
            self._shapes[place].append(shape)
            by_row[view.row] = shape, stores[place]
            if place is None and replica is not None:
                by_row[view.row] = shape, replica
            if view.inline:
                self._folding[shape.checkpoint] = follower.folding
        filled: list[tuple[TableSet, SqlViewStore]] = []
        for projection, place in projections:
            store, tables = stores[place], projection.tables
            if not isinstance(store, SqlViewStore):
                raise WiringError(
                    f"{projection!r} writes SQL, and {place!r} is a dictionary. "
                    "Give it store='sqlite://', or leave store= out."
                )
            self._followers[tables.checkpoint] = (
                ProjectingTables(projection, tables, store, codec),
                store,
            )
            self._tables[place].append(tables)
            filled.append((tables, replica if place is None and replica is not None else store))
        self._runners = {
            name: Runner(follower, log, chance) for name, (follower, _) in self._followers.items()
        }
        self.inline = list(self._folding)
        self.sources = Sources(
            log,
            own,
            by_row,
            projections=filled,
            tables=readable,
            position=self._position,
            replica=replica,
        )

    async def open(self, context: str) -> None:
        """Opens the stores.

        Raises:
            StoreFault: One of them cannot be opened, or keeps the views of another log.
        """
        origin = Origin(context, self._log.epoch, await self._log.head())
        try:
            for place, store in self._places:
                begun = await store.open(
                    self._shapes[place],
                    origin=origin,
                    inline=self._folding if place is None else None,
                )
                self._stack.push_async_callback(store.close)
                if self._tables[place] and isinstance(store, SqlViewStore):
                    taken = await store.take(self._tables[place], origin=origin)
                    begun = {**begun, **taken}
                if place is None and self._replica is not None:
                    older = [one.older for one in begun.values() if one.older is not None]
                    kept: list[Followed] = [*self._shapes[place], *older, *self._tables[place]]
                    await self._replica.follow(kept, origin=origin)
                    self._stack.push_async_callback(self._replica.close)
                    store = self._replica
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
        """Why a view cannot go on at the moment, or stands still."""
        runner = self._runners.get(checkpoint)
        return None if runner is None else runner.failure or runner.paused

    def progress(self) -> tuple[ViewProgress, ...]:
        """How each of them stands, as far as this process knows."""
        return tuple(
            ViewProgress(
                name,
                runner.position,
                self.sources.filling.target(name),
                runner.failure,
                runner.paused is not None,
            )
            for name, runner in self._runners.items()
        )

    def pause(self, checkpoint: str, reason: str | None) -> None:
        """Lets a view stand still; with None it goes on."""
        self._runners[checkpoint].pause(reason)

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
        for follower, store in self._followers.values():
            await store.wait(follower.kept, head)

    async def due(self) -> list[str]:
        """What waits, in words."""
        head = await self._log.head()
        return [
            f"{self._followers[name][0].title} is at {runner.position} of {head}"
            + (f" ({why})" if (why := self.failure(name)) else "")
            for name, runner in self._runners.items()
            if runner.position < head
        ]

    def _position(self, checkpoint: str) -> Position:
        runner = self._runners.get(checkpoint)
        return 0 if runner is None else runner.position
