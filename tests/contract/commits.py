"""Short ways to say what a store should commit."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from itertools import count

from diptych.log.commit import (
    Append,
    Appended,
    Cause,
    Commit,
    Committed,
    Condition,
    NewEvent,
    Outcome,
    Tagged,
)
from diptych.log.port import Store, StoredEvent

CONTEXT = "contract"
WAITING = 200
"""Commits that may wait in the stores of the contract."""

_numbers = count(1)


def new_id() -> str:
    """A command id that was never given before."""
    return f"c{next(_numbers)}"


def event(name: str = "noted", *, tags: Sequence[str] = (), text: str = "x") -> NewEvent:
    """An event whose data is valid JSON."""
    return NewEvent(name, 1, f'{{"text":"{text}"}}', tuple(tags))


def cause(id: str, tenant: str = "") -> Cause:
    """Why something is written."""
    return Cause(id=id, correlation=f"{id}-root", principal="tester", tenant=tenant, time=1_000_000)


def outcome(fingerprint: str = "f", *, drawn: bool = False) -> Outcome:
    """The outcome of a command that was accepted."""
    return Outcome(fingerprint.encode(), drawn)


def append(
    stream: str,
    expected: int | None,
    *events: NewEvent,
    id: str | None = None,
    upon: str | None = None,
    tenant: str = "",
    condition: Condition | None = None,
) -> Commit:
    """Events for one stream, one where none is given; without an outcome."""
    return Commit(
        cause=cause(id or new_id(), tenant),
        tenant=tenant,
        appends=(Append(stream, expected, events or (event(),), upon),),
        condition=condition,
    )


def command(
    stream: str,
    expected: int | None,
    *events: NewEvent,
    id: str,
    tenant: str = "",
    outcome: Outcome,
) -> Commit:
    """Events for one stream with the outcome of the command; no event where none is given."""
    return Commit(
        cause=cause(id, tenant),
        tenant=tenant,
        appends=(Append(stream, expected, events),),
        outcome=outcome,
    )


def under(*items: str | tuple[str, ...], names: Sequence[str] = ("noted",)) -> Tagged:
    """The events of these names that carry one of the items."""
    sets = tuple((item,) if isinstance(item, str) else item for item in items)
    return Tagged(tuple(names), sets)


async def together(store: Store, *commits: Commit) -> list[Committed | BaseException]:
    """What becomes of commits that are sent in one turn of the loop, so that they go as one group."""
    waiting: list[Awaitable[Committed]] = [store.commit(commit) for commit in commits]
    answers: list[Committed | BaseException] = []
    for awaitable in waiting:
        try:
            answers.append(await awaitable)
        except Exception as error:
            answers.append(error)
    return answers


async def happened(store: Store, commit: Commit) -> Appended:
    """Commits what must not fail."""
    committed = await store.commit(commit)
    assert isinstance(committed, Appended), committed
    return committed


async def everything(
    store: Store, *, after: int = 0, limit: int = 1000, names: Sequence[str] | None = None
) -> list[StoredEvent]:
    """All events up to the head, page by page."""
    head = await store.head()
    found: list[StoredEvent] = []
    while after < head:
        batch = await store.read_all(after=after, limit=limit, names=names)
        assert len(batch.events) <= limit
        assert batch.through > after
        assert all(after < event.position <= batch.through for event in batch.events)
        found += batch.events
        after = batch.through
    return found


async def version(store: Store, stream: str, tenant: str = "") -> int:
    """How many events a stream has."""
    events = await store.read_stream(tenant, stream, after=0, limit=10_000)
    assert [event.version for event in events] == list(range(1, len(events) + 1))
    return len(events)
