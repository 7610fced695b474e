"""How a store judges commits one after another: the same rules for every adapter.

A judge sees the store as it is under the lock, and what the commits before it in the same group
have added. It writes nothing: it answers, and collects what is to be written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, TypeAlias

from diptych.adapters.states import States
from diptych.log.commit import (
    Advance,
    Appended,
    Commit,
    Committed,
    Condition,
    Conflict,
    NewEvent,
    Rows,
    Settled,
    StateRow,
    Tagged,
)
from diptych.log.port import StoredEvent
from diptych.message import Position

Tip: TypeAlias = tuple[int, str | None]
"""Version of a stream, and the id of the command behind it where that is known."""


class Ledger(Protocol):
    """What is committed already, as a judge asks for it."""

    def settled(self, tenant: str, id: str) -> Settled | None:
        """The stored outcome of a command."""
        ...

    def version(self, tenant: str, stream: str) -> int:
        """Version of a stream; 0 where there is none."""
        ...

    def causation(self, tenant: str, stream: str, version: int) -> str | None:
        """Id of the command behind one event."""
        ...

    def causes(self, tenant: str, query: Tagged, after: Position) -> Iterable[str]:
        """Ids of the commands behind the matching events after a position."""
        ...

    def checkpoint(self, name: str) -> Position:
        """How far a view has got; 0 where it has not begun."""
        ...

    def stands(self, row: StateRow) -> bool:
        """Whether a row is as the decision knew it."""
        ...


class Judge:
    """Judges one group of commits.

    Args:
        head: Position of the last committed event; the group's positions go on from there.
    """

    def __init__(self, ledger: Ledger, head: Position) -> None:
        self._ledger = ledger
        self._versions: dict[tuple[str, str], Tip] = {}
        self._outcomes: dict[tuple[str, str], Settled] = {}
        self._checkpoints: dict[str, Position] = {}
        self.head = head
        self.events: list[tuple[StoredEvent, NewEvent]] = []
        self.outcomes: list[tuple[str, Settled]] = []
        self.rows: list[Rows] = []
        self.states = States(ledger.stands)
        self.statements: list[Any] = []
        self.advances: list[Advance] = []
        self._under: dict[tuple[str, str], list[tuple[Position, str, NewEvent]]] = {}

    @property
    def versions(self) -> dict[tuple[str, str], int]:
        """Of every stream that a commit touched, after the group."""
        return {stream: version for stream, (version, _) in self._versions.items()}

    @property
    def tips(self) -> Mapping[tuple[str, str], Tip]:
        """The same, with the command behind each, as far as that was looked at."""
        return self._versions

    @property
    def empty(self) -> bool:
        """Whether there is nothing to be written."""
        return not (self.events or self.outcomes or self.rows or self.statements or self.advances)

    def judge(self, commit: Commit) -> Committed:
        """Answers one commit, and takes it in if it may happen."""
        cause, outcome, tenant = commit.cause, commit.outcome, commit.tenant
        if outcome is not None and cause is not None:
            settled = self._outcomes.get((tenant, cause.id))
            if settled is None and not outcome.drawn:
                settled = self._ledger.settled(tenant, cause.id)
            if settled is not None:
                return settled
        conflict = self._conflict(commit)
        if conflict is not None:
            return conflict
        versions: list[int] = []
        stream, count = "", 0
        for append in commit.appends:
            stream = append.stream
            count = len(append.events)
            version, by = self._version(tenant, stream)
            if count and cause is not None:
                for event in append.events:
                    self.head += 1
                    version += 1
                    stored = StoredEvent(
                        self.head,
                        tenant,
                        stream,
                        version,
                        event.name,
                        event.schema,
                        event.data,
                        cause.time,
                        cause.id,
                        cause.correlation,
                        cause.principal,
                    )
                    self.events.append((stored, event))
                    for tag in event.tags:
                        under = self._under.setdefault((tenant, tag), [])
                        under.append((self.head, cause.id, event))
                by = cause.id
            self._versions[(tenant, stream)] = (version, by)
            versions.append(version)
            if append.row is not None:
                self.states.take(append.row)
        if outcome is not None and cause is not None:
            settled = Settled(
                cause.id,
                outcome.fingerprint,
                self.head,
                stream,
                versions[-1] if versions else 0,
                count,
                outcome.refusal,
            )
            self._outcomes[(tenant, cause.id)] = settled
            self.outcomes.append((tenant, settled))
        self.rows.extend(commit.rows)
        self.statements.extend(commit.statements)
        for advance in commit.advance:
            self._checkpoints[advance.checkpoint] = advance.position
            self.advances.append(advance)
        return Appended(self.head, tuple(versions))

    def _conflict(self, commit: Commit) -> Conflict | None:
        tenant = commit.tenant
        for append in commit.appends:
            expected = append.expected
            if expected is not None:
                version, by = self._version(tenant, append.stream)
                if version != expected:
                    return Conflict(append.stream, expected, version)
                if append.upon is not None:
                    if by is None:
                        by = self._ledger.causation(tenant, append.stream, version)
                    if by != append.upon:
                        return Conflict(append.stream, expected, version)
            if append.row is not None and not self.states.hold(append.row):
                return Conflict(append.stream, expected or 0, None)
        condition = commit.condition
        if condition is not None and not self._holds(tenant, condition):
            what = " ".join(tag for item in condition.query.items[:5] for tag in item)
            return Conflict(what, condition.after, None)
        for advance in commit.advance:
            at = self._checkpoints.get(advance.checkpoint)
            if at is None:
                at = self._ledger.checkpoint(advance.checkpoint)
            if at != advance.expected:
                return Conflict(advance.checkpoint, advance.expected, at)
        return None

    def _version(self, tenant: str, stream: str) -> Tip:
        known = self._versions.get((tenant, stream))
        if known is None:
            known = self._versions[(tenant, stream)] = (self._ledger.version(tenant, stream), None)
        return known

    def _holds(self, tenant: str, condition: Condition) -> bool:
        query, after = condition.query, condition.after
        causes = set(self._ledger.causes(tenant, query, after))
        for item in query.items:
            for position, cause, event in self._under.get((tenant, item[0]), ()):
                if position > after and matches(query, event):
                    causes.add(cause)
        return causes == set(condition.besides)


def matches(query: Tagged, event: NewEvent) -> bool:
    """Whether an event is one that a boundary looks at."""
    return event.name in query.names and any(
        all(tag in event.tags for tag in item) for item in query.items
    )
