"""Trying pure functions on examples: twice on copies, comparing what went in and what came out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import wraps
from typing import TYPE_CHECKING, Any, cast

from diptych.errors import Refused
from diptych.log.names import kebab
from diptych.message import ANONYMOUS, Context, Recorded
from diptych.ops.findings import Finding
from diptych.ops.sampling import CannotSample, Sampler
from diptych.read.projection import Projection
from diptych.read.view import View
from diptych.routing import Route, name_of

if TYPE_CHECKING:
    from diptych.wiring import Wiring

EXAMPLES = 12
"""Of each message."""

STATES = 12
"""That a decision is tried on."""

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)


@dataclass
class _Tried:
    """What became of one function."""

    kind: str
    name: str
    went: int = 0
    raised: str | None = None
    findings: dict[str, Finding] = field(default_factory=dict[str, Finding])


class Trial:
    """Runs the pure functions of a wiring on examples, and remembers what they did."""

    def __init__(self) -> None:
        self._sampler = Sampler()
        self._tried: dict[tuple[str, str], _Tried] = {}

    def run(self, wiring: Wiring) -> Iterator[Finding]:
        """What was found, function by function; then those that could not be tried."""
        for model in wiring.models:
            self._model(model)
        for read in wiring.reads:
            if isinstance(read, View):
                self._view(read)
            elif isinstance(read, Projection):
                self._projection(read)
        for tried in self._tried.values():
            yield from tried.findings.values()
        for tried in self._tried.values():
            if not tried.went and tried.raised is not None:
                yield Finding(
                    code="not-tried",
                    severity="note",
                    subject=tried.name,
                    message=f"this {tried.kind} could not be tried on made-up examples: "
                    f"{tried.raised}",
                )

    def _model(self, model: Any) -> None:
        decider = getattr(model, "decider", None)
        if decider is None:
            return  # its functions do I/O
        prepares: Mapping[type, Callable[..., Any]] = getattr(model, "prepare", {})
        commands: list[Any] = []
        for type_, route in decider.decides.items():
            for command in self._examples(type_, "decide", route.function):
                prepare = prepares.get(type_)
                prepared = (
                    command if prepare is None else self._call("prepare", prepare, (command,))
                )
                if prepared is not None:
                    commands.append(prepared)
        states: list[Any] = [decider.initial]
        for type_, route in decider.evolves.items():
            for event in self._examples(type_, "evolve", route.function):
                self._grow(states, decider.evolves, event)
        for command in commands:
            route = decider.decides[type(command)]
            for state in states[:STATES]:
                given = (command, state, _context()) if route.wants_facts else (command, state)
                events = self._call("decide", route.function, given)
                for event in _listed(events):
                    if event.__class__ in decider.evolves:
                        self._grow(states, decider.evolves, event)
        for type_, tags in getattr(model, "tags", {}).items():
            for event in self._examples(type_, "tags", tags):
                self._call("tags", tags, (event,))

    def _grow(self, states: list[Any], evolves: Mapping[type, Route], event: Any) -> None:
        """One more state, from one of the last."""
        route = evolves[type(event)]
        for state in (states[-1], states[0]):
            given = (state, event, _recorded(event)) if route.wants_facts else (state, event)
            after = self._call("evolve", route.function, given)
            if after is not None and len(states) < STATES:
                states.append(after)

    def _view(self, view: View[Any]) -> None:
        rows: dict[Any, Any] = {}
        for type_ in view.events:
            function = (view.splits.get(type_) or view.projects[type_]).function
            for event in self._examples(type_, "project", function):
                self._event(view, rows, event)

    def _projection(self, projection: Projection) -> None:
        """Its statements are compared by their text and their values."""
        for type_, route in projection.functions.items():
            for event in self._examples(type_, "project", route.function):
                given = (event, _recorded(event)) if route.wants_facts else (event,)
                self._call("project", _spelt(route.function), given)

    def _event(self, view: View[Any], rows: dict[Any, Any], event: Any) -> None:
        given: tuple[Any, ...]
        recorded = _recorded(event)
        split = view.splits.get(event.__class__)
        if split is not None:
            given = (event, recorded) if split.wants_facts else (event,)
            if self._call("split", split.function, given) is None:
                return
        try:
            steps = view.steps(deepcopy(event), recorded)
        except Exception as error:
            route = split or view.projects[type(event)]
            tried = self._of("project", route.function)
            tried.raised = tried.raised or f"its key: {type(error).__name__}: {error}"
            return
        for key, item, _ in steps:
            route = view.projects[type(item)]
            before = rows.get(key)
            given = (before, item, recorded) if route.wants_facts else (before, item)
            rows[key] = self._call("project", route.function, given)

    def _examples(self, type_: type, kind: str, function: Callable[..., Any]) -> list[Any]:
        try:
            return self._sampler.of(type_, EXAMPLES)
        except CannotSample as error:
            tried = self._of(kind, function)
            tried.raised = tried.raised or f"{type_.__qualname__}: {error}"
            return []

    def _of(self, kind: str, function: Callable[..., Any]) -> _Tried:
        name = f"{getattr(function, '__module__', '')}.{name_of(function)}"
        return self._tried.setdefault((kind, name), _Tried(kind, name))

    def _call(self, kind: str, function: Callable[..., Any], given: tuple[Any, ...]) -> Any:
        """Calls it twice on copies; what it gave, or None where it gave nothing."""
        tried = self._of(kind, function)
        try:
            first, second, kept = deepcopy(given), deepcopy(given), deepcopy(given)
        except Exception as error:
            tried.raised = tried.raised or f"its input cannot be copied ({error})"
            return None
        result, other = _outcome(function, first), _outcome(function, second)
        if isinstance(result, Exception) and not isinstance(result, Refused):
            tried.raised = tried.raised or f"{type(result).__name__}: {result}"
            return None
        tried.went += 1
        if same(kept, given) and not same(first, kept):
            place = next(n for n, _ in enumerate(kept) if not same(first[n], kept[n]))
            tried.findings.setdefault(
                "mutating",
                Finding(
                    code=f"mutating-{kind}",
                    severity="error",
                    subject=tried.name,
                    message=f"this {kind} changes what it is given: from "
                    f"{_short(kept[place])} to {_short(first[place])}",
                    remedy="Return a new value (dataclasses.replace, [*old, new], {**old, …}) and "
                    "leave the old one as it is: it is shared.",
                ),
            )
            return None
        if not _agree(result, other):
            tried.findings.setdefault(
                "nondeterministic",
                Finding(
                    code=f"nondeterministic-{kind}",
                    severity="error",
                    subject=tried.name,
                    message=f"this {kind} gave {_short(result)}, then {_short(other)}, for the "
                    "same input",
                    remedy="Take time from Context.now or Recorded.time, and ids from "
                    "Context.new_id(name): never from a clock, chance or a global.",
                ),
            )
        return None if isinstance(result, Refused) else result


def _spelt(function: Callable[..., Any]) -> Callable[..., Any]:
    """Gives what the function's SQL says, not the statements, which are equal to nothing else."""

    @wraps(function)
    def spelt(*given: Any) -> list[tuple[str, Any]]:
        compiled = [statement.compile() for statement in function(*given)]
        return [(str(one), one.params) for one in compiled]

    return spelt


def _outcome(function: Callable[..., Any], given: tuple[Any, ...]) -> Any:
    """What it gives, or raises."""
    try:
        return function(*given)
    except Exception as error:
        return error


def _agree(one: Any, other: Any) -> bool:
    if isinstance(one, Refused) and isinstance(other, Refused):
        return one.code == other.code
    return type(one) is type(other) and same(one, other)


def same(one: Any, other: Any) -> bool:
    """Whether two values mean the same, also where their class does not say what equal is."""
    try:
        if one is other or bool(one == other):
            return True
    except Exception:
        return False
    if type(one) is not type(other):
        return False
    if isinstance(one, list | tuple):
        ones, others = cast("Sequence[Any]", one), cast("Sequence[Any]", other)
        return len(ones) == len(others) and all(map(same, ones, others))
    if isinstance(one, dict):
        left, right = cast("Mapping[Any, Any]", one), cast("Mapping[Any, Any]", other)
        return list(left) == list(right) and all(same(left[k], right[k]) for k in left)
    if isinstance(one, float):
        return one != one and other != other  # NaN
    inside = getattr(one, "__dict__", None)
    if inside is None or "__eq__" in {
        name for kind in type(one).__mro__[:-1] for name in vars(kind)
    }:
        return False
    return same(inside, other.__dict__)


def _listed(given: Any) -> Sequence[Any]:
    """What a decision gave, if it is what it should be."""
    return given if given.__class__ is list else ()


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:117]}…"


def _context() -> Context:
    return Context(now=NOW, principal=ANONYMOUS, tenant="", command_id="example")


def _recorded(event: Any) -> Recorded[Any]:
    return Recorded(
        event=event,
        position=1,
        stream="example:1",
        version=1,
        name=kebab(event.__class__),
        time=NOW,
        principal="anonymous",
        tenant="",
        causation_id="example",
        correlation_id="example",
    )
