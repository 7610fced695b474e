"""Answering questions: read-only, from one snapshot, never older than was asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextvars import ContextVar
from datetime import timedelta
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

import msgspec

from diptych.errors import NestedCall, NotOpen, Stale, UnknownMessage, WiringError, WrongRows
from diptych.log.codec import from_micros
from diptych.log.forms import is_model, make_model
from diptych.log.messages import MessageType, message_type
from diptych.log.names import Names
from diptych.message import Answer, Clock, Position, Principal, Query
from diptych.read.port import Session, Shape, Snapshot, ViewStore
from diptych.routing import members, name_of, parameters_of, resolve
from diptych.security.policy import Policy

if TYPE_CHECKING:
    from sqlalchemy import Table
    from sqlalchemy.sql import Select

T = TypeVar("T")

Answerer: TypeAlias = Callable[..., Awaitable[Any]]
"""`async def answer(query, views[, principal or what the app provides …])`"""

SCALARS = (int, float, str, bool, bytes)

answering: ContextVar[bool] = ContextVar("diptych_answering", default=False)
"""Whether this task is inside an answer, which must not wait for another one."""


class _Lagging(Exception):
    """A view that the answer needs is not far enough; the answer begins again."""

    def __init__(self, views: Sequence[Shape]) -> None:
        super().__init__()
        self.views = views


class Views:
    """The read-only session of one answer. All its reads are of one moment.

    Statements name the tables of views; which views an answer depends on is noticed from them.
    """

    def __init__(
        self,
        session: Session,
        store: ViewStore,
        shapes: Mapping[type, Shape],
        fresh: Callable[[Snapshot, Sequence[Shape]], Sequence[Shape]],
    ) -> None:
        self._session = session
        self._store = store
        self._shapes = shapes
        self._fresh = fresh
        self.used: set[str] = set()
        """Checkpoints of the views that were read."""

    def table(self, row: type) -> Table:
        """The table of a view, to be used in a `select`.

        Raises:
            WiringError: No view of this app has such rows.
        """
        return cast("Table", self._store.table(self._shape(row)))

    async def get(self, row: type[T], *key: Any) -> T | None:
        """The row of a key (one argument for each of its fields), or None."""
        shape = self._shape(row)
        await self._read(await self._session.begin(), {shape.checkpoint})
        return cast("T | None", await self._session.get(shape, key))

    async def all(self, type_: type[T], statement: Select[Any]) -> list[T]:
        """All rows of a statement: columns by name into a class, or single values.

        Raises:
            WrongRows: The columns do not fit the class.
            ReadOnly: The statement would write.
        """
        found = await self._session.select(statement)
        snapshot = await self._session.begin()
        every = {shape.checkpoint for shape in self._shapes.values()}
        await self._read(snapshot, set(every if found.views is None else found.views))
        return _typed(type_, found.columns, found.rows)

    async def one(self, type_: type[T], statement: Select[Any]) -> T:
        """The only row of a statement.

        Raises:
            WrongRows: There is none, or more than one.
        """
        rows = await self.all(type_, statement)
        if len(rows) != 1:
            raise WrongRows(
                f"one {type_.__name__} was expected, the statement gives {len(rows)}. "
                "Use all(), or a narrower where()."
            )
        return rows[0]

    async def scalar(self, type_: type[T], statement: Select[Any]) -> T:
        """The only value of a statement: one row, one column.

        Raises:
            WrongRows: There is no row or column, more than one, or a value of another type.
        """
        return await self.one(type_, statement)

    async def _read(self, snapshot: Snapshot, checkpoints: set[str]) -> None:
        new = checkpoints - self.used
        if new:
            self.used |= new
            shapes = [shape for shape in self._shapes.values() if shape.checkpoint in new]
            lagging = self._fresh(snapshot, shapes)
            if lagging:
                raise _Lagging(lagging)

    def _shape(self, row: type) -> Shape:
        shape = self._shapes.get(row)
        if shape is None:
            known = ", ".join(sorted(known.__name__ for known in self._shapes)) or "none"
            raise WiringError(
                f"no view of {row.__name__} here (known: {known}). Wire it with read=[…]."
            )
        return shape


def _typed(type_: type[T], columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[T]:
    if (
        type_ in SCALARS
        or not hasattr(type_, "__annotations__")
        or (
            len(columns) == 1
            and not (
                hasattr(type_, "__dataclass_fields__")
                or hasattr(type_, "__struct_fields__")
                or is_model(type_)
            )
        )
    ):
        if len(columns) != 1:
            raise WrongRows(
                f"a {type_.__name__} was expected, the statement gives {len(columns)} columns. "
                "Select one column, or name a class with these fields."
            )
        values = [row[0] for row in rows]
        for value in values:
            if not isinstance(value, type_) and not (type_ is float and isinstance(value, int)):
                raise WrongRows(
                    f"a {type_.__name__} was expected, the statement gives {value!r}. "
                    "Name the type that the column has."
                )
        return values
    try:
        named = (dict(zip(columns, row, strict=True)) for row in rows)
        if is_model(type_):
            return [make_model(type_, fields) for fields in named]
        return [type_(**fields) for fields in named]
    except (TypeError, msgspec.ValidationError) as error:
        raise WrongRows(
            f"columns {', '.join(columns)} do not fit {type_.__name__} ({error}). "
            "Select its fields, with .label(…) where a column is named differently."
        ) from error


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
        self.used: frozenset[str] = frozenset()
        """What it read the last time: it is waited for before the next time begins."""


class Freshness:
    """What the caller asks for: not older than a position, not older than a while."""

    def __init__(self, after: Position, max_age: timedelta | None) -> None:
        self.after = after
        self.max_age = max_age


class Queries:
    """Finds the answerer of a query, and lets it read when its views are fresh enough."""

    def __init__(
        self,
        context: str,
        answerers: Sequence[Answerer],
        *,
        epoch: Callable[[], str],
        head: Callable[[], Awaitable[Position]],
        store: ViewStore | None,
        shapes: Mapping[type, Shape],
        names: Names,
        clock: Clock,
        failure: Callable[[str], str | None],
        policy: Callable[[type], Policy | None],
        provided: Mapping[type, Any],
        providing: Collection[type],
    ) -> None:
        self._context = context
        self._epoch = epoch
        self._head = head
        self._store_or_none = store
        self._shapes = shapes
        self._by_checkpoint = {shape.checkpoint: shape for shape in shapes.values()}
        self._clock = clock
        self._failure = failure
        self._entries: dict[type, _Entry] = {}
        for type_, (answer, further) in queries_of(answerers, providing).items():
            message = message_type(type_, names.take("query", type_))
            self._entries[type_] = _Entry(message, answer, further, policy(type_))
        self._provided = provided

    @property
    def _store(self) -> ViewStore:
        if self._store_or_none is None:
            raise NotOpen(self._context)
        return self._store_or_none

    async def ask(
        self, query: Query[T], *, fresh: Freshness, timeout: float, principal: Principal
    ) -> T:
        """See `App.ask`."""
        answer = await self.answer(
            query, fresh=fresh, timeout=timeout, principal=principal, accept_stale=False
        )
        return answer.value

    async def answer(
        self,
        query: Query[T],
        *,
        fresh: Freshness,
        timeout: float,
        principal: Principal,
        accept_stale: bool,
    ) -> Answer[T]:
        """See `App.ask` and `App.answer`."""
        entry = self._entries.get(type(query))
        if entry is None:
            known = [type_.__name__ for type_ in self._entries]
            raise UnknownMessage("query", type(query).__name__, known)
        if answering.get():
            raise NestedCall("ask")
        checked, _ = entry.message.check(query)
        if entry.policy is not None:
            entry.policy.check(entry.message.name, principal, checked)
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout
        wanted = fresh.after
        if wanted:
            shapes = [self._by_checkpoint[name] for name in entry.used]
            await self._wait(shapes, wanted, until)
        while True:
            patient = loop.time() < until
            try:
                return await self._attempt(
                    entry, checked, fresh, principal, strict=patient or not accept_stale
                )
            except _Lagging as lagging:
                if not patient:
                    raise await self._stale(lagging.views, wanted) from None
                # Asked for an age, a view must reach the head; asked for a position, that.
                target = max(wanted, await self._head()) if fresh.max_age is not None else wanted
                await self._wait(lagging.views, target, until)

    async def _attempt(
        self,
        entry: _Entry,
        query: Any,
        fresh: Freshness,
        principal: Principal,
        *,
        strict: bool,
    ) -> Answer[Any]:
        further = [principal if t is Principal else self._provided[t] for t in entry.further]
        async with self._store.session() as session:

            def lagging(snapshot: Snapshot, shapes: Sequence[Shape]) -> Sequence[Shape]:
                if not strict:
                    return ()
                at = snapshot.checkpoints
                return [s for s in shapes if at.get(s.checkpoint, 0) < fresh.after]

            views = Views(session, self._store, self._shapes, lagging)
            token = answering.set(True)
            try:
                value = await entry.answer(query, views, *further)
            finally:
                answering.reset(token)
            entry.used = frozenset(views.used)
            snapshot = await session.begin()
            position = min(
                (snapshot.checkpoints.get(name, 0) for name in views.used), default=snapshot.head
            )
            oldest = await session.oldest(position) if position < snapshot.head else None
        now = self._clock.now()
        age = timedelta(0) if oldest is None else max(now - from_micros(oldest), timedelta(0))
        if strict and fresh.max_age is not None and age > fresh.max_age:
            raise _Lagging([self._by_checkpoint[name] for name in views.used])
        return Answer(
            value=value,
            context=self._context,
            epoch=self._epoch(),
            position=position,
            time=now,
            age=age,
            stale=oldest is not None or position < fresh.after,
        )

    async def _wait(self, shapes: Sequence[Shape], position: Position, until: float) -> None:
        """Waits until the views are there, or the time is over."""
        try:
            async with asyncio.timeout_at(until):
                for shape in shapes:
                    await self._store.wait(shape, position)
        except TimeoutError:
            pass  # the caller looks at the clock

    async def _stale(self, shapes: Sequence[Shape], wanted: Position) -> Stale:
        positions = [await self._store.checkpoint(shape) for shape in shapes]
        failures = [self._failure(shape.checkpoint) for shape in shapes]
        cause = "; ".join(failure for failure in failures if failure) or None
        return Stale(
            [shape.checkpoint for shape in shapes], min(positions, default=0), wanted, cause
        )


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
