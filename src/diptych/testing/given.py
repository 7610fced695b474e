"""`given(model, *events).when(command).then(*events)`: a test of pure functions in one line."""

from __future__ import annotations

from copy import deepcopy
from datetime import UTC, datetime
from difflib import unified_diff
from functools import partial
from pprint import pformat
from typing import Any, Generic, TypeVar, overload

from diptych.errors import BadResult, InvalidMessage, Refused, WiringError
from diptych.log.messages import message_type
from diptych.log.names import kebab
from diptych.message import ANONYMOUS, Context, Principal, Recorded
from diptych.read.replica import Replica
from diptych.read.view import View
from diptych.write.boundary import Boundary
from diptych.write.decider import Decider
from diptych.write.event_sourced import EventSourced
from diptych.write.state_stored import StateStored

R = TypeVar("R")

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
"""When a test decides, unless it says otherwise."""

Model = EventSourced[Any] | StateStored[Any] | Boundary[Any]


@overload
def given(model: View[R], *events: object) -> GivenView[R]: ...
@overload
def given(model: Model, *events: object) -> GivenModel: ...
def given(model: Model | View[Any], *events: object) -> GivenModel | GivenView[Any]:
    """What has happened so far.

    Args:
        model: A write model, or a view.
        events: In the order in which they happened.
    """
    if isinstance(model, Replica):
        raise WiringError(
            f"{model!r} folds by the evolve of its model. Test that: given(model, …)."
        )
    if isinstance(model, View):
        return GivenView(model, events)
    return GivenModel(model, events)


class GivenModel:
    """Events that a write model decides upon."""

    def __init__(self, model: Model, events: tuple[object, ...]) -> None:
        self._model = model
        self._events = events
        for event in events:
            if type(event) not in model.decider.evolves:
                known = ", ".join(sorted(t.__name__ for t in model.decider.evolves))
                raise AssertionError(
                    f"{model!r} has no evolve for {type(event).__name__} (it has: {known})."
                )

    def when(
        self,
        command: object,
        *,
        at: datetime = NOW,
        by: Principal = ANONYMOUS,
        id: str = "test-command",
    ) -> Decided:
        """Decides a command, as the engine would: checked first, on the state of its stream.

        Args:
            at: `context.now`.
            by: `context.principal`.
            id: `context.command_id`, from which `context.new_id(…)` derives.
        """
        decider = self._model.decider
        if type(command) not in decider.decides:
            known = ", ".join(sorted(t.__name__ for t in decider.decides))
            raise AssertionError(
                f"{self._model!r} does not decide {type(command).__name__} (it decides: {known})."
            )
        name = kebab(type(command))
        try:
            message = message_type(type(command), name)
            command, _ = message.check(command)
            prepare = self._model.prepare.get(type(command))
            if prepare is not None:
                command, _ = message.check(prepare(command))
        except InvalidMessage as invalid:
            return Decided(command, None, invalid)
        state = _state(decider, self._relevant(command), self._model.stream(command))
        before = _copied(state)
        context = Context(at, by, by.tenant, id)
        try:
            events = decider.decide(command, state, context)
        except Refused as refused:
            _refuse_change("decide", before, state)
            return Decided(command, None, refused)
        _refuse_change("decide", before, state)
        events = [_checked(event) for event in events]
        after = _state(decider, (*self._relevant(command), *events), self._model.stream(command))
        decided = Decided(command, events, None)
        if isinstance(self._model, StateStored):
            decided.row = self._model.rows.to_row(self._model.key(command), after)
        return decided

    def _relevant(self, command: object) -> tuple[object, ...]:
        """For a boundary, the events under the tags that the command reads."""
        if not isinstance(self._model, Boundary):
            return self._events
        items = self._model.reads(command)
        tags = self._model.tags
        return tuple(
            event
            for event in self._events
            if any(set(item) <= set(tags[type(event)](event)) for item in items)
        )


def _checked(event: Any) -> Any:
    """The event as it would be read back.

    Raises:
        BadResult: It breaks its own types.
    """
    try:
        return message_type(event.__class__, kebab(event.__class__)).check(event)[0]
    except InvalidMessage as invalid:
        raise BadResult("decide", f"returned an event that cannot be kept: {invalid}") from invalid


_NO_ROW = object()


def _set_on(row: object | None) -> list[Any]:
    """What was set on an instance of a mapped class."""
    if row is None:
        return []
    values = {name: value for name, value in vars(row).items() if not name.startswith("_sa_")}
    return [type(row).__name__, *sorted(values.items())]


class Decided:
    """What a command gave."""

    def __init__(
        self, command: object, events: list[Any] | None, error: Refused | InvalidMessage | None
    ) -> None:
        self._command = command
        self._events = events
        self._error = error
        self.row: Any = _NO_ROW
        """What a state-stored model keeps afterwards; None where it keeps nothing any more."""

    def then(self, *events: object) -> None:
        """It gave exactly these events, in this order; none for `then()`."""
        if self._events is None:
            raise AssertionError(
                f"{self._command!r} was expected to give {list(events)!r}, "
                f"but: {type(self._error).__name__}: {self._error}"
            )
        _compare("events", list(events), self._events)

    def leaves(self, row: object | None) -> None:
        """Its row is set to exactly this; None for a row that is removed."""
        if self.row is _NO_ROW:
            raise AssertionError(
                f"{self._command!r} left no row: "
                + ("its model keeps none" if self._error is None else f"{self._error}")
            )
        _compare("row", _set_on(row), _set_on(self.row))

    def refused(self, code: str) -> None:
        """It was refused with this code."""
        if not isinstance(self._error, Refused):
            raise AssertionError(
                f"{self._command!r} was expected to be refused with {code!r}, but "
                + (f"gave {self._events!r}" if self._error is None else f"{self._error}")
            )
        if self._error.code != code:
            raise AssertionError(
                f"{self._command!r} was expected to be refused with {code!r}, but was with "
                f"{self._error.code!r} ({self._error.message})"
            )

    def invalid(self, field: str) -> None:
        """It was not even decided: this field breaks its type or its constraint."""
        if not isinstance(self._error, InvalidMessage) or self._error.field != field:
            raise AssertionError(
                f"{self._command!r} was expected to be invalid at {field!r}, but "
                + (f"gave {self._events!r}" if self._error is None else f"{self._error}")
            )


class GivenView(Generic[R]):
    """Events that a view has taken in."""

    def __init__(self, view: View[R], events: tuple[object, ...]) -> None:
        self._view = view
        self._rows: dict[tuple[Any, ...], R | None] = {}
        for place, event in enumerate(events, 1):
            if type(event) not in view.projects and type(event) not in view.splits:
                known = ", ".join(sorted(t.__name__ for t in view.events))
                raise AssertionError(
                    f"{view!r} does not take {type(event).__name__} (it takes: {known})."
                )
            self._take(event, _recorded(event, place, "test"))

    def _take(self, event: object, recorded: Recorded[Any]) -> None:
        before_event = _copied(event)
        for step in self._view.steps(event, recorded):
            row = self._rows.get(step[0])
            before = _copied(row)
            self._view.fold(self._rows, [step])
            _refuse_change("project", before, row)
        _refuse_change("project", before_event, event)

    def shows(self, *rows: R) -> None:
        """The view has exactly these rows, in any order."""
        found = [row for row in self._rows.values() if row is not None]
        _compare("rows", sorted(rows, key=repr), sorted(found, key=repr))


def _state(decider: Decider[Any], events: tuple[object, ...], stream: str) -> Any:
    state: Any = decider.initial
    for place, event in enumerate(events, 1):
        if type(event) not in decider.evolves:
            raise AssertionError(f"decide gave {type(event).__name__}, which evolve does not take.")
        before, event_before = _copied(state), _copied(event)
        after = decider.evolve(state, event, partial(_recorded, event, place, stream))
        _refuse_change("evolve", before, state)
        _refuse_change("evolve", event_before, event)
        state = after
    return state


def _recorded(event: object, place: int, stream: str) -> Recorded[Any]:
    return Recorded(
        event=event,
        position=place,
        stream=stream,
        version=place,
        name=kebab(type(event)),
        time=NOW,
        principal=ANONYMOUS.id,
        tenant="",
        causation_id="test-cause",
        correlation_id="test-cause",
    )


class _Unlike:
    """Stands for a copy that does not compare as its original does, and so tells nothing."""


def _copied(value: Any) -> Any:
    try:
        copy = deepcopy(value)
    except Exception:
        return _Unlike()
    return copy if copy == value else _Unlike()


def _refuse_change(function: str, before: object, after: object) -> None:
    if not isinstance(before, _Unlike) and before != after:
        raise BadResult(
            function,
            f"changed what it was given: {before!r} became {after!r}. Return a new value instead.",
        )


def _compare(what: str, expected: list[Any], found: list[Any]) -> None:
    if expected == found:
        return
    difference = "\n".join(
        unified_diff(
            pformat(expected, width=88).splitlines(),
            pformat(found, width=88).splitlines(),
            "expected",
            "found",
            lineterm="",
        )
    )
    raise AssertionError(f"other {what} than expected:\n{difference}")
