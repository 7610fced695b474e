"""Functions over models that can be changed: each call gets copies, and a change is an error."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import wraps
from typing import Any

from diptych.errors import BadResult, WiringError
from diptych.log.forms import is_mutable_model
from diptych.routing import Route, members, name_of, parameters_of, resolve


def keeping(routes: Mapping[type, Route], *, state: int, initial: object) -> Mapping[type, Route]:
    """The same routes; where the message or the state is a pydantic model that is not frozen, what
    the function is given is copied first, since states are shared by all that come after.

    Args:
        state: Place of the parameter that takes the state.
    """
    return {
        type_: route._replace(function=_keeping(route.function))
        if any(map(is_mutable_model, (type_, type(initial), *_annotated(route.function, state))))
        else route
        for type_, route in routes.items()
    }


def _annotated(function: Callable[..., Any], place: int) -> list[Any]:
    try:
        return members(resolve(function, *parameters_of(function)[place]))
    except WiringError:
        return []  # only the annotation of the message has to be one that can be read


def _keeping(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def call(*given: Any) -> Any:
        copies = deepcopy(given)
        comparable = copies == given
        try:
            return function(*copies)
        finally:
            if comparable and copies != given:
                was, now = next((a, b) for a, b in zip(given, copies, strict=True) if a != b)
                raise BadResult(
                    name_of(function),
                    f"changed what it was given: {was!r} became {now!r}. Return a new value "
                    "instead, as model_copy(update={…}) makes it, and make the model frozen.",
                )

    return call
