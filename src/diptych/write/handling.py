"""The shell of handlers: a turn of the writer, the user's function with a session, one commit."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from contextvars import ContextVar
from datetime import datetime
from typing import Any, assert_never

from msgspec import Struct

from diptych.errors import (
    CommitUnknown,
    DeadlineExceeded,
    HandlerTooSlow,
    Refused,
    StoreFault,
    StreamConflict,
)
from diptych.log.codec import EventCodec, to_micros
from diptych.log.commit import (
    Append,
    Appended,
    Cause,
    Commit,
    Committed,
    Conflict,
    NewEvent,
    Outcome,
    Settled,
)
from diptych.log.port import Store, Unit, Units
from diptych.message import Clock, Context, Position, Principal, Receipt
from diptych.routing import Route, name_of
from diptych.write.decider import as_events
from diptych.write.handlers import Handlers
from diptych.write.receipts import Receipts, refusal_of
from diptych.write.standing import read_beyond

handling: ContextVar[Any] = ContextVar("diptych_handling", default=None)
"""What this task is inside of, which holds the write lock: True for a handler, the session for a
join; None for neither."""


class Order(Struct, frozen=True):
    """A command that has come through the door.

    Attributes:
        name: Stored name of the command.
        seen: Position at which its user decided; None where that does not matter.
    """

    name: str
    command: Any
    id: str
    outcome: Outcome
    principal: Principal
    seen: Position | None
    deadline: datetime | None


class Handling:
    """Carries out the commands of `Handlers`."""

    def __init__(self, store: Store, codec: EventCodec, clock: Clock, receipts: Receipts) -> None:
        self._store = store
        self._codec = codec
        self._clock = clock
        self._receipts = receipts

    async def carry_out(self, model: Handlers, route: Route, order: Order) -> Receipt:
        """See `App.execute`.

        Raises:
            Collision: Nothing has happened; it may be tried anew.
        """
        store = self._store
        assert isinstance(store, Units)  # looked at when the app was wired
        outcome, tenant = order.outcome, order.principal.tenant
        stream = model.stream(order.command)
        known = None if outcome.drawn else order.id
        session_type = model.session(order.command.__class__)
        async with store.unit(session_type, tenant=tenant, stream=stream, id=known) as unit:
            if unit.settled is None:
                if order.seen is not None:
                    await self._refuse_unseen(model, order, unit, stream, order.seen)
                now = self._clock.now()
                if order.deadline is not None and now > order.deadline:
                    raise DeadlineExceeded(order.name, order.deadline.isoformat())
                cause = Cause(order.id, order.id, order.principal.id, tenant, to_micros(now))
                try:
                    decided = await self._run(model, route, order, unit, now)
                except Refused as refused:
                    refused.position = unit.head
                    if not outcome.drawn:
                        await unit.undo()
                        kept = Outcome(outcome.fingerprint, False, refusal_of(refused))
                        append = (Append(stream, None),)
                        await self._commit(
                            unit, Commit(cause=cause, tenant=tenant, outcome=kept, appends=append)
                        )
                    raise
                pairs = [self._codec.encode(event, route.function) for event in decided]
                new: tuple[NewEvent, ...] = tuple([stored for _, stored in pairs])
                expected = None if order.seen is None else unit.version
                committed = await self._commit(
                    unit,
                    Commit(
                        cause=cause,
                        tenant=tenant,
                        outcome=outcome,
                        appends=(Append(stream, expected, new),),
                    ),
                )
                match committed:
                    case Appended():
                        events = [event for event, _ in pairs]
                        return self._receipts.of(order.id, stream, committed, events)
                    case Conflict():
                        raise StreamConflict(committed.what, committed.expected, committed.found)
                    case Settled():
                        settled = committed
                    case _:
                        assert_never(committed)
            else:
                settled = unit.settled
        return await self._receipts.repeat(settled, outcome, tenant)

    async def _run(
        self, model: Handlers, route: Route, order: Order, unit: Unit, now: datetime
    ) -> list[Any]:
        """What the user's function gives.

        Raises:
            HandlerTooSlow: It held the turn for too long.
        """
        given = [order.command, unit.session]
        if route.wants_facts:
            given.append(Context(now, order.principal, order.principal.tenant, order.id))
        limit = asyncio.timeout(model.seconds)
        token = handling.set(True)
        try:
            async with limit:
                decided = await route.function(*given)
        except TimeoutError as error:
            if limit.expired():
                raise HandlerTooSlow(name_of(route.function), model.seconds) from error
            raise
        finally:
            handling.reset(token)
        return [] if decided is None else as_events(route.function, decided)

    async def _commit(self, unit: Unit, commit: Commit) -> Committed:
        try:
            return await unit.commit(commit)
        except CommitUnknown:
            assert commit.cause is not None
            settled = None
            with suppress(StoreFault):  # who cannot be asked leaves it unknown
                settled = await self._store.outcome(commit.tenant, commit.cause.id)
            if settled is None:
                raise
            return settled

    async def _refuse_unseen(
        self, model: Handlers, order: Order, unit: Unit, stream: str, seen: Position
    ) -> None:
        """Refuses a decision that was made in front of a stale screen; what comes in between makes
        the commit fail.

        Raises:
            StreamConflict: Something happened since, and the model's merge does not allow it.
        """
        tenant = order.principal.tenant
        missed = await read_beyond(unit, self._codec, tenant, stream, seen)
        if missed and not (model.merge is not None and model.merge(order.command, missed)):
            raise StreamConflict(stream, seen, missed[-1].position)
