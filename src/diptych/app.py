"""An app: the one place where both panels, the log between them and the adapters are joined."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self, TypeAlias, TypeVar

from diptych.adapters.opening import refuse_unknown, refuse_unread, refuse_wake_dsn
from diptych.adapters.system import SystemChance, SystemClock, UuidV7
from diptych.errors import Fault, ForeignStore, JoinFailed, NestedCall, NotOpen, NotSettled, Refused
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
from diptych.part import Part
from diptych.read.model import ReadModel
from diptych.read.query import Answerer, Freshness, Queries, answering
from diptych.running import Limits, Ports, Provide, Running
from diptych.security.policy import May
from diptych.subscription.feed import Log
from diptych.wiring import Wiring
from diptych.write.handling import handling
from diptych.write.joining import Joining, JoinUnit
from diptych.write.model import WriteModel

R = TypeVar("R")

After: TypeAlias = "Receipt | Answer[Any] | Refused | Position"
"""A position, or what carries one."""


class App:
    """A bounded context: what decides, what is shown, and where it rests.

    Constructing it reads the annotations and checks that everything fits; it does no I/O.
    `async with app:` opens the store, lets the views catch up in the background, and closes it
    again. It may be entered again afterwards.

    Args:
        name: Of the context; stamped on the store by the first app that opens it.
        store: ``sqlite:///file.db`` (relative), ``sqlite:////absolute/file.db``; ``sqlite://`` for
            SQLite in memory, or ``memory://`` for a log in Python, both gone when the app is left;
            ``postgresql://user:password@host:5432/database``.
        wake_dsn: On PostgreSQL behind a pooler in transaction mode: the server itself, where other
            processes' commits are announced. Without it they are polled for.
        read_store: ``postgresql://…`` of a replica of the store, for answers to be read from: what
            lags there is waited for, as `after=` asks. None reads from the store itself.
        write: Models, each with the commands it decides.
        read: Views.
        answer: Functions `async def answer(query, views)`.
        may: Policies: `may(principal, command[, state])`, `may(principal, query)` give `Allow()`
            or `Deny(reason)`.
        events: Classes of events that are recorded with `join` and that no model here writes.
        parts: The same of each feature: `Part(write=…, read=…, …)`.
        provide: By type, an opener (an async context manager) of what answerers may ask for by
            annotation; opened once, with the app.
        names: Stored names that differ from the class name in kebab-case.
        upcast: By stored event name, functions that lift its fields from each shape to the next.
        deny_by_default: Whether commands and queries without a policy are denied.
        clock: Where the time comes from; the machine's by default.

    Raises:
        WiringError: The parts do not fit together; the text says where and what to do.
    """

    def __init__(
        self,
        name: str,
        *,
        store: str = "memory://",
        wake_dsn: str | None = None,
        read_store: str | None = None,
        write: Sequence[WriteModel] = (),
        read: Sequence[ReadModel] = (),
        answer: Sequence[Answerer] = (),
        may: Sequence[May] = (),
        events: Sequence[type] = (),
        parts: Sequence[Part] = (),
        provide: Provide | None = None,
        names: Mapping[str, type] | None = None,
        upcast: Mapping[str, Sequence[Upcast]] | None = None,
        deny_by_default: bool = False,
        clock: Clock | None = None,
        ids: Ids | None = None,
        chance: Chance | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.name = name
        self.store = store
        self._wake_dsn = wake_dsn
        self._read_store = read_store
        self._limits = limits or Limits()
        self._ports = Ports(clock or SystemClock(), ids or UuidV7(), chance or SystemChance())
        self._provide: Provide = dict(provide or {})
        refuse_unknown(store)
        if wake_dsn is not None:
            refuse_wake_dsn(store, wake_dsn)
        if read_store is not None:
            refuse_unread(read_store, store)
        own = Part(
            write=write,
            read=read,
            answer=answer,
            may=may,
            events=events,
            names=names,
            upcast=upcast,
        )
        self.wiring = Wiring(
            name,
            [own, *parts],
            store=store,
            provided=self._provide,
            deny_by_default=deny_by_default,
            payload=self._limits.payload,
        )
        """What it is made of, for tools that look at it."""
        self._running: Running | None = None
        self._run()  # for its errors: an app that is made can be entered
        self.wiring.names.refuse_unused()

    def _run(self) -> Running:
        return Running(
            self.wiring,
            self.store,
            ports=self._ports,
            limits=self._limits,
            provide=self._provide,
            wake_dsn=self._wake_dsn,
            read_url=self._read_store,
        )

    async def __aenter__(self) -> Self:
        if self._running is not None:
            raise Fault(f"app {self.name!r} is open already. Enter it once, and share it.")
        running = self._run()
        await running.open()
        self._running = running
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        running, self._running = self._running, None
        if running is not None:
            await running.close()

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
            Denied: A policy does not allow it to the principal.
            BadMessage: It cannot be taken: malformed, unknown, too large, an id used before.
            StreamConflict: Somebody else wrote first, also after the retries, or since `seen`.
            DeadlineExceeded, Overloaded: It was not carried out.
            StoreFault: The store failed; nothing was changed, except for `CommitUnknown`.
        """
        opened = self._opened
        if opened.dispatch.deciding is not None or answering.get() or handling.get() is not None:
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
        principal: Principal | None = None,
    ) -> Coroutine[Any, Any, R]:
        """The answer to a query.

        Args:
            query: Answered by one of the answerers.
            after: What the answer must know of: it is never older than this.
            max_age: How old the oldest event not yet taken in may be.
            timeout: Seconds to wait for the views to get there.
            principal: Who asks; anonymous by default.

        Raises:
            Denied: A policy says no.
            Stale: They did not get there in time.
            BadMessage: It cannot be taken.
        """
        fresh = Freshness(self._position(after), max_age)
        return self._queries("ask").ask(
            query, fresh=fresh, timeout=timeout, principal=principal or ANONYMOUS
        )

    def answer(
        self,
        query: Query[R],
        *,
        after: After | None = None,
        max_age: timedelta | None = None,
        timeout: float = 2.0,
        principal: Principal | None = None,
    ) -> Coroutine[Any, Any, Answer[R]]:
        """Like `ask`, with how fresh it is; when time runs out, an older answer marked stale."""
        fresh = Freshness(self._position(after), max_age)
        return self._queries("answer").answer(
            query,
            fresh=fresh,
            timeout=timeout,
            principal=principal or ANONYMOUS,
        )

    def join(
        self, session: Any, *, principal: Principal | None = None
    ) -> AbstractAsyncContextManager[JoinUnit]:
        """Records events inside an SQLAlchemy transaction that the caller owns.

        Rows and events are committed together by the session, or not at all. `unit.receipt` is
        there after the block; keep that short. On SQLite it takes the store's write lock, so what
        is read in it stays true until the session commits. On PostgreSQL the lock is taken at its
        end: lock the rows that you read to write.

            async with sessions.begin() as session, app.join(session) as unit:
                session.add(order)
                unit.record(OrderPlaced("o1"), stream="order:o1")

        Args:
            session: An AsyncSession on the store's own database.

        Raises:
            JoinFailed: The session's transaction cannot carry events.
            ForeignStore: It is on another database.
            StreamConflict: A stream is not at the version that was expected.
            NestedCall: Inside a handler, or inside a join of another session.
            StoreUnavailable: Somebody had the write lock for too long.
        """
        return self.joining.join(session, principal or ANONYMOUS)

    @property
    def joining(self) -> Joining:
        """For facades: joins sessions of either kind."""
        joining = self._opened.joining
        if joining is None:
            raise JoinFailed(
                f"{self.store!r} keeps no tables of yours. Use store='sqlite:///file.db' or "
                "'postgresql://…'."
            )
        return joining

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
                await opened.panel.settled()
        except TimeoutError:
            raise NotSettled(await opened.panel.due()) from None

    @property
    def log(self) -> Log:
        """The log of this context, for reading."""
        return Log(self._opened.store, self.wiring.codec)

    @property
    def _opened(self) -> Running:
        if self._running is None:
            raise NotOpen(self.name)
        return self._running

    def _queries(self, call: str) -> Queries:
        opened = self._opened
        if opened.dispatch.deciding is not None or handling.get() is not None:
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
                        "another: leave it out, or ask the app that gave it. If the log was "
                        "restored from a backup, send the command again with its id."
                    )
                return after.position
