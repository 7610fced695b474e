"""The last events of a log, and those that follow, as they rest in the store."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Raw, Struct

from diptych.ops.findings import Exit

if TYPE_CHECKING:
    from diptych.log.port import StoredEvent
    from diptych.ops.target import Target

POLL = 0.25
"""Seconds between two looks for more."""

PAGE = 1000
"""Events that one look takes at most while following."""


class ShownEvent(Struct, frozen=True, kw_only=True):
    """An event as it is stored.

    Attributes:
        type: Its stored name.
        schema: Version of its shape.
        data: Its fields in that shape, not lifted by any upcaster.
        causation: Id of the command that caused it.
    """

    position: int
    time: datetime
    tenant: str
    stream: str
    version: int
    type: str
    schema: int
    principal: str
    causation: str
    correlation: str
    data: Raw


class Tail(Struct, frozen=True, kw_only=True):
    """Events in order of position.

    Attributes:
        through: Nothing that was asked for is missing at or below this position.
    """

    context: str
    events: tuple[ShownEvent, ...]
    through: int

    @property
    def exit(self) -> Exit:
        """No event is no finding."""
        return Exit.OK


async def tail(
    target: Target,
    *,
    after: int | None,
    stream: str | None,
    types: tuple[str, ...],
    tenant: str,
    limit: int,
    follow: bool,
) -> AsyncGenerator[Tail, None]:
    """The last `limit` events, or the first `limit` with position > after; then what comes.

    Raises:
        AppNotFound, WiringError: There is no app to ask about.
        StoreUnavailable: Nobody can look into its store from outside.
        StoreFault: It cannot be read.
    """
    import asyncio

    from diptych.adapters.opening import build_inspection
    from diptych.errors import StoreUnavailable
    from diptych.log.inspection import Wanted

    app = target.app
    inspection = build_inspection(app.store)
    if inspection is None:
        raise StoreUnavailable(
            f"{app.store}: a store in memory is seen by nobody but its own process. Read its log "
            "there (app.log.read), or give the app a file: store='sqlite:///file.db'."
        )
    wanted = Wanted(stream=stream, tenant=tenant, names=types)
    if after is None:
        batch = await inspection.last(wanted, limit=limit)
    else:
        batch = await inspection.after(wanted, after=after, limit=limit)
    yield Tail(context=app.name, events=tuple(map(_shown, batch.events)), through=batch.through)
    while follow:
        seen = batch.through
        batch = await inspection.after(wanted, after=seen, limit=PAGE)
        if batch.events:
            events = tuple(map(_shown, batch.events))
            yield Tail(context=app.name, events=events, through=batch.through)
        else:
            await asyncio.sleep(POLL)


def _shown(stored: StoredEvent) -> ShownEvent:
    from diptych.log.codec import from_micros

    return ShownEvent(
        position=stored.position,
        time=from_micros(stored.time),
        tenant=stored.tenant,
        stream=stored.stream,
        version=stored.version,
        type=stored.name,
        schema=stored.schema,
        principal=stored.principal,
        causation=stored.causation,
        correlation=stored.correlation,
        data=Raw(stored.data.encode()),
    )
