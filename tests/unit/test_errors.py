"""Errors carry their values, end with a remedy, and survive pickling and copying."""

from __future__ import annotations

import copy
import inspect
import pickle
from typing import Any

import pytest

from diptych import errors
from diptych.errors import DiptychError

EXAMPLES: list[DiptychError] = [
    errors.Refused("sold_out", "no seats", free=3, wanted=[1, 2]),
    errors.Refused("closed"),
    errors.InvalidMessage("order", "lines[0].sku", "Expected `str`"),
    errors.InvalidMessage("order", "", "broken"),
    errors.UnknownMessage("command", "Burn", ["Put", "Take"]),
    errors.UnknownMessage("query", "Burn", []),
    errors.MessageTooLarge("order", 2000, 1000),
    errors.IdReused("c-1"),
    errors.Denied("cancel-order", "ann", "only a clerk cancels"),
    errors.BadResult("decide", "returned None. Return a list of events; [] for none."),
    errors.StreamConflict("pot:a", 3, 4),
    errors.StreamConflict("night", 3, None),
    errors.Stale(["a@1", "b@2"], 5, 9),
    errors.Stale(["a@1"], 5, 9, "LookupError: x"),
    errors.NotReady("a@1", 5, 9),
    errors.NotReady("a@1", 0, 9, "LookupError: x"),
    errors.ProjectionFailed("view a@1", 5, "added", LookupError("x")),
    errors.NotSettled(["view a@1 is at 5 of 9"]),
    errors.DeadlineExceeded("put", "2026-07-01T12:00:00+00:00"),
    errors.HandlerTooSlow("place_order", 2.0),
    errors.Overloaded(100),
    errors.NestedCall("execute"),
    errors.NotOpen("bank"),
    errors.NotOpen("bank", "is closed. Open it."),
    errors.WouldBlock("app.execute"),
    errors.TimedOut("execute", 1.5),
    errors.ReadOnly("not authorized"),
]

CLASSES = [
    kind
    for kind in vars(errors).values()
    if inspect.isclass(kind)
    and issubclass(kind, DiptychError)
    and kind.__module__ == "diptych.errors"
]


def plain(kind: type[DiptychError]) -> DiptychError:
    """An example of a class: those that carry no values of their own carry a text."""
    found = [error for error in EXAMPLES if type(error) is kind]
    return found[0] if found else kind("something is wrong. Do something.")


@pytest.mark.parametrize("error", [*EXAMPLES, *map(plain, CLASSES)], ids=repr)
def test_an_error_survives_pickling_and_copying(error: DiptychError) -> None:
    error.__dict__["position"] = 7
    copies: list[Any] = [copy.copy(error), copy.deepcopy(error)]
    copies += [pickle.loads(pickle.dumps(error, protocol)) for protocol in range(2, 6)]
    for other in copies:
        assert type(other) is type(error)
        assert str(other) == str(error)
        assert other.args == error.args
        assert other.__dict__ == error.__dict__


@pytest.mark.parametrize("error", EXAMPLES, ids=repr)
def test_a_fault_ends_with_its_remedy(error: DiptychError) -> None:
    text = str(error)
    if isinstance(error, errors.Refused):
        assert text in ("sold_out: no seats", "closed")
        return
    sentences = [part for part in text.split(". ") if part]
    assert len(sentences) >= 2, text
    assert text.endswith(".")


def test_every_class_is_documented() -> None:
    assert [kind.__name__ for kind in CLASSES if not kind.__doc__] == []


def test_refusals_and_faults_are_two_branches() -> None:
    for kind in CLASSES:
        if kind not in (DiptychError, errors.Refused):
            assert issubclass(kind, errors.Fault)
    assert not issubclass(errors.Refused, errors.Fault)


def test_an_error_carries_its_values() -> None:
    conflict = errors.StreamConflict("pot:a", 3, 4)
    assert (conflict.stream, conflict.expected, conflict.found) == ("pot:a", 3, 4)
    assert str(conflict).startswith("pot:a is at 4, expected 3. Someone wrote first")
    refused = errors.Refused("sold_out", "no seats", free=3)
    assert (refused.code, refused.message, refused.values) == ("sold_out", "no seats", {"free": 3})
    assert refused.position is None
    stale = errors.Stale(["a@1"], 5, 9)
    assert (stale.views, stale.position, stale.wanted) == (("a@1",), 5, 9)
