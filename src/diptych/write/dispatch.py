"""The shell of the write side: check, load, decide, save; the same for every model."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Protocol, assert_never

from diptych.errors import (
    BadResult,
    CommitUnknown,
    DeadlineExceeded,
    ForeignStore,
    InvalidMessage,
    MessageTooLarge,
    Overloaded,
    Refused,
    StoreFault,
    StreamConflict,
    UnknownMessage,
)
from diptych.log.codec import EventCodec, to_micros
from diptych.log.commit import (
    Appended,
    Cause,
    Commit,
    Conflict,
    NewEvent,
    Outcome,
    Settled,
)
from diptych.log.messages import MessageType, is_plain, message_type
from diptych.log.names import Names
from diptych.log.port import Collision, Store
from diptych.message import ANONYMOUS, Chance, Clock, Context, Ids, Position, Principal, Receipt
from diptych.routing import Route, name_of
from diptych.security.policy import Policy
from diptych.write.boundary import Boundary
from diptych.write.boundary_ground import BoundaryGround
from diptych.write.decider import as_events
from diptych.write.handlers import Handlers
from diptych.write.handling import Handling, Order
from diptych.write.model import WriteModel
from diptych.write.receipts import Receipts, refusal_of
from diptych.write.row_ground import RowGround
from diptych.write.standing import Ground, Standing
from diptych.write.state_stored import StateStored
from diptych.write.stream_ground import StreamGround

ID_LENGTH = 200


class Seen(Protocol):
    """Where a screen stood when its user decided: a receipt or an answer."""

    @property
    def context(self) -> str: ...
    @property
    def epoch(self) -> str: ...
    @property
    def position(self) -> Position: ...


class _Entry:
    """What takes one type of command."""

    __slots__ = (
        "function",
        "ground",
        "message",
        "model",
        "policy",
        "policy_on_state",
        "prepare",
        "route",
        "wants_context",
    )

    def __init__(
        self,
        message: MessageType[Any],
        model: WriteModel,
        ground: Ground | None,
        route: Route,
        policy: Policy | None,
    ) -> None:
        self.message = message
        self.model = model
        self.ground = ground
        """None where a handler does all by itself."""
        self.route = route
        self.function = route.function
        self.wants_context = route.wants_facts
        self.prepare = model.prepare.get(message.type)
        on_state = policy is not None and policy.wants_state
        self.policy = None if on_state else policy
        self.policy_on_state = policy if on_state else None


class Dispatch:
    """Carries commands out.

    Args:
        attempts: How often a command is decided before a conflict is given up.
        payload: Bytes of JSON that a command may have.
        waiting: Commands that may be on their way at once.
        states: Committed states kept in memory, for each model.
        policy: Who may send a command.
    """

    def __init__(
        self,
        context: str,
        models: Sequence[WriteModel],
        *,
        store: Store,
        codec: EventCodec,
        names: Names,
        clock: Clock,
        ids: Ids,
        chance: Chance,
        attempts: int,
        payload: int,
        waiting: int,
        states: int,
        policy: Callable[[type], Policy | None],
    ) -> None:
        self._context = context
        self.receipts = self._receipts = Receipts(context, store, codec)
        self._handling = Handling(store, codec, clock, self._receipts)
        self._store = store
        self._codec = codec
        self._clock = clock
        self._ids = ids
        self._chance = chance
        self._attempts = attempts
        self._payload = payload
        self._waiting = waiting
        self._under_way = 0
        self._entries = _entries(models, store, codec, names, states, policy)
        self.deciding: str | None = None
        """Name of the command that is being decided at this very moment."""
        self.before: Callable[[], Awaitable[None]] | None = None
        """What must be waited for before the first command."""

    async def ready(self) -> None:
        """Returns when commands may go on."""
        if self.before is not None:
            await self.before()

    async def execute(
        self,
        command: object,
        *,
        id: str | None,
        seen: Seen | None,
        principal: Principal,
        deadline: datetime | None,
    ) -> Receipt:
        """See `App.execute`."""
        entry = self._entries.get(command.__class__)
        if entry is None:
            known = [type_.__name__ for type_ in self._entries]
            raise UnknownMessage("command", type(command).__name__, known)
        if self._under_way >= self._waiting:
            raise Overloaded(self._under_way)
        if self.before is not None:
            await self.ready()
        message = entry.message
        command, data = message.check(command)
        if len(data) > self._payload:
            raise MessageTooLarge(message.name, len(data), self._payload)
        drawn = id is None
        if id is None:
            id = self._ids.new()
        if not drawn or seen is not None or deadline is not None or principal is not ANONYMOUS:
            self._check_terms(message.name, id, seen, principal, deadline)
        outcome = Outcome(message.fingerprint(data), drawn)
        if entry.prepare is not None:
            command = self._prepared(entry, command)
        if entry.policy is not None:
            entry.policy.check(message.name, principal, command)
        tenant = principal.tenant
        ground = entry.ground
        attempt = 0
        self._under_way += 1
        try:
            if ground is None:
                at = None if seen is None else seen.position
                order = Order(message.name, command, id, outcome, principal, at, deadline)
                assert isinstance(entry.model, Handlers)
                while True:
                    attempt += 1
                    try:
                        return await self._handling.carry_out(entry.model, entry.route, order)
                    except Collision as collision:
                        if attempt >= self._attempts:
                            raise collision.error from None
                    await self._pause(attempt)
            while True:
                attempt += 1
                standing = None if seen is not None else ground.at_hand(tenant, command)
                if standing is None:
                    standing = await ground.stand(tenant, command, alone=seen is not None)
                if seen is not None:
                    # What comes after this look makes the commit itself fail: no gap is left.
                    await self._refuse_unseen(entry, ground, command, id, outcome, seen, tenant)
                now = self._clock.now()
                if deadline is not None and now > deadline:
                    raise DeadlineExceeded(message.name, deadline.isoformat())
                cause = Cause(id, id, principal.id, tenant, to_micros(now))
                try:
                    commit, events, refused = self._decide(
                        entry, command, standing, principal, now, cause, outcome
                    )
                except Exception:
                    if standing.guess and attempt < self._attempts:
                        # On what is really there it may go well.
                        standing.arrived(None)
                        continue
                    if not drawn:  # the first time may have gone well: that is the answer then
                        settled = await self._store.outcome(tenant, id)
                        if settled is not None:
                            return await self._receipts.repeat(settled, outcome, tenant)
                    raise
                try:
                    committed = await self._store.commit(commit)
                except CommitUnknown:
                    standing.arrived(None)
                    settled = None
                    with suppress(StoreFault):  # who cannot be asked leaves it unknown
                        settled = await self._store.outcome(tenant, id)
                    if settled is None:
                        raise
                    committed = settled
                except BaseException:
                    standing.arrived(None)
                    raise
                else:
                    standing.arrived(committed)
                match committed:
                    case Appended():
                        if refused is not None:
                            refused.position = committed.position
                            raise refused
                        return self._receipts.of(id, standing.stream, committed, events)
                    case Settled():
                        return await self._receipts.repeat(committed, outcome, tenant)
                    case Conflict():
                        if attempt >= self._attempts:
                            raise StreamConflict(
                                committed.what, committed.expected, committed.found
                            )
                        await self._pause(attempt)
                    case _:
                        assert_never(committed)
        finally:
            self._under_way -= 1

    async def _pause(self, attempt: int) -> None:
        """Lets the others go first, for longer each time; the first time, not at all."""
        if attempt > 1:
            await asyncio.sleep(self._chance.fraction() * 0.001 * min(2**attempt, 10))

    def _check_terms(
        self,
        name: str,
        id: str,
        seen: Seen | None,
        principal: Principal,
        deadline: datetime | None,
    ) -> None:
        """What comes with the command must be fit to be kept and compared."""
        if not 0 < len(id) <= ID_LENGTH or not is_plain(id):
            raise InvalidMessage(
                name, "id", f"{id[:20]!r} has {len(id)} characters; 1 to 200, without NUL"
            )
        if not is_plain(principal.id) or not is_plain(principal.tenant):
            raise InvalidMessage(name, "principal", "its id or tenant is no plain text")
        if deadline is not None and deadline.tzinfo is None:
            raise InvalidMessage(name, "deadline", "a datetime without a time zone")
        if seen is not None:
            self._refuse_foreign(seen)

    def _prepared(self, entry: _Entry, command: Any) -> Any:
        """The command as its model normalises it, checked once more.

        Raises:
            BadResult: It is another command, or breaks its own types.
        """
        assert entry.prepare is not None
        function = entry.prepare
        self.deciding = entry.message.name
        try:
            prepared = function(command)
        finally:
            self.deciding = None
        if prepared.__class__ is not command.__class__:
            raise BadResult(
                name_of(function),
                f"returned {type(prepared).__name__}. Return the {type(command).__name__} itself.",
            )
        try:
            return entry.message.check(prepared)[0]
        except InvalidMessage as error:
            raise BadResult(
                name_of(function), f"returned a command that breaks its types: {error.args[0]}"
            ) from error

    def _decide(
        self,
        entry: _Entry,
        command: Any,
        standing: Standing,
        principal: Principal,
        now: datetime,
        cause: Cause,
        outcome: Outcome,
    ) -> tuple[Commit, list[Any], Refused | None]:
        """Decides, builds the commit and lets others stand on it; nothing awaits until it is sent.

        Raises:
            BadResult: The functions gave what cannot be kept.
        """
        decided: list[Any] = []
        refused: Refused | None = None
        self.deciding = entry.message.name
        try:
            if entry.policy_on_state is not None:
                entry.policy_on_state.check(entry.message.name, principal, command, standing.state)
            if entry.wants_context:
                context = Context(now, principal, cause.tenant, cause.id)
                decided = as_events(
                    entry.function, entry.function(command, standing.state, context)
                )
            else:
                decided = as_events(entry.function, entry.function(command, standing.state))
        except Refused as no:
            refused = no
        finally:
            self.deciding = None
        events: list[Any] = []
        new: tuple[NewEvent, ...] = ()
        if decided:
            encode = self._codec.encode
            if len(decided) == 1:
                event, stored = encode(decided[0], entry.function)
                events, new = [event], (stored,)
            else:
                pairs = [encode(event, entry.function) for event in decided]
                events = [event for event, _ in pairs]
                new = tuple([stored for _, stored in pairs])
        appends, condition = standing.expectations(events, new)
        if refused is None:
            standing.sent(cause, events, new)
        elif outcome.drawn:
            # Nobody can ask for it again, so it is not kept; what it was judged on is compared.
            commit = Commit(appends=appends, condition=condition, tenant=cause.tenant)
            return commit, events, refused
        else:
            outcome = Outcome(outcome.fingerprint, False, refusal_of(refused))
        commit = Commit(
            cause=cause,
            tenant=cause.tenant,
            appends=appends,
            condition=condition,
            outcome=outcome,
        )
        return commit, events, refused

    async def _refuse_unseen(
        self,
        entry: _Entry,
        ground: Ground,
        command: Any,
        id: str,
        outcome: Outcome,
        seen: Seen,
        tenant: str,
    ) -> None:
        """Refuses a decision that was made in front of a stale screen.

        Raises:
            StreamConflict: Something happened since, and the model's merge does not allow it.
        """
        if not outcome.drawn and await self._store.outcome(tenant, id) is not None:
            return  # a repetition: the commit will find it
        missed = await ground.missed(tenant, command, seen.position)
        merge = entry.model.merge
        if missed and not (merge is not None and merge(command, missed)):
            raise StreamConflict(entry.model.stream(command), seen.position, missed[-1].position)

    def _refuse_foreign(self, seen: Seen) -> None:
        if seen.context != self._context or seen.epoch != self._store.epoch:
            raise ForeignStore(
                f"seen= comes from context {seen.context!r}, epoch {seen.epoch}; this is "
                f"{self._context!r}, epoch {self._store.epoch}. Ask this app again and decide anew."
            )


def _entries(
    models: Sequence[WriteModel],
    store: Store,
    codec: EventCodec,
    names: Names,
    states: int,
    policy: Callable[[type], Policy | None],
) -> Mapping[type, _Entry]:
    entries: dict[type, _Entry] = {}
    for model in models:
        ground: Ground | None
        if isinstance(model, Handlers):
            ground = None
        elif isinstance(model, Boundary):
            ground = BoundaryGround(model, codec, store, states)
        elif isinstance(model, StateStored):
            ground = RowGround(model, codec, store, states)
        else:
            ground = StreamGround(model, codec, store, states)
        for type_, route in model.commands.items():
            message = message_type(type_, names.take("command", type_))
            entries[type_] = _Entry(message, model, ground, route, policy(type_))
    return entries
