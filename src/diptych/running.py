"""What an app holds while it is open: its store, its views, and what follows the log."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from datetime import timedelta
from typing import Any, TypeAlias

from msgspec import Struct

from diptych.adapters.opening import build_replica, build_store, build_view_store
from diptych.errors import WiringError
from diptych.log.port import Joins, Store, Units, UserTables
from diptych.log.presence import Attends
from diptych.message import Chance, Clock, Ids
from diptych.read.panel import ReadPanel
from diptych.read.query import Queries
from diptych.subscription.presence import Presence
from diptych.wiring import Wiring
from diptych.write.dispatch import Dispatch
from diptych.write.handlers import Handlers
from diptych.write.joining import Joining

Provide: TypeAlias = Mapping[type, Callable[[], AbstractAsyncContextManager[Any]]]
"""By type, how to open what functions may ask for: `{Smtp: open_smtp}`."""

LARGEST_PAYLOAD = 8 << 20
"""Bytes; every reader of the log must be able to take several of them at a time."""


class Limits(Struct, frozen=True, kw_only=True):
    """What an app takes before it says no.

    Attributes:
        payload: Bytes of JSON that a command or an event may have.
        waiting: Commands that may be on their way at once; more are `Overloaded`.
        attempts: How often a command is decided before a conflict is given up.
        states: Committed states kept in memory, for each model.
        retention: For how long the outcome of a command is kept at least, to be repeated.
    """

    payload: int = 1 << 20
    waiting: int = 10_000
    attempts: int = 50
    states: int = 10_000
    retention: timedelta = timedelta(hours=24)

    def __post_init__(self) -> None:
        for name in ("payload", "waiting", "attempts", "states"):
            if getattr(self, name) < 1:
                raise WiringError(f"Limits({name}={getattr(self, name)}): at least 1.")
        if self.payload > LARGEST_PAYLOAD:
            raise WiringError(
                f"Limits(payload={self.payload}): at most {LARGEST_PAYLOAD}. A log is no place for "
                "large content: keep it elsewhere and refer to it."
            )


class Ports(Struct, frozen=True):
    """Where an app takes time, ids and chance from."""

    clock: Clock
    ids: Ids
    chance: Chance


class Running:
    """A wiring on a store. Making it does no I/O and shows what does not fit.

    Args:
        url: Of the store.
        wake_dsn: Of the server itself, where `url` is a pooler's.
        read_url: Of a replica of it that answers are read from.

    Raises:
        WiringError: The store cannot do what the wiring needs.
    """

    def __init__(
        self,
        wiring: Wiring,
        url: str,
        *,
        ports: Ports,
        limits: Limits,
        provide: Provide,
        wake_dsn: str | None = None,
        read_url: str | None = None,
    ) -> None:
        self._wiring = wiring
        self._provide = provide
        self._provided: dict[type, Any] = {}
        self._stack = AsyncExitStack()
        store, views = build_store(
            url,
            reads=bool(wiring.reads or wiring.answerers),
            waiting=limits.waiting,
            retention=limits.retention,
            own={name for metadata in wiring.tables for name in metadata.tables},
            wake_dsn=wake_dsn,
        )
        self.store: Store = store
        _refuse_unlent(wiring, store, url)
        if wiring.tables and not isinstance(store, UserTables):
            raise WiringError(
                f"{url!r} keeps no tables of yours (Tables, Handlers, Rows). Use a database: "
                "store='sqlite:///file.db' or 'postgresql://…', or 'sqlite://' for one in memory."
            )
        self.panel = ReadPanel(
            store,
            views,
            wiring.views,
            wiring.projections,
            {place: build_view_store(place) for place in wiring.places},
            codec=wiring.codec,
            chance=ports.chance,
            readable=wiring.readable,
            replica=build_replica(read_url, views) if read_url and views is not None else None,
        )
        self._presence = Presence(store, self.panel) if isinstance(store, Attends) else None
        self.dispatch = Dispatch(
            wiring.context,
            wiring.models,
            store=store,
            codec=wiring.codec,
            names=wiring.names,
            clock=ports.clock,
            ids=ports.ids,
            chance=ports.chance,
            attempts=limits.attempts,
            payload=limits.payload,
            waiting=limits.waiting,
            states=limits.states,
            policy=wiring.policy,
        )
        self.joining = (
            Joining(
                store,
                wiring.codec,
                ports.clock,
                ports.ids,
                self.dispatch.receipts,
                self.dispatch.ready,
            )
            if isinstance(store, Joins)
            else None
        )
        self.queries = Queries(
            wiring.context,
            wiring.answerers,
            sources=self.panel.sources,
            names=wiring.names,
            clock=ports.clock,
            failure=self.panel.failure,
            policy=wiring.policy,
            provided=self._provided,
            providing=provide,
        )

    async def migrate(self) -> None:
        """Creates what is missing in the stores, as `open` does, and starts nothing."""
        async with self._stack:
            await self._open_stores()

    async def _open_stores(self) -> None:
        await self.store.open(self._wiring.context, self._wiring.stamps())
        self._stack.push_async_callback(self.store.close)
        if self._presence is not None:
            self._stack.push_async_callback(self._presence.leave)
        if self._wiring.tables and isinstance(self.store, UserTables):
            await self.store.create_tables(self._wiring.tables)
        await self.panel.open(self._wiring.context)
        self._stack.push_async_callback(self.panel.close)

    async def open(self) -> None:
        """Opens the store, the views and what is provided; begins to follow the log."""
        try:
            await self._open_stores()
            for type_, opener in self._provide.items():
                self._provided[type_] = await self._stack.enter_async_context(opener())
            if self._presence is not None:
                await self._presence.hear()
        except BaseException:
            await self._stack.aclose()
            raise
        self.panel.start()
        if self._presence is not None:
            self._presence.start()
        if self.panel.inline:
            self.dispatch.before = self._catch_up

    async def _catch_up(self) -> None:
        """What was committed without the inline views is taken in before the first command."""
        await self.panel.catch_up()
        self.dispatch.before = None

    async def close(self) -> None:
        """Stops following, then lets go of everything, last opened first."""
        await self._stack.aclose()


def _refuse_unlent(wiring: Wiring, store: Store, url: str) -> None:
    """Handlers need a store that lends the session they ask for."""
    for model in wiring.models:
        if not isinstance(model, Handlers):
            continue
        for command in model.commands:
            session = model.session(command)
            if not isinstance(store, Units) or not store.lends(session):
                raise WiringError(
                    f"{model!r}: {url!r} lends no {session.__name__}. Use "
                    "store='sqlite:///file.db' or 'postgresql://…', and annotate the session as "
                    "sqlalchemy.ext.asyncio.AsyncSession."
                )
