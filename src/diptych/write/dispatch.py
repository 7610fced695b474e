"""The shell of the write side: check, load, decide, save; the same for every model."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, TypeAlias, assert_never

import msgspec

from diptych.errors import (
    CommitUnknown,
    DeadlineExceeded,
    ForeignStore,
    IdReused,
    InvalidMessage,
    MessageTooLarge,
    Overloaded,
    Refused,
    StreamConflict,
    UnknownMessage,
    WiringError,
)
from diptych.log.codec import EventCodec, MessageType, is_plain, message_type, to_micros
from diptych.log.commit import (
    Appended,
    Cause,
    Commit,
    Committed,
    Conflict,
    NewEvent,
    Outcome,
    Refusal,
    Settled,
)
from diptych.log.names import Names
from diptych.log.port import Store
from diptych.message import Chance, Clock, Context, Ids, Position, Principal, Receipt
from diptych.routing import name_of
from diptych.write.boundary import Boundary
from diptych.write.event_sourced import EventSourced
from diptych.write.standing import BoundaryGround, Ground, Standing, StreamGround

WriteModel: TypeAlias = EventSourced[Any] | Boundary[Any]

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

    __slots__ = ("decide", "ground", "message", "model")

    def __init__(self, message: MessageType[Any], model: WriteModel, ground: Ground) -> None:
        self.message = message
        self.model = model
        self.ground = ground
        self.decide = model.decider.decide


class Dispatch:
    """Carries commands out.

    Args:
        attempts: How often a command is decided before a conflict is given up.
        payload: Bytes of JSON that a command may have.
        waiting: Commands that may be on their way at once.
        states: Committed states kept in memory, for each model.

    Raises:
        WiringError: Two models take one command.
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
    ) -> None:
        self._context = context
        self._store = store
        self._codec = codec
        self._clock = clock
        self._ids = ids
        self._chance = chance
        self._attempts = attempts
        self._payload = payload
        self._waiting = waiting
        self._under_way = 0
        self._entries = _entries(models, store, codec, names, states)
        self.deciding: str | None = None
        """Name of the command that is being decided at this very moment."""

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
        entry = self._entries.get(type(command))
        if entry is None:
            known = [type_.__name__ for type_ in self._entries]
            raise UnknownMessage("command", type(command).__name__, known)
        if self._under_way >= self._waiting:
            raise Overloaded(self._under_way)
        message = entry.message
        command, data = message.check(command)
        if len(data) > self._payload:
            raise MessageTooLarge(message.name, len(data), self._payload)
        drawn = id is None
        if id is None:
            id = self._ids.new()
        elif not 0 < len(id) <= ID_LENGTH or not is_plain(id):
            raise InvalidMessage(
                message.name, "id", f"{id[:20]!r} has {len(id)} characters; 1 to 200, without NUL"
            )
        if not is_plain(principal.id) or not is_plain(principal.tenant):
            raise InvalidMessage(message.name, "principal", "its id or tenant is no plain text")
        if deadline is not None and deadline.tzinfo is None:
            raise InvalidMessage(message.name, "deadline", "a datetime without a time zone")
        if seen is not None:
            self._refuse_foreign(seen)
        fingerprint = message.fingerprint(data)
        self._under_way += 1
        try:
            return await self._attempt(
                entry, command, id, Outcome(fingerprint, drawn), seen, principal, deadline
            )
        finally:
            self._under_way -= 1

    async def _attempt(
        self,
        entry: _Entry,
        command: Any,
        id: str,
        outcome: Outcome,
        seen: Seen | None,
        principal: Principal,
        deadline: datetime | None,
    ) -> Receipt:
        """Decides until nobody else wrote in between, at most `attempts` times."""
        tenant = principal.tenant
        attempt = 0
        while True:
            attempt += 1
            standing = await entry.ground.stand(tenant, command, alone=seen is not None)
            if seen is not None:
                # What comes after this look makes the commit itself fail, so no gap is left.
                await self._refuse_unseen(entry, command, id, outcome, seen, tenant)
            now = self._clock.now()
            if deadline is not None and now > deadline:
                raise DeadlineExceeded(entry.message.name, deadline.isoformat())
            cause = Cause(id, id, principal.id, tenant, to_micros(now))
            context = Context(now, principal, tenant, id)
            try:
                commit, events, refused = self._decide(
                    entry, command, standing, context, cause, outcome
                )
            except Exception:
                if not outcome.drawn:  # the first time may have gone well: that is the answer then
                    settled = await self._store.outcome(tenant, id)
                    if settled is not None:
                        return await self._repeat(settled, outcome, tenant)
                raise
            committed = await self._commit(commit, standing, tenant, id)
            match committed:
                case Appended():
                    if refused is not None:
                        refused.position = committed.position
                        raise refused
                    return Receipt(
                        context=self._context,
                        epoch=self._store.epoch,
                        position=committed.position,
                        command_id=id,
                        stream=standing.stream,
                        version=committed.versions[0],
                        events=tuple(events),
                    )
                case Settled():
                    return await self._repeat(committed, outcome, tenant)
                case Conflict():
                    if attempt >= self._attempts:
                        raise StreamConflict(committed.what, committed.expected, committed.found)
                    if attempt > 1:
                        await asyncio.sleep(self._chance.fraction() * 0.001 * min(2**attempt, 64))
                case _:
                    assert_never(committed)

    def _decide(
        self,
        entry: _Entry,
        command: Any,
        standing: Standing,
        context: Context,
        cause: Cause,
        outcome: Outcome,
    ) -> tuple[Commit, list[Any], Refused | None]:
        """Decides and builds the commit; from here to its sending nothing awaits."""
        events: list[Any] = []
        new: tuple[NewEvent, ...] = ()
        refused: Refused | None = None
        self.deciding = entry.message.name
        try:
            decided = entry.decide(command, standing.state, context)
            if decided:
                function = name_of(entry.model.decider.decides[type(command)].function)
                encode = self._codec.encode
                if len(decided) == 1:
                    event, stored = encode(decided[0], function)
                    events, new = [event], (stored,)
                else:
                    pairs = [encode(event, function) for event in decided]
                    events = [event for event, _ in pairs]
                    new = tuple(stored for _, stored in pairs)
        except Refused as no:
            refused = no
        finally:
            self.deciding = None
        appends, condition = standing.expectations(new)
        if refused is None:
            standing.sent(cause, events, new)
        elif outcome.drawn:
            # Nobody can ask for it again, so it is not kept; what it was judged on is compared.
            return Commit(appends=appends, condition=condition, tenant=cause.tenant), [], refused
        else:
            outcome = Outcome(outcome.fingerprint, False, _refusal(refused))
        commit = Commit(
            cause=cause,
            tenant=cause.tenant,
            appends=appends,
            condition=condition,
            outcome=outcome,
        )
        return commit, events, refused

    async def _commit(self, commit: Commit, standing: Standing, tenant: str, id: str) -> Committed:
        """Sends a commit and tells those who stand on it what became of it."""
        try:
            committed = await self._store.commit(commit)
        except CommitUnknown:
            standing.arrived(None)
            settled = await self._store.outcome(tenant, id)
            if settled is None:
                raise
            return settled
        except BaseException:
            standing.arrived(None)
            raise
        standing.arrived(committed)
        return committed

    async def _refuse_unseen(
        self,
        entry: _Entry,
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
        missed = await entry.ground.missed(tenant, command, seen.position)
        merge = entry.model.merge
        if missed and not (merge is not None and merge(command, missed)):
            raise StreamConflict(entry.model.stream(command), seen.position, missed[-1].position)

    async def _repeat(self, settled: Settled, outcome: Outcome, tenant: str) -> Receipt:
        """What the command was answered the first time."""
        if settled.fingerprint != outcome.fingerprint:
            raise IdReused(settled.id)
        if settled.refusal is not None:
            refused = Refused(
                settled.refusal.code, settled.refusal.message, **settled.refusal.values
            )
            refused.position = settled.position
            raise refused
        events: Sequence[Any] = ()
        if settled.count:
            events = [
                self._codec.decode(stored)
                for stored in await self._store.read_stream(
                    tenant,
                    settled.stream,
                    after=settled.version - settled.count,
                    limit=settled.count,
                )
            ]
        return Receipt(
            context=self._context,
            epoch=self._store.epoch,
            position=settled.position,
            command_id=settled.id,
            stream=settled.stream,
            version=settled.version,
            events=tuple(events),
        )

    def _refuse_foreign(self, seen: Seen) -> None:
        if seen.context != self._context or seen.epoch != self._store.epoch:
            raise ForeignStore(
                f"seen= comes from context {seen.context!r}, epoch {seen.epoch}; this is "
                f"{self._context!r}, epoch {self._store.epoch}. Ask this app again and decide anew."
            )


def _entries(
    models: Sequence[WriteModel], store: Store, codec: EventCodec, names: Names, states: int
) -> Mapping[type, _Entry]:
    entries: dict[type, _Entry] = {}
    for model in models:
        ground: Ground
        if isinstance(model, Boundary):
            ground = BoundaryGround(model, codec, store, states)
        else:
            ground = StreamGround(model, codec, store, states)
        for type_ in model.decider.decides:
            if type_ in entries:
                raise WiringError(
                    f"command {type_.__name__} is taken by {entries[type_].model!r} and by "
                    f"{model!r}. One model decides a command; let the other react to its events."
                )
            message = message_type(type_, names.take("command", type_))
            entries[type_] = _Entry(message, model, ground)
    return entries


def _refusal(refused: Refused) -> Refusal:
    try:
        values: dict[str, Any] = msgspec.to_builtins(refused.values, str_keys=True)
    except (TypeError, ValueError):
        values = {name: str(value) for name, value in refused.values.items()}
    return Refusal(refused.code, refused.message, values)
