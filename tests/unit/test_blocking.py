"""The calls that block are App's own calls: the same names, parameters and words."""

from __future__ import annotations

from inspect import getdoc, isfunction, signature
from typing import Any

import pytest

from diptych import App
from diptych.blocking import BlockingApp, BlockingLog
from diptych.subscription.feed import Log

NOT_OFFERED = {"joining"}
"""What App has for its facades."""

PAIRS: list[tuple[type, type]] = [(App, BlockingApp), (Log, BlockingLog)]


def public(kind: type) -> dict[str, Any]:
    return {name: value for name, value in vars(kind).items() if not name.startswith("_")}


def functions() -> list[tuple[Any, Any]]:
    pairs = [
        (public(there).get(name), call)
        for there, here in PAIRS
        for name, call in public(here).items()
    ]
    return [(there, here) for there, here in pairs if isfunction(here)]


@pytest.mark.parametrize(("there", "here"), PAIRS)
def test_every_call_is_offered_and_no_other(there: type, here: type) -> None:
    assert public(here).keys() == public(there).keys() - NOT_OFFERED


def test_what_an_app_tells_about_itself_is_told() -> None:
    app = App("bank")
    told = {name for name in vars(app) if not name.startswith("_")}
    assert {name for name in told if getattr(BlockingApp(app), name) is getattr(app, name)} == told


@pytest.mark.parametrize(("there", "here"), functions())
def test_a_call_takes_the_same_and_says_the_same(there: Any, here: Any) -> None:
    assert signature(here).parameters == signature(there).parameters
    assert here.__name__ == there.__name__
    assert getdoc(here)
    if here.__name__ != "join":  # another kind of session, another kind of `with`
        assert getdoc(here) == getdoc(there)


@pytest.mark.parametrize(("_", "here"), functions())
def test_a_call_gives_what_is_to_be_had_without_await(_: Any, here: Any) -> None:
    given = str(signature(here).return_annotation)
    assert "Coroutine" not in given
    assert "Async" not in given
    assert given == here.__annotations__["return"]


def test_there_are_calls_to_compare() -> None:
    assert len(functions()) >= 7
