"""A consistency boundary: a decision over all events under some tags, whatever their stream.

Source of the idea: "dynamic consistency boundary" (Sara Pellegrini). A decision reads the events
under its tags; the same question is the condition of its append.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeAlias, TypeVar

from diptych.errors import BadResult, WiringError
from diptych.log.messages import is_plain
from diptych.routing import Functions, Route, name_of, routes, table
from diptych.write.decider import Decider
from diptych.write.event_sourced import Key, Merge, check_model_name, key_functions, key_text
from diptych.write.prepare import preparing

S = TypeVar("S")

Items: TypeAlias = tuple[tuple[str, ...], ...]


class Boundary(Generic[S]):
    """Keeps no state of its own: its state is the fold of the events under a command's tags.

    Args:
        name: Of the boundary, and of the stream its events go to.
        reads: The tags that a command's decision stands on: `reads(command) -> tags`. An event
            counts if it carries at least one of them; a tuple stands for all of its tags.
        tags: The tags that an event carries: `tags(event) -> tags`.
        key: With it, events go to the stream `name:key` of the command's key.
        keys: Where a command has another one.
        merge, prepare: As for `EventSourced`.

    Raises:
        WiringError: A malformed name, or tags for an event that evolve does not take.
    """

    kind = "boundary"

    def __init__(
        self,
        name: str,
        decider: Decider[S],
        *,
        reads: Functions,
        tags: Functions,
        key: Key | None = None,
        keys: Mapping[type, Key] | None = None,
        merge: Merge | None = None,
        prepare: Functions | None = None,
    ) -> None:
        check_model_name(name)
        if keys and key is None:
            raise WiringError(f"{name}: keys= without key=. Give key= for the other commands.")
        self.name = name
        self.decider = decider
        self.merge = merge
        self.commands: Mapping[type, Route] = decider.decides
        self.prepare = preparing(name, prepare, decider.decides)
        self._reads = _functions(name, "reads", reads, decider.decides)
        self.tags = _functions(name, "tags", tags, decider.evolves)
        self._key = None if key is None else key_functions(name, decider.decides, key, keys or {})

    @property
    def events(self) -> tuple[type, ...]:
        """What it writes, or reads to know its state."""
        return tuple(self.decider.evolves)

    def stream(self, command: Any) -> str:
        """The stream that this command's events go to."""
        if self._key is None:
            return self.name
        return f"{self.name}:{key_text(command, self._key[type(command)])}"

    def reads(self, command: Any) -> Items:
        """The tags that this command's decision stands on, in one order, each once.

        Raises:
            BadResult: There is none, or one that is no text.
        """
        function = self._reads[type(command)]
        given: Any = function(command)
        if given.__class__ not in (list, tuple, set, frozenset) or not given:
            raise BadResult(
                name_of(function),
                f"returned {given!r}. Return a list of the tags that the decision stands on; "
                "without one, anybody's event could come in between.",
            )
        if len(given) == 1:
            (tag,) = given
            if tag.__class__ is str and tag and is_plain(tag):  # the common case
                return ((tag,),)
        items: set[tuple[str, ...]] = set()
        for tag in given:
            item: tuple[Any, ...] = tuple(set(tag)) if tag.__class__ is tuple else (tag,)
            if not item or not all(isinstance(t, str) and t and is_plain(t) for t in item):
                raise BadResult(
                    name_of(function), f"returned the tag {tag!r}. A tag is a text, not empty."
                )
            items.add(tuple(sorted(item)))
        return tuple(sorted(items))

    def __repr__(self) -> str:
        return f"Boundary({self.name!r})"


def _functions(
    model: str, what: str, functions: Functions, messages: Mapping[type, Any]
) -> dict[type, Callable[[Any], Any]]:
    """One function for every message, or several routed by annotation."""
    if callable(functions):
        return dict.fromkeys(messages, functions)
    routed = table(routes(functions, message=0, arity=1, facts=None, what=f"{model} {what}"))
    missing = [type_.__name__ for type_ in messages if type_ not in routed]
    if missing:
        raise WiringError(
            f"{model}: {what}= has no function for {', '.join(missing)}. Add one "
            f"(it has {', '.join(name_of(route.function) for route in routed.values())})."
        )
    return {type_: routed[type_].function for type_ in messages}
