"""Events recorded inside a transaction that the user owns."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from diptych.errors import BadResult, JoinFailed, NestedCall, StreamConflict
from diptych.log.codec import EventCodec, to_micros
from diptych.log.commit import Append, Appended, Cause, Commit, Conflict
from diptych.log.messages import is_plain
from diptych.log.port import Joins
from diptych.message import Clock, Ids, Principal, Receipt
from diptych.write.handling import handling
from diptych.write.receipts import Receipts


class JoinUnit:
    """What is recorded with one transaction of the user's.

    Attributes:
        receipt: After the block: of the events, true once the transaction is committed.
    """

    def __init__(self) -> None:
        self.recorded: list[tuple[str, Any, int | None]] = []
        self._receipt: Receipt | None = None

    def record(self, *events: object, stream: str, expected: int | None = None) -> None:
        """Records events at the end of the block.

        Args:
            stream: ``order:o1``: a model's name and a key.
            expected: Version that the stream must have; any by default.
        """
        model, colon, key = stream.partition(":")
        if not (model and colon and key and is_plain(stream) and len(stream) <= 600):
            raise JoinFailed(
                f"{stream!r} names no stream. Give a model's name and a key, such as 'order:o1'."
            )
        if self.recorded and self.recorded[0][0] != stream:
            raise JoinFailed(
                f"one join records to one stream; this one to {self.recorded[0][0]!r}, not also to "
                f"{stream!r}. Join once for each."
            )
        self.recorded += [(stream, event, expected) for event in events]

    @property
    def receipt(self) -> Receipt:
        if self._receipt is None:
            raise JoinFailed("nothing is recorded yet. The receipt is there after the block.")
        return self._receipt

    def settle(self, receipt: Receipt) -> None:
        """Called at the end of the block."""
        self._receipt = receipt


class Joining:
    """Joins users' sessions to the log.

    Args:
        ready: Returns when something may be committed.
    """

    def __init__(
        self,
        store: Joins,
        codec: EventCodec,
        clock: Clock,
        ids: Ids,
        receipts: Receipts,
        ready: Callable[[], Awaitable[None]],
    ) -> None:
        self._store = store
        self._ready = ready
        self._codec = codec
        self._clock = clock
        self._ids = ids
        self._receipts = receipts

    @asynccontextmanager
    async def join(self, session: Any, principal: Principal) -> AsyncGenerator[JoinUnit, None]:
        """For an AsyncSession."""
        _refuse_nested(session)
        async with self._store.joined(session, self._ready):
            unit = JoinUnit()
            token = handling.set(session)
            try:
                yield unit
            finally:
                handling.reset(token)
            if unit.recorded:

                def end(inner: Any) -> None:
                    self._end(unit, principal, inner)

                await session.run_sync(end)

    @contextmanager
    def join_now(self, session: Any, principal: Principal) -> Generator[JoinUnit, None, None]:
        """For a Session, in the caller's thread."""
        _refuse_nested(session)
        self._store.begin_join_now(session, self._ready)
        unit = JoinUnit()
        token = handling.set(session)
        try:
            yield unit
        finally:
            handling.reset(token)
        if unit.recorded:
            self._end(unit, principal, session)

    def _end(self, unit: JoinUnit, principal: Principal, session: Any) -> None:
        stream, _, expected = unit.recorded[0]
        for _, event, _ in unit.recorded:
            if not self._codec.knows(event.__class__):
                name = event.__class__.__name__
                raise BadResult(
                    "unit.record",
                    f"was given {name}, which is no event here. Name its class where the app is "
                    f"made: App(…, events=[{name}]), or wire the model that writes it.",
                )
        pairs = [self._codec.encode(event, unit.record) for _, event, _ in unit.recorded]
        id = self._ids.new()
        tenant = principal.tenant
        cause = Cause(id, id, principal.id, tenant, to_micros(self._clock.now()))
        append = Append(stream, expected, tuple([stored for _, stored in pairs]))
        commit = Commit(cause=cause, tenant=tenant, appends=(append,))
        committed = self._store.end_join(session, commit)
        match committed:
            case Appended():
                receipt = self._receipts.of(id, stream, committed, [event for event, _ in pairs])
                unit.settle(receipt)
            case Conflict():
                raise StreamConflict(committed.what, committed.expected, committed.found)
            case _:
                raise JoinFailed(f"{stream}: the store answered {committed!r} to a new commit.")


def _refuse_nested(session: Any) -> None:
    """Whoever has the write lock in one transaction would wait for it in another for ever."""
    inside = handling.get()
    if inside is not None and inside is not session:
        raise NestedCall("join")
