"""A view is a fold: from a row and an event to the row's next state."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

from diptych.errors import BadResult, WiringError
from diptych.log.inline import Key as KeyValues
from diptych.log.inline import Step
from diptych.log.messages import MessageType, message_type
from diptych.message import Recorded
from diptych.read.port import Shape
from diptych.routing import Functions, Route, name_of, routes, table

R = TypeVar("R")

Key: TypeAlias = str | tuple[str, ...] | Callable[[Any], Any]


class View(Generic[R]):
    """Keeps one row of a class for each key, folded from events.

    Args:
        row: A frozen dataclass, Struct, attrs class or pydantic model; its fields are the columns.
        project: `project(row | None, event[, Recorded]) -> row | None`: None before the first
            event of a key, None to remove the row. One function or a list. Whether a row can be
            kept is checked when it is written, at the end of a batch of events.
        key: Field, or fields, that name a row; the same in row and event.
        keys: Where an event has others: `{Event: "field" | ("a", "b") | function}`.
        split: `split(event) -> items`: turns an event about several rows into one item for each.
        inline: Whether it is kept in the commit of the events themselves: never behind, at a price
            for each command. A command whose events it cannot take does not happen.
        store: Where its rows rest: None beside the log; ``sqlite:///views.db`` in another file;
            ``postgresql://…`` in another database, or in another schema; ``sqlite://`` in SQLite in
            memory; ``memory://`` in a dictionary, which gives rows by key and takes no statement.
            In memory it fills anew at every start.
        version: Raised whenever `row` or the meaning of `project` changes; the view fills anew.

    Raises:
        WiringError: Wrong routes, or an event without the key's fields.
    """

    projects: Mapping[type, Route]
    splits: Mapping[type, Route]
    wants_facts: bool

    def __init__(
        self,
        row: type[R],
        project: Callable[..., R | None] | Sequence[Callable[..., R | None]],
        *,
        key: str | tuple[str, ...],
        keys: Mapping[type, Key] | None = None,
        split: Functions | None = None,
        inline: bool = False,
        store: str | None = None,
        version: int = 1,
    ) -> None:
        what = f"view {row.__name__}"
        self._describe(
            row,
            key=(key,) if isinstance(key, str) else tuple(key),
            inline=inline,
            store=store,
            version=version,
        )
        self.projects = table(
            routes(project, message=1, arity=2, facts=Recorded, what=f"{what}: project")
        )
        self.splits = (
            {}
            if split is None
            else table(routes(split, message=0, arity=1, facts=Recorded, what=f"{what}: split"))
        )
        self.wants_facts = any(
            route.wants_facts for route in (*self.projects.values(), *self.splits.values())
        )
        _refuse_missing(what, row, self.key, "Each row needs it")
        self._row_key = _reader(self.key)
        given: Mapping[type, Key] = keys or {}
        for type_ in given:
            if type_ not in self.projects:
                raise WiringError(
                    f"{what}: keys= names {type_.__name__}, which project does not take. Remove it."
                )
        self._keys = {
            type_: _key_reader(what, type_, given.get(type_, self.key), len(self.key))
            for type_ in self.projects
        }

    def _describe(
        self,
        row: type[R],
        *,
        key: tuple[str, ...],
        inline: bool,
        store: str | None,
        version: int,
    ) -> None:
        """What a view is, however it is folded."""
        what = f"view {row.__name__}"
        if version < 1:
            raise WiringError(f"{what}: version {version}; versions begin at 1.")
        if inline and store is not None:
            raise WiringError(
                f"{what}: inline=True keeps it in the commit of the events, so it cannot rest in "
                f"{store!r}. Leave one of the two out."
            )
        self.row = row
        self.inline = inline
        self.store = store
        self.version = version
        self.key = key
        self.message = MessageType(row, row.__name__)
        self.splits = {}

    @property
    def events(self) -> tuple[type, ...]:
        """What it may take from the log; with `split`, some of these may be items only."""
        return tuple({**dict.fromkeys(self.splits), **dict.fromkeys(self.projects)})

    def shape(self, name: str) -> Shape:
        """Its table, under a stored name."""
        return Shape(
            view=name,
            version=self.version,
            row=self.row,
            key=self.key,
            fields=self.message.shape(),
        )

    def steps(self, event: Any, recorded: Recorded[Any] | None) -> Sequence[Step]:
        """What an event says, row by row.

        Raises:
            BadResult: `split` gave an item that `project` does not take.
        """
        route = self.splits.get(event.__class__)
        if route is None:
            return ((self._keys[event.__class__](event), event, recorded),)
        items: Iterable[Any] = (
            route.function(event, recorded) if route.wants_facts else route.function(event)
        )
        steps: list[Step] = []
        for item in items:
            key = self._keys.get(item.__class__)
            if key is None:
                raise BadResult(
                    name_of(route.function),
                    f"gave an item of {type(item).__name__}, which project does not take.",
                )
            steps.append((key(item), item, recorded))
        return steps

    def fold(self, rows: dict[KeyValues, Any], steps: Iterable[Step]) -> None:
        """Takes steps into rows by key; None stands for a row that is removed, or not there.

        Raises:
            BadResult: What came back is no row of this view, or the row of another key.
        """
        projects, row_class, row_key = self.projects, self.row, self._row_key
        for key, item, recorded in steps:
            route = projects[item.__class__]
            if route.wants_facts:
                row = route.function(rows.get(key), item, recorded)
            else:
                row = route.function(rows.get(key), item)
            if row is not None:
                if row.__class__ is not row_class:
                    raise BadResult(
                        name_of(route.function),
                        f"returned {type(row).__name__}, not {row_class.__name__} or None.",
                    )
                if row_key(row) != key:
                    raise BadResult(
                        name_of(route.function),
                        f"returned the row of key {row_key(row)!r} for an item of key {key!r}. "
                        "A row keeps its key; use keys= or split= where an event names others.",
                    )
            rows[key] = row

    def __repr__(self) -> str:
        return f"View({self.row.__name__})"


class Placed(NamedTuple):
    """A view in an app.

    Attributes:
        place: The store that keeps it; None for beside the log.
    """

    view: View[Any]
    shape: Shape
    place: str | None


def _reader(fields: tuple[str, ...]) -> Callable[[Any], KeyValues]:
    if len(fields) == 1:
        one = attrgetter(fields[0])
        return lambda message: (one(message),)
    return attrgetter(*fields)


def _key_reader(what: str, type_: type, key: Key, length: int) -> Callable[[Any], KeyValues]:
    if callable(key):
        function = key

        def values(message: Any) -> KeyValues:
            found = function(message)
            key: KeyValues = found if found.__class__ is tuple else (found,)
            return key

        return values
    fields = (key,) if isinstance(key, str) else key
    if len(fields) != length:
        raise WiringError(
            f"{what}: the key of {type_.__name__} has {len(fields)} fields, the row's {length}."
        )
    _refuse_missing(
        what,
        type_,
        fields,
        f"Name its own: keys={{{type_.__name__}: …}}, a function of it, or use split=",
    )
    return _reader(fields)


def _refuse_missing(what: str, type_: type, fields: Sequence[str], remedy: str) -> None:
    have = message_type(type_, type_.__name__).fields
    for field in fields:
        if field not in have:
            raise WiringError(
                f"{what}: {type_.__name__} has no field {field!r} (it has: {', '.join(have)}). "
                f"{remedy}."
            )
