"""Answering questions: read-only, from one snapshot, never older than was asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextvars import ContextVar
from datetime import datetime, timedelta
from inspect import iscoroutinefunction
from typing import Any, NamedTuple, TypeAlias, TypeVar

from diptych.errors import Fault, NestedCall, NotReady, Stale, UnknownMessage, WiringError
from diptych.log.codec import from_micros
from diptych.log.messages import MessageType, message_type
from diptych.log.names import Names
from diptych.message import Answer, Clock, Position, Principal, Query
from diptych.read.reading import Lagging, Reading
from diptych.read.sources import Need, Sources
from diptych.read.views import Views
from diptych.routing import members, name_of, parameters_of, resolve
from diptych.security.policy import Policy

T = TypeVar("T")

Answerer: TypeAlias = Callable[..., Awaitable[Any]]
"""`async def answer(query, views[, principal or what the app provides …])`"""

answering: ContextVar[bool] = ContextVar("diptych_answering", default=False)
"""Whether this task is inside an answer, which must not wait for another one."""


class _Entry:
    """What answers one type of query."""

    def __init__(
        self,
        message: MessageType[Any],
        answer: Answerer,
        further: Sequence[type],
        policy: Policy | None,
    ) -> None:
        self.message = message
        self.answer = answer
        self.further = further
        """What it takes beside the query and the views."""
        self.policy = policy
        self.used: tuple[str, ...] = ()
        """What it read the last time: it is waited for before the next time begins."""


class Freshness:
    """What the caller asks for: not older than a position, not older than a while."""

    def __init__(self, after: Position, max_age: timedelta | None) -> None:
        self.after = after
        self.max_age = max_age


class Queries:
    """Finds the answerer of a query, and lets it read when its views are fresh enough.

    Args:
        failure: Why a view cannot go on at the moment, by checkpoint.
    """

    def __init__(
        self,
        context: str,
        answerers: Sequence[Answerer],
        *,
        sources: Sources,
        names: Names,
        clock: Clock,
        failure: Callable[[str], str | None],
        policy: Callable[[type], Policy | None],
        provided: Mapping[type, Any],
        providing: Collection[type],
    ) -> None:
        self._context = context
        self._sources = sources
        self._clock = clock
        self._failure = failure
        self._entries: dict[type, _Entry] = {}
        for type_, (answer, further) in queries_of(answerers, providing).items():
            message = message_type(type_, names.take("query", type_))
            self._entries[type_] = _Entry(message, answer, further, policy(type_))
        self._provided = provided

    async def ask(
        self, query: Query[T], *, fresh: Freshness, timeout: float, principal: Principal
    ) -> T:
        """See `App.ask`."""
        judged = fresh.max_age is not None
        value, _ = await self._answered(
            query, fresh, timeout, principal, accept_stale=False, judged=judged
        )
        found: T = value
        return found

    async def answer(
        self, query: Query[T], *, fresh: Freshness, timeout: float, principal: Principal
    ) -> Answer[T]:
        """See `App.answer`."""
        value, judgement = await self._answered(
            query, fresh, timeout, principal, accept_stale=True, judged=True
        )
        assert judgement is not None
        return Answer(
            value=value,
            context=self._context,
            epoch=self._sources.log.epoch,
            position=judgement.position,
            time=judgement.time,
            age=judgement.age,
            stale=judgement.stale,
        )

    async def _answered(
        self,
        query: object,
        fresh: Freshness,
        timeout: float,
        principal: Principal,
        *,
        accept_stale: bool,
        judged: bool,
    ) -> tuple[Any, _Judgement | None]:
        entry = self._entries.get(type(query))
        if entry is None:
            known = [known.__name__ for known in self._entries]
            raise UnknownMessage("query", type(query).__name__, known)
        if answering.get():
            raise NestedCall("ask")
        checked, _ = entry.message.check(query)
        if entry.policy is not None:
            entry.policy.check(entry.message.name, principal, checked)
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout
        if fresh.after:
            await self._wait([self._sources.need(name, fresh.after) for name in entry.used], until)
        while True:
            patient = loop.time() < until
            strict = patient or not accept_stale
            reading = Reading(self._sources, after=fresh.after if strict else 0, judged=judged)
            try:
                value = await self._read(entry, checked, principal, reading)
                if not judged:
                    return value, None
                judgement = await self._judge(reading, fresh.after)
                if strict and fresh.max_age is not None and judgement.age > fresh.max_age:
                    # Asked for an age, a view must reach the head.
                    target = max(fresh.after, await self._sources.log.head())
                    raise Lagging([self._sources.need(name, target) for name in reading.used])
                return value, judgement
            except Lagging as lagging:
                if not patient:
                    raise await self._told(lagging.needs, fresh.after) from None
                await self._wait(lagging.needs, until)

    async def _read(self, entry: _Entry, query: Any, principal: Principal, reading: Reading) -> Any:
        further = [principal if t is Principal else self._provided[t] for t in entry.further]
        token = answering.set(True)
        try:
            value = await entry.answer(query, Views(reading), *further)
        except Exception:
            if reading.needs:  # whatever the answerer made of it
                raise Lagging(reading.needs) from None
            raise
        finally:
            answering.reset(token)
            await reading.close()
        if reading.needs:
            raise Lagging(reading.needs)
        entry.used = tuple(name for name in reading.used if not self._sources.is_older(name))
        return value

    async def _judge(self, reading: Reading, wanted: Position) -> _Judgement:
        """How fresh it was: what it did not take in is in the log for good, and can be looked up."""
        log = self._sources.log
        head = await log.head() if reading.head is None else reading.head
        read = [*reading.used.values()] + ([] if reading.tables is None else [reading.tables])
        position = min(read, default=head)
        now = self._clock.now()
        age = timedelta(0)
        if position < head:
            (oldest,) = (await log.read_all(after=position, limit=1)).events
            age = max(now - from_micros(oldest.time), age)
        stale = position < head or position < wanted or reading.older
        return _Judgement(position, now, age, stale)

    async def _wait(self, needs: Sequence[Need], until: float) -> None:
        """Waits until what is needed is there, or the time is over."""
        try:
            async with asyncio.timeout_at(until):
                for need in needs:
                    await need.wait()
        except TimeoutError:
            pass  # the caller looks at the clock

    async def _told(self, needs: Sequence[Need], wanted: Position) -> Fault:
        """Why there is no answer."""
        for need in needs:
            if need.target:
                return NotReady(need.name, await need.at(), need.target, self._failure(need.name))
        positions = [await need.at() for need in needs]
        names = [need.name for need in needs]
        failures = [failure for failure in map(self._failure, names) if failure]
        cause = "; ".join(failures) or None
        return Stale(names, min(positions, default=0), wanted, cause)


class _Judgement(NamedTuple):
    """How fresh an answer was; see `Answer`."""

    position: Position
    time: datetime
    age: timedelta
    stale: bool


def queries_of(
    answerers: Sequence[Answerer], provided: Collection[type]
) -> dict[type, tuple[Answerer, Sequence[type]]]:
    """Who answers which query and what else they take, read from annotations.

    Raises:
        WiringError: Two answerers for one query, or one that is not `async def (query, Views, …)`.
    """
    found: dict[type, tuple[Answerer, Sequence[type]]] = {}
    for answer in answerers:
        types, further = _answered_by(answer, provided)
        for type_ in types:
            if type_ in found:
                raise WiringError(
                    f"query {type_.__name__} is answered by {name_of(found[type_][0])} and by "
                    f"{name_of(answer)}. Each has one answerer."
                )
            found[type_] = answer, further
    return found


def _answered_by(
    answer: Answerer, provided: Collection[type]
) -> tuple[Sequence[type], Sequence[type]]:
    name = name_of(answer)
    if not iscoroutinefunction(answer):
        raise WiringError(f"answer {name} is not async. Write `async def {name}(query, views)`.")
    parameters = parameters_of(answer)
    if len(parameters) < 2 or resolve(answer, *parameters[1]) is not Views:
        raise WiringError(
            f"answer {name} must take a query and `views: Views`; it takes "
            f"({', '.join(parameter for parameter, _ in parameters)})."
        )
    further = [resolve(answer, *parameter) for parameter in parameters[2:]]
    for (parameter, _), type_ in zip(parameters[2:], further, strict=True):
        if type_ is not Principal and type_ not in provided:
            raise WiringError(
                f"answer {name}: nothing provides {parameter!r}. Give the app an opener: "
                f"provide={{{getattr(type_, '__name__', type_)}: open_it}}."
            )
    (parameter, annotation) = parameters[0]
    types = members(resolve(answer, parameter, annotation))
    for type_ in types:
        if not isinstance(type_, type) or Query not in type_.__mro__:
            shown = getattr(type_, "__name__", type_)
            raise WiringError(
                f"answer {name} takes {shown}, which is no Query. Write `class {shown}(Query[…])`."
            )
    if not types:
        raise WiringError(f"answer {name}: parameter {parameter!r} names no query.")
    return types, further
