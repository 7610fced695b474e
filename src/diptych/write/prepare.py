"""Normalising a command before it is decided: pure, one function per command."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from diptych.errors import WiringError
from diptych.routing import Functions, routes, table


def preparing(
    model: str, functions: Functions | None, commands: Collection[type]
) -> Mapping[type, Callable[[Any], Any]]:
    """`prepare(command) -> command` by type of command, read from annotations.

    Raises:
        WiringError: A wrong or double route, or one for a command that the model does not take.
    """
    if functions is None:
        return {}
    found = table(routes(functions, message=0, arity=1, facts=None, what=f"{model}: prepare"))
    for type_, route in found.items():
        if type_ not in commands:
            raise WiringError(
                f"{model}: prepare {route.function.__qualname__} takes {type_.__name__}, which is "
                "no command of this model. Remove it, or annotate it with the command it prepares."
            )
    return {type_: route.function for type_, route in found.items()}
