"""Every error diptych raises: one tree.

    DiptychError
    ├── Refused                 a business "no"; with a command id it is an outcome, stored and repeated
    └── Fault                   something is wrong; nothing was changed unless the text says so
        ├── WiringError         the app's description does not fit together (raised before any I/O)
        ├── AppNotFound         a tool cannot find or import the app it should work on
        ├── BadMessage          what was sent cannot be taken
        │   ├── InvalidMessage      a field breaks its type or constraint
        │   ├── UnknownMessage      no model takes the command, no answerer the query
        │   ├── MessageTooLarge     over the limit in bytes
        │   └── IdReused            the same command id with another payload
        ├── Denied              a policy does not allow it to this principal
        ├── BadResult           a pure function returned what cannot be kept
        ├── StreamConflict      somebody else wrote first, also after the retries
        ├── Stale               the view has not reached the position that was asked for
        ├── NotReady            a view is being filled for the first time
        ├── ProjectionFailed    a view cannot take an event, and stands before it
        ├── NotSettled          `settled` ran out of time
        ├── DeadlineExceeded    the command's deadline passed before it was carried out
        ├── HandlerTooSlow      a handler held the writer's turn for too long
        ├── JoinFailed          a session of the user's cannot carry events
        ├── Overloaded          too many commands wait already
        ├── NestedCall          the app was called from inside a decision or an answer
        ├── NotOpen             the app is used outside its `with` block
        ├── WouldBlock          a call that blocks was made inside a running event loop
        ├── TimedOut            a call that blocks took longer than its caller would wait
        ├── ReadOnly            a query tried to write
        ├── WrongRows           a query gave no row, too many, or rows of another shape
        └── StoreFault          the store itself
            ├── StoreUnavailable    it cannot be opened, reached or written
            ├── StoreFull           no room left on the disk
            ├── StoreCorrupt        its content is damaged
            ├── ForeignStore        it belongs to another context, program or epoch
            ├── SchemaChanged       stored names and the code's names disagree
            └── CommitUnknown       nobody can say yet whether the commit happened

An error carries the values it speaks of and ends with the remedy. It survives pickling.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def _rebuild(kind: type[DiptychError], args: tuple[Any, ...], values: dict[str, Any]) -> Any:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(values)
    return error


class DiptychError(Exception):
    """The root of all errors of diptych."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, self.__dict__.copy())


class Refused(DiptychError):
    """A business "no": raised by `decide`, caught by the caller.

    Attributes:
        code: Stable and machine-readable, e.g. ``sold_out``.
        message: For people.
        values: Whatever else the caller needs; must be JSON-like to be stored.
        position: The log's head at which the refusal was judged, set by the engine.
    """

    position: int | None = None

    def __init__(self, code: str, message: str = "", **values: Any) -> None:
        super().__init__(f"{code}: {message}" if message else code)
        self.code = code
        self.message = message
        self.values = values


class Fault(DiptychError):
    """Something is wrong: the input, the wiring, the store or the load. Not a business "no"."""


class WiringError(Fault):
    """The description of the app does not fit together."""


class AppNotFound(Fault):
    """A tool cannot find or import the app that it should work on."""


class BadMessage(Fault):
    """What was sent cannot be taken; nothing was changed."""


class InvalidMessage(BadMessage):
    """A field breaks its type or its constraint.

    Attributes:
        message_name: Stored name of the command, query or event.
        field: Path of the field, e.g. ``lines[0].quantity``; empty for the whole message.
        reason: What is wrong with it.
    """

    def __init__(self, message_name: str, field: str, reason: str) -> None:
        at = f"field {field!r}: " if field else ""
        super().__init__(f"{message_name}: {at}{reason}. Correct it and send the message again.")
        self.message_name = message_name
        self.field = field
        self.reason = reason


class UnknownMessage(BadMessage):
    """Nothing in this app takes a message of this type."""

    def __init__(self, kind: str, type_name: str, known: Sequence[str]) -> None:
        names = ", ".join(sorted(known)) or "none"
        where = "write=[…]" if kind == "command" else "answer=[…]"
        super().__init__(
            f"no {kind} {type_name} here (known: {names}). Wire what takes it with {where}."
        )
        self.kind = kind
        self.type_name = type_name
        self.known = tuple(known)


class MessageTooLarge(BadMessage):
    """A message is over the limit in bytes of JSON."""

    def __init__(self, message_name: str, size: int, limit: int) -> None:
        super().__init__(
            f"{message_name}: {size} bytes, the limit is {limit}. "
            "Send less, keep large content elsewhere and refer to it, or raise Limits(payload=…)."
        )
        self.message_name = message_name
        self.size = size
        self.limit = limit


class IdReused(BadMessage):
    """A command id was used before, for a command with another content."""

    def __init__(self, id: str) -> None:
        super().__init__(
            f"command id {id!r} was used for another command. "
            "Use a new id for a new command; the same id only to repeat the same one."
        )
        self.id = id


class Denied(Fault):
    """A policy does not let this principal do it; nothing was read or changed.

    Attributes:
        message_name: Stored name of the command or query.
        principal: Id of who was denied.
        reason: What the policy says.
    """

    def __init__(self, message_name: str, principal: str, reason: str) -> None:
        super().__init__(
            f"{principal} may not {message_name}: {reason.rstrip('.')}. "
            "Send it with a principal who may."
        )
        self.message_name = message_name
        self.principal = principal
        self.reason = reason


class BadResult(Fault):
    """A pure function returned what cannot be kept; nothing was changed.

    Attributes:
        function: Name of the function.
        reason: What is wrong with what it returned.
    """

    def __init__(self, function: str, reason: str) -> None:
        super().__init__(f"{function} {reason}")
        self.function = function
        self.reason = reason


class StreamConflict(Fault):
    """Somebody else wrote to the stream, or under the tags, that the decision stood on.

    Attributes:
        stream: The stream, or the boundary and its tags.
        expected: Version (for a boundary: position) that the decision stood on.
        found: Version (position) in the store; None where only "something newer" is known.
    """

    def __init__(self, stream: str, expected: int, found: int | None) -> None:
        at = "has moved on" if found is None else f"is at {found}"
        super().__init__(
            f"{stream} {at}, expected {expected}. "
            "Someone wrote first: load again, look again, decide again."
        )
        self.stream = stream
        self.expected = expected
        self.found = found


class Stale(Fault):
    """A view has not reached the position that was asked for in time.

    Attributes:
        views: Names of the views that lag.
        position: The lowest checkpoint of the views read.
        wanted: The position asked for.
    """

    def __init__(
        self, views: Sequence[str], position: int, wanted: int, cause: str | None = None
    ) -> None:
        why = f" ({cause})" if cause else ""
        super().__init__(
            f"{', '.join(views)} at position {position}, asked for {wanted}{why}. Wait longer with "
            "timeout=…, or take the older answer, marked stale, with app.answer(…)."
        )
        self.views = tuple(views)
        self.position = position
        self.wanted = wanted


class NotReady(Fault):
    """A view is being filled for the first time, and was not filled in time.

    Attributes:
        view: Name of the view.
        position: How far it has got.
        target: Where it will show everything that had happened when it was new.
        progress: From 0 to 1.
    """

    def __init__(self, view: str, position: int, target: int, cause: str | None = None) -> None:
        self.progress = position / target if target else 1.0
        why = f" ({cause})" if cause else ""
        super().__init__(
            f"{view} is being filled for the first time: {self.progress:.0%}, at position "
            f"{position} of {target}{why}. Wait longer with timeout=…, or ask again a little later."
        )
        self.view = view
        self.position = position
        self.target = target


class ProjectionFailed(Fault):
    """A view cannot take an event. It stands before it; everything else goes on."""

    def __init__(self, view: str, position: int, name: str, cause: BaseException) -> None:
        super().__init__(
            f"{view} cannot take {name!r} at position {position}: "
            f"{type(cause).__name__}: {str(cause).rstrip('.')}. "
            "Correct its functions and start the app again."
        )
        self.view = view
        self.position = position
        self.name = name


class NotSettled(Fault):
    """`settled` ran out of time while something was still due."""

    def __init__(self, waiting: Sequence[str]) -> None:
        super().__init__(f"still due: {'; '.join(waiting)}. Look at what waits, or wait longer.")
        self.waiting = tuple(waiting)


class DeadlineExceeded(Fault):
    """The deadline of a command passed before it was carried out; nothing was changed."""

    def __init__(self, command: str, deadline: str) -> None:
        super().__init__(
            f"{command}: its deadline {deadline} has passed. Send it with a later one."
        )
        self.command = command
        self.deadline = deadline


class HandlerTooSlow(Fault):
    """A handler held the writer's turn for too long; nothing of it has happened."""

    def __init__(self, handler: str, seconds: float) -> None:
        super().__init__(
            f"handler {handler} held the writer's turn for more than {seconds:g} s and was cut "
            "off. Await nothing but its session there: do other work before or after the command, "
            "or raise Handlers(seconds=…)."
        )
        self.handler = handler
        self.seconds = seconds


class JoinFailed(Fault):
    """A session that the user owns cannot carry events; none were recorded."""


class Overloaded(Fault):
    """More commands wait than the limit allows; this one was not taken."""

    def __init__(self, waiting: int) -> None:
        super().__init__(
            f"{waiting} commands wait already. Try again a little later, or raise Limits(waiting=…)."
        )
        self.waiting = waiting


class NestedCall(Fault):
    """The app was called from inside a decision or an answer, which would wait for itself."""

    def __init__(self, call: str) -> None:
        super().__init__(
            f"app.{call} inside a decision, a handler or an answer would wait for itself. "
            "Return events; let the caller make the next call."
        )
        self.call = call


class NotOpen(Fault):
    """The app is used outside its `with` block, or in another process than the one it is open in."""

    def __init__(
        self, context: str, why: str = "is not open. Use it inside `async with app:`."
    ) -> None:
        super().__init__(f"app {context!r} {why}")
        self.context = context


class WouldBlock(Fault):
    """A call that blocks was made inside a running event loop, which would stand still meanwhile."""

    def __init__(self, call: str) -> None:
        super().__init__(
            f"{call} blocks, and an event loop runs in this thread. Use `async with app:` there, "
            "and await its calls."
        )
        self.call = call


class TimedOut(Fault):
    """A call that blocks took longer than its caller would wait.

    A command may have taken effect. Send it again with the same id: it happens once.
    """

    def __init__(self, call: str, timeout: float) -> None:
        super().__init__(
            f"app.{call} took longer than {timeout:g} s and is not waited for any more; a command "
            "may have taken effect. Send it again with the same id: it happens once."
        )
        self.call = call
        self.timeout = timeout


class ReadOnly(Fault):
    """A query tried to write; the database refused."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"queries cannot write ({reason}). Make the change a command and execute it."
        )
        self.reason = reason


class WrongRows(Fault):
    """A query gave no row, too many rows, or rows that do not fit the type."""


class StoreFault(Fault):
    """The store itself has a problem."""


class StoreUnavailable(StoreFault):
    """The store cannot be opened, reached or written."""


class StoreFull(StoreFault):
    """No room is left; what was to be written was not."""


class StoreCorrupt(StoreFault):
    """The store's content is damaged."""


class ForeignStore(StoreFault):
    """The store belongs to another context, program or epoch."""


class SchemaChanged(StoreFault):
    """What the store holds and what the code says disagree."""


class CommitUnknown(StoreFault):
    """The store failed while committing and could not be asked afterwards.

    The command may have taken effect. Send it again with the same id: it happens once.
    """
