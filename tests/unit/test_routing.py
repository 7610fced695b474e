"""Routes are read from annotations; what cannot be read is said in words, when the app is wired."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Optional, TypeVar, Union

import pytest

from diptych import Context, WiringError
from diptych.routing import Route, members, name_of, parameters_of, resolve, routes, table

if TYPE_CHECKING:
    from nowhere import OnlyForCheckers  # type: ignore[import-not-found]


@dataclass(frozen=True)
class A:
    x: int


@dataclass(frozen=True)
class B:
    x: int


@dataclass(frozen=True)
class C:
    x: int


Either = Union[A, B]  # noqa: UP007
Noted = Annotated[A, "note"]
M = TypeVar("M", bound="A | B")
Bound = TypeVar("Bound", bound=A)


def read(functions: Any, *, arity: int = 2, message: int = 0, facts: Any = Context) -> list[Route]:
    return routes(functions, message=message, arity=arity, facts=facts, what="decide")


def types(functions: Any, **more: Any) -> list[type]:
    return [type_ for route in read(functions, **more) for type_ in route.types]


def one(command: A, state: int) -> list[A]:
    return []


def union(command: A | B, state: int) -> list[A]:
    return []


def old_union(command: Either, state: int) -> list[A]:
    return []


def optional(command: Optional[A], state: int) -> list[A]:  # noqa: UP045
    return []


def annotated(command: Noted, state: int) -> list[A]:
    return []


def bound(command: Bound, state: int) -> list[A]:
    return []


def with_facts(command: A, state: int, context: Context) -> list[A]:
    return []


def for_checkers_only(command: A, state: int) -> list[OnlyForCheckers]:
    return []


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (one, [A]),
        (union, [A, B]),
        (old_union, [A, B]),
        (optional, [A]),
        (annotated, [A]),
        (bound, [A]),
        (with_facts, [A]),
        (for_checkers_only, [A]),
        ([one, lambda: None][:1], [A]),
    ],
)
def test_annotations_name_the_messages(function: Any, expected: list[type]) -> None:
    assert types(function) == expected


def test_annotations_as_objects_are_read_as_those_in_strings() -> None:
    def decide(command: Any, state: Any) -> Any: ...

    decide.__annotations__ = {"command": A | B, "state": int}
    assert types(decide) == [A, B]


def test_a_closure_s_names_are_found() -> None:
    @dataclass(frozen=True)
    class Local:
        x: int

    def decide(command: Local, state: int) -> list[Local]:
        return [Local(command.x)]  # naming it here puts it into the closure

    assert types(decide) == [Local]


def test_a_wrapped_function_is_read_through_its_wrapper() -> None:
    def logged(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*args: Any) -> Any:
            return function(*args)

        return wrapper

    (route,) = read(logged(with_facts))
    assert (route.types, route.wants_facts) == ((A,), True)


def test_a_method_is_a_function_too() -> None:
    class Rules:
        def decide(self, command: A, state: int) -> list[A]:
            return []

    assert types(Rules().decide) == [A]


def test_facts_are_asked_for_by_a_further_parameter() -> None:
    assert [route.wants_facts for route in read([one])] == [False]
    assert [route.wants_facts for route in read([with_facts])] == [True]


def test_a_table_has_a_route_for_every_message() -> None:
    routed = table(read([union, _c]))
    assert {type_: name_of(route.function) for type_, route in routed.items()} == {
        A: "union",
        B: "union",
        C: "_c",
    }


def _c(command: C, state: int) -> list[C]:
    return []


def unresolvable(command: OnlyForCheckers, state: int) -> list[A]:
    return []


def unannotated(command, state: int) -> list[A]:  # type: ignore[no-untyped-def]
    return []


def too_few(command: A) -> list[A]:
    return []


def too_many(command: A, state: int, context: Context, more: int) -> list[A]:
    return []


def wrong_facts(command: A, state: int, context: int) -> list[A]:
    return []


def keyword_only(command: A, *, state: int) -> list[A]:
    return []


def anything(command: Any, state: int) -> list[A]:
    return []


def an_object(command: object, state: int) -> list[A]:
    return []


def nothing(command: None, state: int) -> list[A]:
    return []


def a_list(command: list[A], state: int) -> list[A]:
    return []


class Callable_:
    def __call__(self, command: A, state: int) -> list[A]:
        return []


@pytest.mark.parametrize(
    ("functions", "words"),
    [
        (
            unresolvable,
            r"unresolvable: parameter 'command': .*OnlyForCheckers.*not only under TYPE",
        ),
        (unannotated, r"unannotated: parameter 'command' has no annotation\. Annotate it"),
        (too_few, r"decide too_few takes 1 parameters, not 2 \(or 3 with Context as the last\)"),
        (too_many, r"decide too_many takes 4 parameters"),
        (wrong_facts, r"wrong_facts: parameter 'context' is not annotated as Context"),
        (keyword_only, r"keyword_only: parameter 'state' is keyword-only; make it positional"),
        (anything, r"anything: parameter 'command' takes .*Any, which is not a message class"),
        (an_object, r"takes <class 'object'>, which is not a message class\. Annotate it"),
        (nothing, r"parameter 'command' takes None, which is not a message class"),
        (a_list, r"takes list\[.*A\], which is not a message class"),
        (Callable_(), r"is not a plain function.*defined with def"),
        (A, r"is not a plain function"),
        (functools.partial(one, A(1)), r"is not a plain function"),
        ([one, union], r"decide: A is taken by one and by union\. Each message has one function"),
        ([one, one], r"A is taken by one and by one"),
        ([], r"decide: no function was given"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_does_not_fit_is_said_in_words(functions: Any, words: str) -> None:
    with pytest.raises(WiringError, match=words) as error:
        read(functions)
    assert str(error.value).endswith((".", "defined with def."))


def test_members_of_nested_unions_are_flat() -> None:
    assert members(Union[A, Either, None]) == [A, B]  # noqa: UP007


def test_defaults_and_varargs_do_no_harm() -> None:
    def decide(command: A, state: int, *rest: int, **more: int) -> list[A]:
        return []

    assert types(decide) == [A]
    names: Sequence[str] = [name for name, _ in parameters_of(decide)]
    assert list(names) == ["command", "state"]


def test_a_string_is_resolved_with_builtins() -> None:
    assert resolve(one, "state", "int") is int
