"""The decider: one decision model as pure functions, whatever keeps its state."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import reduce
from typing import Any, Generic, TypeVar, cast

from diptych.errors import BadResult
from diptych.message import Context, Recorded
from diptych.routing import Route, name_of, routes, table
from diptych.write.keeping import keeping

S = TypeVar("S")


class Decider(Generic[S]):
    """`decide(command, state[, Context]) -> events` and `evolve(state, event[, Recorded]) -> state`.

    Each is one function over a union, or a list of functions, one per message, routed by the
    annotations of their parameters.

    Args:
        initial: The state before the first event. Never changed, so it can be shared.
        decide: May raise `Refused`.
        evolve: Must not change the state it is given.

    Raises:
        WiringError: A wrong, missing or double route.
    """

    def __init__(
        self,
        initial: S,
        decide: Callable[..., Iterable[object]] | Sequence[Callable[..., Iterable[object]]],
        evolve: Callable[..., S] | Sequence[Callable[..., S]],
    ) -> None:
        self.initial = initial
        decides = table(routes(decide, message=0, arity=2, facts=Context, what="decide"))
        evolves = table(routes(evolve, message=1, arity=2, facts=Recorded, what="evolve"))
        self.decides: Mapping[type, Route] = keeping(decides, state=1, initial=initial)
        self.evolves: Mapping[type, Route] = keeping(evolves, state=0, initial=initial)

    def decide(self, command: Any, state: S, context: Context) -> list[Any]:
        """The events that a command gives on a state.

        Raises:
            Refused: The business says no.
            BadResult: What came back is not a list of events.
        """
        route = self.decides[type(command)]
        if route.wants_facts:
            return as_events(route.function, route.function(command, state, context))
        return as_events(route.function, route.function(command, state))

    def evolve(self, state: S, event: Any, recorded: Callable[[], Recorded[Any]]) -> S:
        """The state after one more event. `recorded` is asked only where the function wants it."""
        route = self.evolves[type(event)]
        if route.wants_facts:
            return cast("S", route.function(state, event, recorded()))
        return cast("S", route.function(state, event))

    def fold(self, events: Iterable[Any]) -> S:
        """The state after all these events, for functions that need no `Recorded`."""

        def unknown() -> Recorded[Any]:
            raise BadResult("evolve", "wants Recorded, which these events do not have.")

        return reduce(lambda state, event: self.evolve(state, event, unknown), events, self.initial)


def as_events(decide: Callable[..., Any], events: Any) -> list[Any]:
    """What a decide function returned, if it is a list of events.

    Raises:
        BadResult: It is not.
    """
    if events.__class__ is list:
        return events
    if events.__class__ is tuple:
        return list(events)
    raise BadResult(
        name_of(decide),
        f"returned {type(events).__name__}. Return a list of events; [] for none.",
    )
