"""An app: the one place where both panels, the log between them and the adapters are joined."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self, TypeAlias, TypeVar

from msgspec import Struct

from diptych.adapters.opening import build_store, refuse_unknown
from diptych.adapters.system import SystemChance, SystemClock, UuidV7
from diptych.errors import (
    Fault,
    ForeignStore,
    NestedCall,
    NotOpen,
    NotSettled,
    Refused,
    WiringError,
)
from diptych.log.codec import EventCodec
from diptych.log.names import Names, Stamp
from diptych.log.port import Store
from diptych.log.upcast import Upcast
from diptych.message import (
    ANONYMOUS,
    Answer,
    Chance,
    Clock,
    Ids,
    Position,
    Principal,
    Query,
    Receipt,
)
from diptych.read.port import Shape, ViewStore
from diptych.read.projecting import Projecting
from diptych.read.query import Answerer, Freshness, Queries, answering
from diptych.read.view import View
from diptych.subscription.feed import Log
from diptych.subscription.runner import Runner
from diptych.write.boundary import Boundary
from diptych.write.dispatch import Dispatch, WriteModel
from diptych.write.event_sourced import EventSourced

R = TypeVar("R")

After: TypeAlias = "Receipt | Answer[Any] | Refused | Position"
"""A position, or what carries one."""


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


class App:
    """A bounded context: what decides, what is shown, and where it rests.

    Constructing it reads the annotations and checks that everything fits; it does no I/O.
    `async with app:` opens the store, lets the views catch up in the background, and closes it
    again. It may be entered again afterwards.

    Args:
        name: Of the context; stamped on the store by the first app that opens it.
        store: ``sqlite:///file.db`` (relative), ``sqlite:////absolute/file.db``, or ``memory://``
            (gone when the app is left).
        write: Models, each with the commands it decides.
        read: Views.
        answer: Functions `async def answer(query, views)`.
        names: Stored names that differ from the class name in kebab-case.
        upcast: By stored event name, functions that lift its fields from each shape to the next.
        clock: Where the time comes from; the machine's by default.

    Raises:
        WiringError: The parts do not fit together; the text says where and what to do.
    """

    def __init__(
        self,
        name: str,
        *,
        store: str = "memory://",
        write: Sequence[WriteModel] = (),
        read: Sequence[View[Any]] = (),
        answer: Sequence[Answerer] = (),
        names: Mapping[str, type] | None = None,
        upcast: Mapping[str, Sequence[Upcast]] | None = None,
        clock: Clock | None = None,
        ids: Ids | None = None,
        chance: Chance | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.name = name
        self._url = store
        self._write = tuple(write)
        self._answer = tuple(answer)
        self._clock = clock or SystemClock()
        self._ids = ids or UuidV7()
        self._chance = chance or SystemChance()
        self._limits = limits or Limits()
        self._names = Names(names or {})
        refuse_unknown(store)
        _refuse_shared(self._write)
        self._codec = EventCodec(
            _event_types(self._write, read), self._names, upcast or {}, self._limits.payload
        )
        for model in self._write:
            if isinstance(model, Boundary):
                for type_, tags in model.tags.items():
                    self._codec.tag(type_, tags)
        self._shapes = _shapes(read, self._names)
        self._views = {view.row: view for view in read}
        self._open: _Open | None = None
        # Wired once now, for its errors; wired again to a store when the app is entered.
        self._wire(*self._build())
        self._names.refuse_unused()

    async def __aenter__(self) -> Self:
        if self._open is not None:
            raise Fault(f"app {self.name!r} is open already. Enter it once, and share it.")
        store, views = self._build()
        opened = self._wire(store, views)
        await store.open(self.name, self._stamps())
        try:
            if views is not None:
                await views.open(tuple(self._shapes.values()))
        except BaseException:
            await store.close()
            raise
        opened.start()
        self._open = opened
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        opened, self._open = self._open, None
        if opened is not None:
            await opened.stop()

    def execute(
        self,
        command: object,
        *,
        id: str | None = None,
        seen: Receipt | Answer[Any] | None = None,
        principal: Principal | None = None,
        deadline: datetime | None = None,
    ) -> Coroutine[Any, Any, Receipt]:
        """Carries a command out: checked, decided, committed.

        Args:
            command: Taken by one of the write models.
            id: Of this command; the same id again returns the same receipt, or the same refusal.
            seen: What the user saw when deciding: fails if something happened since.
            principal: On whose behalf; anonymous by default.
            deadline: Aware time after which it is not carried out any more.

        Raises:
            Refused: The business says no.
            BadMessage: It cannot be taken: malformed, unknown, too large, an id used before.
            StreamConflict: Somebody else wrote first, also after the retries, or since `seen`.
            DeadlineExceeded, Overloaded: It was not carried out.
            StoreFault: The store failed; nothing was changed, except for `CommitUnknown`.
        """
        opened = self._opened
        if opened.dispatch.deciding is not None or answering.get():
            raise NestedCall("execute")
        return opened.dispatch.execute(
            command, id=id, seen=seen, principal=principal or ANONYMOUS, deadline=deadline
        )

    def ask(
        self,
        query: Query[R],
        *,
        after: After | None = None,
        max_age: timedelta | None = None,
        timeout: float = 2.0,
    ) -> Coroutine[Any, Any, R]:
        """The answer to a query.

        Args:
            query: Answered by one of the answerers.
            after: What the answer must know of: it is never older than this.
            max_age: How old the oldest event not yet taken in may be.
            timeout: Seconds to wait for the views to get there.

        Raises:
            Stale: They did not get there in time.
            BadMessage: It cannot be taken.
        """
        fresh = Freshness(self._position(after), max_age)
        return self._queries("ask").ask(query, fresh=fresh, timeout=timeout)

    def answer(
        self,
        query: Query[R],
        *,
        after: After | None = None,
        max_age: timedelta | None = None,
        timeout: float = 2.0,
    ) -> Coroutine[Any, Any, Answer[R]]:
        """Like `ask`, with how fresh it is; when time runs out, an older answer marked stale."""
        fresh = Freshness(self._position(after), max_age)
        return self._queries("answer").answer(
            query, fresh=fresh, timeout=timeout, accept_stale=True
        )

    async def settled(self, *, timeout: float = 10.0) -> None:
        """Returns when nothing is due in this app: every view has taken in the whole log.

        Args:
            timeout: Real seconds.

        Raises:
            NotSettled: With what is still due.
        """
        opened = self._opened
        try:
            async with asyncio.timeout(timeout):
                head = await opened.store.head()
                for shape in self._shapes.values():
                    await opened.wait(shape, head)
        except TimeoutError:
            raise NotSettled(await opened.due()) from None

    @property
    def log(self) -> Log:
        """The log of this context, for reading."""
        return Log(self._opened.store, self._codec)

    @property
    def _opened(self) -> _Open:
        if self._open is None:
            raise NotOpen(self.name)
        return self._open

    def _queries(self, call: str) -> Queries:
        opened = self._opened
        if opened.dispatch.deciding is not None:
            raise NestedCall(call)
        return opened.queries

    def _position(self, after: After | None) -> Position:
        match after:
            case None:
                return 0
            case int():
                return after
            case Refused():
                return after.position or 0
            case Receipt() | Answer():
                epoch = self._opened.store.epoch
                if after.context != self.name or after.epoch != epoch:
                    raise ForeignStore(
                        f"after= comes from context {after.context!r}, epoch {after.epoch}; this "
                        f"is {self.name!r}, epoch {epoch}. Positions of one log mean nothing in "
                        "another: leave it out, or ask the app that gave it."
                    )
                return after.position

    def _build(self) -> tuple[Store, ViewStore | None]:
        limits = self._limits
        return build_store(
            self._url,
            reads=bool(self._shapes or self._answer),
            waiting=limits.waiting,
            retention=limits.retention,
        )

    def _wire(self, store: Store, views: ViewStore | None) -> _Open:
        names = self._names
        limits = self._limits
        runners = {
            shape.checkpoint: Runner(
                Projecting(self._views[row], shape, views, self._codec), store, self._chance
            )
            for row, shape in self._shapes.items()
            if views is not None
        }
        dispatch = Dispatch(
            self.name,
            self._write,
            store=store,
            codec=self._codec,
            names=names,
            clock=self._clock,
            ids=self._ids,
            chance=self._chance,
            attempts=limits.attempts,
            payload=limits.payload,
            waiting=limits.waiting,
            states=limits.states,
        )
        queries = Queries(
            self.name,
            self._answer,
            epoch=lambda: store.epoch,
            head=store.head,
            store=views,
            shapes=self._shapes,
            names=names,
            clock=self._clock,
            failure=lambda checkpoint: runners[checkpoint].failure,
        )
        return _Open(store, views, dispatch, queries, runners)

    def _stamps(self) -> list[Stamp]:
        stamps = self._codec.stamps()
        for row, shape in self._shapes.items():
            stamps.append(self._views[row].stamp(shape.checkpoint))
        tagged: dict[str, dict[str, str]] = {}
        for model in self._write:
            stamps.append(Stamp("model", model.name, 1, {model.kind: ""}))
            if isinstance(model, Boundary):
                for type_ in model.tags:
                    tagged.setdefault(self._codec.name(type_), {})[model.name] = ""
        stamps += [Stamp("tags", name, 1, boundaries) for name, boundaries in tagged.items()]
        return stamps


class _Open:
    """What an app holds while it is open."""

    def __init__(
        self,
        store: Store,
        views: ViewStore | None,
        dispatch: Dispatch,
        queries: Queries,
        runners: Mapping[str, Runner],
    ) -> None:
        self.store = store
        self._views = views
        self.dispatch = dispatch
        self.queries = queries
        self._runners = runners
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(runner.run(), name=f"diptych {name}")
            for name, runner in self._runners.items()
        ]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            if self._views is not None:
                await self._views.close()
        finally:
            await self.store.close()

    async def wait(self, shape: Shape, position: Position) -> None:
        """Returns when a view is there."""
        if self._views is not None:
            await self._views.wait(shape, position)

    async def due(self) -> list[str]:
        """What waits, in words."""
        head = await self.store.head()
        return [
            f"view {name} is at {runner.position} of {head}"
            + (f" ({runner.failure})" if runner.failure else "")
            for name, runner in self._runners.items()
            if runner.position < head
        ]


def _event_types(models: Sequence[WriteModel], views: Sequence[View[Any]]) -> tuple[type, ...]:
    """All event classes: what models evolve, and what views take from elsewhere.

    A view with split= may also take items that are no events; those it has only for itself.
    """
    types = dict.fromkeys(type_ for model in models for type_ in model.decider.evolves)
    for view in views:
        types.update(dict.fromkeys(view.splits or view.projects))
    return tuple(types)


def _shapes(views: Sequence[View[Any]], names: Names) -> dict[type, Shape]:
    shapes: dict[type, Shape] = {}
    for view in views:
        if view.row in shapes:
            raise WiringError(f"two views keep {view.row.__name__}. Give each a row of its own.")
        shapes[view.row] = Shape(
            view=names.take("view", view.row), version=view.version, row=view.row, key=view.key
        )
    return shapes


def _refuse_shared(models: Sequence[WriteModel]) -> None:
    """A model's name begins its streams, and an event-sourced model alone writes its events."""
    by_name: dict[str, WriteModel] = {}
    by_event: dict[type, EventSourced[Any]] = {}
    for model in models:
        if by_name.setdefault(model.name, model) is not model:
            raise WiringError(f"two models are named {model.name!r}. Give each a name of its own.")
        if isinstance(model, EventSourced):
            for type_ in model.decider.evolves:
                other = by_event.setdefault(type_, model)
                if other is not model:
                    raise WiringError(
                        f"event {type_.__name__} belongs to {other!r} and to {model!r}. "
                        "One model writes an event; a Boundary may read it as well."
                    )
