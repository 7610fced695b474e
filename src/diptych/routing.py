"""Which function takes which message: read from the annotations of its parameters, at wiring.

Only the parameters that matter are resolved, one by one, so that a return type imported for type
checking alone does no harm.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterable, Mapping, Sequence
from inspect import Parameter, signature, unwrap
from types import FunctionType, NoneType, UnionType
from typing import Annotated, Any, NamedTuple, Never, TypeVar, Union, get_args, get_origin

from diptych.errors import WiringError

Functions = Callable[..., Any] | Sequence[Callable[..., Any]]


class Route(NamedTuple):
    """A function, the message types it takes, and whether it wants the shell's facts as well."""

    function: Callable[..., Any]
    types: tuple[type, ...]
    wants_facts: bool


def parameters_of(function: Callable[..., Any]) -> list[tuple[str, Any]]:
    """Names and annotations (unresolved) of the positional parameters.

    Raises:
        WiringError: It is not a plain function or method, or takes keyword-only parameters.
    """
    plain = unwrap(function)
    if isinstance(plain, type) or not hasattr(plain, "__code__"):
        raise WiringError(
            f"{function!r} is not a plain function, so its annotations cannot be read. "
            "Give a function defined with def."
        )
    positional: list[tuple[str, Any]] = []
    for parameter in signature(plain).parameters.values():
        if parameter.kind in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD):
            positional.append((parameter.name, parameter.annotation))
        elif parameter.default is Parameter.empty and parameter.kind is Parameter.KEYWORD_ONLY:
            raise WiringError(
                f"{name_of(function)}: parameter {parameter.name!r} is keyword-only; "
                "make it positional."
            )
    return positional


def name_of(function: Callable[..., Any]) -> str:
    """How messages name a function."""
    return getattr(function, "__qualname__", repr(function))


def resolve(function: Callable[..., Any], parameter: str, annotation: Any) -> Any:
    """The type that an annotation means, strings and closures included.

    Raises:
        WiringError: There is no annotation, or its name cannot be found at run time.
    """
    where = f"{name_of(function)}: parameter {parameter!r}"
    if annotation is Parameter.empty:
        raise WiringError(f"{where} has no annotation. Annotate it with the message it takes.")
    if isinstance(annotation, str):
        plain = unwrap(function)
        if not isinstance(plain, FunctionType):
            plain = getattr(plain, "__func__", plain)
        cells = {
            name: cell.cell_contents
            for name, cell in zip(plain.__code__.co_freevars, plain.__closure__ or (), strict=False)
            if _filled(cell)
        }
        try:
            annotation = eval(annotation, {**vars(builtins), **plain.__globals__}, cells)
        except Exception as error:
            raise WiringError(
                f"{where}: annotation {annotation!r} cannot be resolved ({error}). Import its "
                "names at run time, not only under TYPE_CHECKING, and define them at module level."
            ) from error
    return _bare(annotation)


def _filled(cell: Any) -> bool:
    try:
        _ = cell.cell_contents
    except ValueError:
        return False
    return True


def _bare(annotation: Any) -> Any:
    """Without Annotated, `type` aliases and bound type variables."""
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif hasattr(annotation, "__value__"):  # a `type X = …` alias of Python 3.12
            annotation = annotation.__value__
        elif isinstance(annotation, TypeVar) and annotation.__bound__ is not None:
            annotation = annotation.__bound__
        else:
            return annotation


def members(annotation: Any) -> list[Any]:
    """The members of a union, or the one type it is; None is left out."""
    annotation = _bare(annotation)
    if get_origin(annotation) in (Union, UnionType):
        return [m for part in get_args(annotation) for m in members(part)]
    return [] if annotation is NoneType else [annotation]


def returned_by(function: Callable[..., Any]) -> list[type]:
    """The event classes that a function says it returns: `list[A | B]`; none for None.

    Raises:
        WiringError: There is no such annotation.
    """
    plain = unwrap(function)
    name = name_of(function)
    annotation = signature(plain).return_annotation
    if annotation is Parameter.empty:
        raise WiringError(
            f"{name} does not say what it returns. Annotate it: `-> list[OrderPlaced]`, "
            "`-> list[A | B]`, or `-> None` where it gives no events."
        )
    found = resolve(function, "return", annotation)
    if found is None or found is NoneType:
        return []
    if get_origin(found) not in (list, tuple, Sequence):
        raise WiringError(
            f"{name} returns {found!r}. Let it return a list: `-> list[OrderPlaced]`."
        )
    types = [m for part in get_args(found) if part is not Ellipsis for m in members(part)]
    for type_ in types:
        if type_ is Never:
            return []
        if not isinstance(type_, type) or type_ is object:
            raise WiringError(
                f"{name} returns {type_!r}, which is no event class. "
                "Name the events: `-> list[OrderPlaced]`."
            )
    return types


def routes(
    functions: Functions,
    *,
    message: int,
    arity: int,
    facts: type | None,
    what: str,
) -> list[Route]:
    """Reads the routes of one function over a union, or of a list of functions.

    Args:
        functions: One function or several.
        message: Place of the parameter that takes the message.
        arity: How many parameters there are at least.
        facts: Type of one further, optional parameter (`Context`, `Recorded`); None for none.
        what: What they are, for error texts: ``decide``.

    Raises:
        WiringError: Wrong, missing or double routes, in words.
    """
    listed: Sequence[Callable[..., Any]] = [functions] if callable(functions) else functions
    found: list[Route] = []
    taken: dict[type, str] = {}
    for function in listed:
        name = name_of(function)
        parameters = parameters_of(function)
        most = arity + (facts is not None)
        if not arity <= len(parameters) <= most:
            raise WiringError(
                f"{what} {name} takes {len(parameters)} parameters, not {arity}"
                + (f" (or {most} with {facts.__name__} as the last)." if facts else ".")
            )
        wants = len(parameters) > arity
        if wants:
            parameter, annotation = parameters[arity]
            given = resolve(function, parameter, annotation)
            if (get_origin(given) or given) is not facts:
                raise WiringError(
                    f"{what} {name}: parameter {parameter!r} is not annotated as "
                    f"{facts.__name__ if facts else 'nothing'}."
                )
        parameter, annotation = parameters[message]
        types = members(resolve(function, parameter, annotation))
        for type_ in types:
            if not isinstance(type_, type) or type_ in (object, Any):
                raise WiringError(
                    f"{what} {name}: parameter {parameter!r} takes {type_!r}, which is not a "
                    "message class. Annotate it with a dataclass, or a union of them."
                )
            if type_ in taken:
                raise WiringError(
                    f"{what}: {type_.__name__} is taken by {taken[type_]} and by {name}. "
                    "Each message has one function."
                )
            taken[type_] = name
        if not types:
            raise WiringError(f"{what} {name}: parameter {parameter!r} names no message class.")
        found.append(Route(function, tuple(types), wants))
    if not found:
        raise WiringError(f"{what}: no function was given.")
    return found


def table(found: Iterable[Route]) -> Mapping[type, Route]:
    """Routes by message type."""
    return {type_: route for route in found for type_ in route.types}
