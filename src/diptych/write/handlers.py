"""A write model over existing ORM classes: each command has a function with a session."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any

from diptych.errors import WiringError
from diptych.message import Context
from diptych.routing import (
    Functions,
    Route,
    name_of,
    parameters_of,
    resolve,
    returned_by,
    routes,
    table,
)
from diptych.write.event_sourced import Key, Merge, check_model_name, key_functions, key_text
from diptych.write.prepare import preparing

if TYPE_CHECKING:
    from sqlalchemy import MetaData

SECONDS = 2.0
"""For which a handler may hold the writer's turn."""


class Handlers:
    """Carries commands out with `async def handler(command, session[, context]) -> list[Event]`.

    The session belongs to the store and to the command's own transaction: what it writes, the
    events, the outcome and inline views are committed together or not at all. Meanwhile nobody
    else writes (on PostgreSQL: no other command of the same key, and nobody the rows it locks), so
    a handler awaits nothing but its session.

    Args:
        name: Of the model; the first part of its streams' names.
        functions: One per command, routed by annotation. The session's annotation says what the
            store must lend (`sqlalchemy.ext.asyncio.AsyncSession`); the return annotation names
            the events: `list[A | B]`, or None for a handler without.
        key: Field of each command that names its stream, or a function of the command.
        keys: Where a command has another one.
        tables: Metadata of the tables, created where missing.
        seconds: For which one of them may hold the writer's turn before it is cut off.
        merge, prepare: As for `EventSourced`.

    Raises:
        WiringError: A function of another shape, or a command without the key's field.
    """

    kind = "handlers"

    def __init__(
        self,
        name: str,
        functions: Callable[..., Any] | Sequence[Callable[..., Any]],
        *,
        key: Key,
        keys: Mapping[type, Key] | None = None,
        tables: MetaData | None = None,
        seconds: float = SECONDS,
        merge: Merge | None = None,
        prepare: Functions | None = None,
    ) -> None:
        check_model_name(name)
        if seconds <= 0:
            raise WiringError(f"{name}: seconds={seconds}. A handler needs some time.")
        self.name = name
        self.merge = merge
        self.tables = tables
        self.seconds = seconds
        found = routes(functions, message=0, arity=2, facts=Context, what=f"{name}: handler")
        self.commands: Mapping[type, Route] = table(found)
        self.prepare = preparing(name, prepare, self.commands)
        self._key = key_functions(name, self.commands, key, keys or {})
        self._sessions: dict[type, type] = {}
        events: dict[type, None] = {}
        for route in found:
            session = _session_of(name, route.function)
            self._sessions.update(dict.fromkeys(route.types, session))
            events.update(dict.fromkeys(returned_by(route.function)))
        self.events: tuple[type, ...] = tuple(events)

    def session(self, command: type) -> type:
        """The type of session that its handler wants."""
        return self._sessions[command]

    def stream(self, command: Any) -> str:
        """The stream that the command's events go to.

        Raises:
            InvalidMessage: Its key is empty, or no str, int or UUID.
        """
        return f"{self.name}:{key_text(command, self._key[type(command)])}"

    def __repr__(self) -> str:
        return f"Handlers({self.name!r})"


def _session_of(model: str, function: Callable[..., Any]) -> type:
    name = name_of(function)
    if not iscoroutinefunction(function):
        raise WiringError(
            f"{model}: handler {name} is not async. Write `async def {name}(command, session)`."
        )
    parameter, annotation = parameters_of(function)[1]
    session: Any = resolve(function, parameter, annotation)
    if not isinstance(session, type):
        raise WiringError(
            f"{model}: handler {name}: parameter {parameter!r} is annotated as {session!r}. "
            "Annotate it with the session that the store shall lend, such as AsyncSession."
        )
    return session
