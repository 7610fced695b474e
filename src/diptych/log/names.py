"""Stored names are data: which class has which name, and whether the store agrees."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct

from diptych.errors import SchemaChanged, WiringError

_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")


def kebab(type_: type) -> str:
    """`SeatsReserved` -> `seats-reserved`."""
    return _WORD.sub("-", type_.__name__).replace("_", "-").strip("-").lower()


class Names:
    """The stored name of each class, both ways, over all kinds of messages.

    Args:
        given: Names that differ from the default, by name.

    Raises:
        WiringError: A name is malformed, or given for two classes.
    """

    def __init__(self, given: Mapping[str, type]) -> None:
        self._given: dict[type, str] = {}
        for name, type_ in given.items():
            if not _NAME.fullmatch(name):
                raise WiringError(
                    f"names: {name!r} is not a stored name. Use lower-case letters, digits, "
                    "'-', '_' and '.', at most 100."
                )
            if type_ in self._given:
                raise WiringError(
                    f"names: {type_.__name__} is given two names, {self._given[type_]!r} and "
                    f"{name!r}. A class has one."
                )
            self._given[type_] = name
        self._taken: dict[tuple[str, str], type] = {}

    def take(self, kind: str, type_: type) -> str:
        """The name of a class that the app uses as an event, a command, a query or a view.

        Raises:
            WiringError: Another class of this kind has this name.
        """
        name = self._given.get(type_) or kebab(type_)
        other = self._taken.setdefault((kind, name), type_)
        if other is not type_:
            raise WiringError(
                f"{_where(other)} and {_where(type_)} both have the stored {kind} name {name!r}. "
                f"Give one of them another: names={{'…': {type_.__name__}}}."
            )
        return name

    def refuse_unused(self) -> None:
        """Names that were given for classes that nobody uses are slips of the pen.

        Raises:
            WiringError: There are some.
        """
        used = set(self._taken.values())
        for type_, name in self._given.items():
            if type_ not in used:
                raise WiringError(
                    f"names: {name!r} is given to {type_.__name__}, which nothing here uses. "
                    "Remove it, or wire what uses it."
                )


def _where(type_: type) -> str:
    return f"{type_.__module__}.{type_.__qualname__}"


class Stamp(Struct, frozen=True):
    """What a store remembers of a name, to be compared whenever it is opened.

    Attributes:
        kind: ``event``, ``view``, ``table``, ``model`` or ``tags``.
        schema: Version of the shape (events, views, tables of projections).
        shape: Fields by name; for a table also its projection; for a model its kind, for tags the
            boundaries that give them.
    """

    kind: str
    name: str
    schema: int
    shape: dict[str, str]

    @property
    def key(self) -> tuple[str, str]:
        """What it is compared by."""
        return self.kind, self.name


OPTIONAL = "?"
"""Ends the shape of a field that may be missing."""

BY = "(projection)"
"""Where the shape of a table says whose it is."""


def compare(
    stored: Iterable[Stamp], code: Iterable[Stamp], has_events: Callable[[str], bool]
) -> list[Stamp]:
    """The stamps that are new or changed and may be written.

    Args:
        has_events: Whether the log has events of a name; asked only in doubt.

    Raises:
        SchemaChanged: The code cannot read what the store holds.
    """
    known = {stamp.key: stamp for stamp in stored}
    write: list[Stamp] = []
    for stamp in code:
        old = known.get(stamp.key)
        if old is None:
            if stamp.kind == "tags" and has_events(stamp.name):
                raise SchemaChanged(
                    f"boundary {_list(stamp.shape)} tags event {stamp.name!r}, but events of that "
                    "name were stored without its tags, so it would not find them. "
                    "Tag a new event instead, or start a new store."
                )
            write.append(stamp)
        else:
            agreed = _agree(old, stamp, has_events)
            if agreed != old:
                write.append(agreed)
    return write


def _agree(old: Stamp, new: Stamp, has_events: Callable[[str], bool]) -> Stamp:
    """What the store should remember from now on."""
    if old == new:
        return old
    match new.kind:
        case "event":
            return _event_agrees(old, new)
        case "view":
            raise SchemaChanged(
                f"view {new.name!r}: fields changed ({_difference(old, new)}) but its version "
                f"is still {new.schema}. Give it version={new.schema + 1}: it fills anew."
            )
        case "table":
            raise SchemaChanged(_table_disagrees(old, new))
        case "model":
            raise SchemaChanged(
                f"model {new.name!r} was {_list(old.shape)} and is now {_list(new.shape)}. "
                "Its stored events were written under other rules: give the new one another name."
            )
        case _:
            if set(new.shape) - set(old.shape) and has_events(new.name):
                raise SchemaChanged(
                    f"event {new.name!r} was tagged by {_list(old.shape)}, now by "
                    f"{_list(new.shape)}: stored events lack the new tags. "
                    "Tag a new event instead, or start a new store."
                )
            return new


def _table_disagrees(old: Stamp, new: Stamp) -> str:
    was, now = (f"projection {one.shape[BY]!r}, version {one.schema}" for one in (old, new))
    if was != now:
        return (
            f"table {new.name!r} is filled by {was}, and would be by {now}. Each version of a "
            "projection has tables of its own: give this one another name."
        )
    return (
        f"table {new.name!r}: columns changed ({_difference(old, new)}) but {now}, did not. Give it "
        f"version={new.schema + 1} and a table of another name: it fills anew."
    )


def _event_agrees(old: Stamp, new: Stamp) -> Stamp:
    """Old events must stay readable: what they may lack has a default, what they have is the same.

    So the store remembers every field that ever was, and whether an event may lack it.
    """
    if new.schema > old.schema:
        return new
    if new.schema < old.schema:
        raise SchemaChanged(
            f"event {new.name!r} is at schema {old.schema} in the store, {new.schema} in the code. "
            "Newer code wrote it: deploy that, or keep its upcasters."
        )
    remedy = (
        f"Stored events are never edited: add an upcaster (upcast={{{new.name!r}: [function]}}) "
        "or a new event."
    )
    shape = {field: _optional(was) for field, was in old.shape.items() if field not in new.shape}
    for field, now in new.shape.items():
        was = old.shape.get(field)
        lacking = was is None or was.endswith(OPTIONAL)
        if lacking and not now.endswith(OPTIONAL):
            raise SchemaChanged(
                f"event {new.name!r}: field {field!r} has no default, but stored events may lack "
                f"it. Give it a default. {remedy}"
            )
        if was is not None and was.rstrip(OPTIONAL) != now.rstrip(OPTIONAL):
            raise SchemaChanged(
                f"event {new.name!r}: field {field!r} was {was}, is {now}. {remedy}"
            )
        shape[field] = _optional(now) if lacking else now
    return Stamp(new.kind, new.name, new.schema, shape)


def _optional(shape: str) -> str:
    return shape.rstrip(OPTIONAL) + OPTIONAL


def _difference(old: Stamp, new: Stamp) -> str:
    parts = [f"+{f}: {s}" for f, s in new.shape.items() if f not in old.shape]
    parts += [f"-{f}" for f in old.shape if f not in new.shape]
    parts += [
        f"{f}: {old.shape[f]} -> {s}"
        for f, s in new.shape.items()
        if f in old.shape and old.shape[f] != s
    ]
    return ", ".join(parts) or "their order"


def _list(shape: Mapping[str, str]) -> str:
    return ", ".join(sorted(shape))
