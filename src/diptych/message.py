"""Words that all sides share: what a message carries, and what the shell knows about it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

from msgspec import Struct

Position: TypeAlias = int
"""An event's place in the whole log, from 1; 0 is before the first. Ascending, with holes."""

E = TypeVar("E", covariant=True)
R = TypeVar("R", covariant=True)


class Principal(Struct, frozen=True):
    """On whose behalf something is done."""

    id: str
    roles: frozenset[str] = frozenset()
    attributes: Mapping[str, Any] = {}
    tenant: str = ""


ANONYMOUS = Principal("anonymous")


class Context(Struct, frozen=True):
    """The facts of the shell, given to a decision as data.

    Attributes:
        now: Aware UTC time of the decision; the time of its events.
        command_id: The same over every attempt.
    """

    now: datetime
    principal: Principal
    tenant: str
    command_id: str

    def new_id(self, name: str) -> str:
        """An id that is the same whenever this command is decided again (32 hex digits)."""
        key = f"{self.tenant}\0{self.command_id}\0{name}".encode()
        return blake2b(key, digest_size=16).hexdigest()


class Recorded(Struct, Generic[E], frozen=True, kw_only=True):
    """An event with what the log knows about it.

    Attributes:
        name: The stored name of the event.
        version: Place in its stream, from 1.
        time: Aware UTC time at which it was decided.
        principal: Id of the principal.
        causation_id: Id of the command that caused it.
        correlation_id: Id of the first command of the whole conversation.
    """

    event: E
    position: Position
    stream: str
    version: int
    name: str
    time: datetime
    principal: str
    tenant: str
    causation_id: str
    correlation_id: str


class Receipt(Struct, frozen=True, eq=False, kw_only=True):
    """What `execute` returns. Two are equal if they tell of the same command at the same place.

    Attributes:
        context: Name of the app that carried the command out.
        epoch: Which incarnation of its log; changes when an older state is restored.
        position: Of the last event; without events, the head at the commit.
        version: Of the stream after the commit.
        events: What was decided, in order.
    """

    context: str
    epoch: str
    position: Position
    command_id: str
    stream: str
    version: int
    events: tuple[Any, ...]

    def _identity(self) -> tuple[str, str, Position, str]:
        return self.context, self.epoch, self.position, self.command_id

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Receipt) and self._identity() == other._identity()

    def __ne__(self, other: object) -> bool:  # msgspec's own, which Python would find, compares ids
        return not self == other

    def __hash__(self) -> int:
        return hash(self._identity())


class Query(Generic[R]):
    """Base of a question whose answer is an `R`. A query never changes anything."""


class Answer(Struct, Generic[R], frozen=True, kw_only=True):
    """A query's value and how fresh it is.

    Attributes:
        context: Name of the app that answered.
        epoch: Which incarnation of its log.
        position: The lowest checkpoint of the views read, or the log's head where none was read.
        time: Aware UTC time at which it was answered.
        age: Now minus the time of the oldest event not yet taken in; zero when there is none.
        stale: Whether an event is not yet taken in, or `after=` was not reached.
    """

    value: R
    context: str
    epoch: str
    position: Position
    time: datetime
    age: timedelta
    stale: bool


class Clock(Protocol):
    """Where the engine takes the time from."""

    def now(self) -> datetime:
        """Aware, in UTC."""
        ...


class Ids(Protocol):
    """Where the engine takes command ids from."""

    def new(self) -> str:
        """Never given before, by anybody; best ascending in time."""
        ...


class Chance(Protocol):
    """Where the engine takes chance from (jitter only)."""

    def fraction(self) -> float:
        """Uniform in [0, 1)."""
        ...
