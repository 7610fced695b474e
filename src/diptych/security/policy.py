"""Policies: pure functions that say whether a principal may send a command or ask a query."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from msgspec import Struct

from diptych.errors import BadResult, Denied, WiringError
from diptych.message import Principal
from diptych.routing import members, name_of, parameters_of, resolve


class Allow(Struct, frozen=True):
    """The principal may."""


class Deny(Struct, frozen=True):
    """The principal may not.

    Attributes:
        reason: For people; what they would need.
    """

    reason: str


May: TypeAlias = Callable[..., Allow | Deny]
"""`may(principal, message[, state]) -> Allow | Deny`"""


class Policy(NamedTuple):
    """A policy, and whether it looks at the state that the command will be decided on."""

    function: May
    wants_state: bool

    def check(self, name: str, principal: Principal, *given: Any) -> None:
        """Asks the function.

        Args:
            name: Stored name of the message, for the error.
            given: The message, and the state where it is wanted.

        Raises:
            Denied: The function says no.
            BadResult: It says neither yes nor no.
        """
        said = self.function(principal, *given)
        if said.__class__ is Allow:
            return
        if isinstance(said, Deny):
            raise Denied(name, principal.id, said.reason)
        raise BadResult(name_of(self.function), f"returned {said!r}. Return Allow() or Deny(…).")


def _nobody(principal: Principal, message: object) -> Deny:
    return Deny("no policy allows it; add one with may=[…]")


NOBODY = Policy(_nobody, False)
"""What holds for messages without a policy where the app denies by default."""


def policies(functions: Sequence[May]) -> Mapping[type, Policy]:
    """Policies by type of message, read from annotations.

    Raises:
        WiringError: Not (principal, message[, state]), or two policies for one message.
    """
    found: dict[type, Policy] = {}
    for function in functions:
        name = name_of(function)
        parameters = parameters_of(function)
        if len(parameters) not in (2, 3):
            raise WiringError(
                f"policy {name} takes {len(parameters)} parameters, not (principal, message) or "
                "(principal, message, state)."
            )
        parameter, annotation = parameters[0]
        if resolve(function, parameter, annotation) is not Principal:
            raise WiringError(f"policy {name}: parameter {parameter!r} is no Principal.")
        parameter, annotation = parameters[1]
        types = members(resolve(function, parameter, annotation))
        for type_ in types:
            if not isinstance(type_, type) or type_ is object:
                raise WiringError(
                    f"policy {name}: parameter {parameter!r} takes {type_!r}, which is no message "
                    "class. Annotate it with a command or query, or a union of them."
                )
            if type_ in found:
                raise WiringError(
                    f"policy: {type_.__name__} is judged by {name_of(found[type_].function)} and "
                    f"by {name}. Each message has one policy."
                )
            found[type_] = Policy(function, len(parameters) == 3)
    return found


def refuse_idle(found: Mapping[type, Policy], messages: Collection[type]) -> None:
    """Every policy must judge something here: one for a misspelt class would let all pass.

    Raises:
        WiringError: A policy is for a message that nothing here takes.
    """
    for type_, policy in found.items():
        if type_ not in messages:
            raise WiringError(
                f"policy {name_of(policy.function)} judges {type_.__name__}, which is neither a "
                "command nor a query here. Wire what takes it, or remove the policy."
            )
