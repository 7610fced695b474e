"""A replica: a view that is an exact copy of a model's state, folded by the model's own evolve."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar
from uuid import UUID

from msgspec import inspect

from diptych.errors import BadResult, WiringError
from diptych.log.inline import Key, Step
from diptych.log.messages import message_type
from diptych.message import Recorded
from diptych.read.port import Beside, Shape
from diptych.read.view import View
from diptych.routing import Route

S = TypeVar("S")

REMEDIES = {
    "boundary": "a boundary keeps no state of its own. Fold the events you want to show with a View",
    "handlers": "its state is in tables of yours. Read those with read=[Tables(metadata)]",
    "state-stored": (
        "its state is in a table of yours already. Read that with read=[Tables(metadata)]; its "
        "events carry no image of the row from which a copy elsewhere could be kept"
    ),
}


class Folds(Protocol[S]):
    """A decider, as far as a replica looks at it."""

    @property
    def initial(self) -> S: ...
    @property
    def evolves(self) -> Mapping[type, Route]: ...
    def evolve(self, state: S, event: Any, recorded: Callable[[], Recorded[Any]]) -> S: ...


class Sourced(Protocol[S]):
    """A model whose events say all of its state."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def key_name(self) -> str | None: ...
    @property
    def key_fields(self) -> Mapping[type, str | None]: ...
    @property
    def decider(self) -> Folds[S]: ...


def replica(
    model: Sourced[S],
    *,
    key: str | None = None,
    inline: bool = False,
    store: str | None = None,
    version: int = 1,
) -> View[S]:
    """A view whose rows are the states of an event-sourced model, of the state's own class.

    `views.get(State, key)` gives a state; in statements, the key is a column, whether or not it is
    a field of the state.

    Args:
        model: An `EventSourced`.
        key: Name of the key's column; the field of the commands by default.
        inline, store: As for `View`.
        version: Raised whenever the state's fields or the meaning of evolve change.

    Raises:
        WiringError: The model's events do not say its state, or the state has no fields.
    """
    kind = getattr(model, "kind", type(model).__name__)
    if kind != "event-sourced":
        remedy = REMEDIES.get(kind, "only an EventSourced model can be copied from its events")
        raise WiringError(f"replica({model!r}): {remedy}.")
    name = key or model.key_name
    if name is None:
        raise WiringError(
            f"replica({model!r}): its key is computed by a function, which names no column. "
            "Give one: replica(model, key='id')."
        )
    return Replica(model, name, inline=inline, store=store, version=version)


class Replica(View[S]):
    """See `replica`."""

    def __init__(
        self, model: Sourced[S], key: str, *, inline: bool, store: str | None, version: int
    ) -> None:
        decider = model.decider
        row: Any = type(decider.initial)
        try:
            info = message_type(row, row.__name__).form.info
        except WiringError as error:
            raise WiringError(f"replica({model!r}): the state {error}") from None
        fields: Sequence[inspect.Field] = getattr(info, "fields", ())
        known = {field.name: field.type for field in fields}
        self._describe(row, key=(key,), inline=inline, store=store, version=version)
        self.projects = decider.evolves
        self.wants_facts = True  # the stream says whose state it is
        self.model = model
        self._decider = decider
        self._prefix = f"{model.name}:"
        self._is_beside = key not in known
        self._key_type = _of_commands(model) if self._is_beside else _key_type(known[key])
        if self._key_type is None:
            raise WiringError(
                f"replica({model!r}): field {key!r} of the state is no str, int or UUID, as keys "
                "are. Name another column: replica(model, key=…)."
            )

    def shape(self, name: str) -> Shape:
        shape = super().shape(name)
        if not self._is_beside:
            return shape
        assert self._key_type is not None
        fields = {self.key[0]: self._key_type.__name__, **shape.fields}
        return Shape(
            view=name,
            version=self.version,
            row=self.row,
            key=self.key,
            fields=fields,
            key_type=self._key_type,
        )

    def steps(self, event: Any, recorded: Recorded[Any] | None) -> Sequence[Step]:
        assert recorded is not None
        if not recorded.stream.startswith(self._prefix):
            return ()  # a boundary writes such events, too
        return (((self._key_of(recorded),), event, recorded),)

    def _key_of(self, recorded: Recorded[Any]) -> Any:
        if recorded.tenant:
            raise BadResult(
                repr(self),
                f"has one row for each key, and {recorded.stream!r} is one of tenant "
                f"{recorded.tenant!r}. Keep a View whose key has the tenant.",
            )
        assert self._key_type is not None
        text = recorded.stream.removeprefix(self._prefix)
        try:
            key = self._key_type(text)
        except ValueError:
            key = None
        if str(key) != text:
            raise BadResult(
                repr(self),
                f"has keys that are {self._key_type.__name__}, which {recorded.stream!r} has not.",
            )
        return key

    def fold(self, rows: dict[Key, Any], steps: Iterable[Step]) -> None:
        for key, event, recorded in steps:
            kept = rows.get(key)
            state = self._decider.initial if kept is None else kept
            if self._is_beside and kept is not None:
                state = kept.row
            state = self._decider.evolve(state, event, partial(_known, recorded))
            if state.__class__ is not self.row:
                raise BadResult(
                    "evolve",
                    f"returned {type(state).__name__}, not {self.row.__name__}. A replica keeps "
                    "states of one class; fold others with a View.",
                )
            if self._is_beside:
                rows[key] = Beside(key[0], state)
                continue
            if getattr(state, self.key[0]) != key[0]:
                raise BadResult(
                    "evolve",
                    f"left {self.key[0]!r} at {getattr(state, self.key[0])!r}, the stream's key is "
                    f"{key[0]!r}. Let the first event set it, or name another column: "
                    "replica(model, key=…).",
                )
            rows[key] = state

    def __repr__(self) -> str:
        return f"replica({self._prefix[:-1]!r})"


def _known(recorded: Recorded[Any] | None) -> Recorded[Any]:
    assert recorded is not None
    return recorded


def _of_commands(model: Sourced[Any]) -> type:
    """What the key is in the commands; where they differ, the text in the stream's name."""
    found = {
        str if field is None else _key_type(_type_of(command, field)) or str
        for command, field in model.key_fields.items()
    }
    return found.pop() if len(found) == 1 else str


def _type_of(command: type, field: str) -> inspect.Type:
    info: Any = message_type(command, command.__name__).form.info
    type_: inspect.Type = next(one.type for one in info.fields if one.name == field)
    return type_


def _key_type(info: inspect.Type) -> type | None:
    """What a key is that such a field holds; None where it can hold none."""
    while isinstance(info, inspect.Metadata):
        info = info.type
    match info:
        case inspect.StrType():
            return str
        case inspect.IntType():
            return int
        case inspect.UUIDType():
            return UUID
        case _:
            return None
