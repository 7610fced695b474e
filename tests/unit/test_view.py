"""Views as folds: which rows an event touches, and what a fold may not give back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from diptych import Recorded, View, WiringError
from diptych.testing import given


@dataclass(frozen=True)
class Sold:
    sku: str
    day: str
    many: int


@dataclass(frozen=True)
class Ordered:
    lines: tuple[Sold, ...]


@dataclass(frozen=True)
class Returned:
    article: str
    on: str


@dataclass(frozen=True)
class Demand:
    sku: str
    day: str
    many: int
    last: int = 0


def sold(row: Demand | None, event: Sold) -> Demand | None:
    return Demand(event.sku, event.day, event.many + (row.many if row else 0))


def returned(row: Demand | None, event: Returned, recorded: Recorded[Any]) -> Demand | None:
    if row is None or row.many == 1:
        return None
    return Demand(row.sku, row.day, row.many - 1, recorded.position)


def lines(event: Ordered) -> list[Sold]:
    return list(event.lines)


KEYS: dict[type, Any] = {Returned: ("article", "on")}
demand = View(Demand, [sold, returned], key=("sku", "day"), keys=KEYS, split=[lines])


def test_an_event_folds_into_its_row() -> None:
    given(demand, Sold("a", "mon", 1), Sold("a", "mon", 2), Sold("a", "tue", 4)).shows(
        Demand("a", "mon", 3), Demand("a", "tue", 4)
    )


def test_a_split_event_folds_into_several_rows() -> None:
    order = Ordered((Sold("a", "mon", 1), Sold("b", "mon", 2), Sold("a", "mon", 5)))
    given(demand, order).shows(Demand("a", "mon", 6), Demand("b", "mon", 2))


def test_another_event_names_its_key_otherwise() -> None:
    given(demand, Sold("a", "mon", 3), Returned("a", "mon")).shows(Demand("a", "mon", 2, 2))


def test_none_removes_the_row_and_begins_it_anew() -> None:
    given(demand, Sold("a", "mon", 1), Returned("a", "mon")).shows()
    given(demand, Sold("a", "mon", 1), Returned("a", "mon"), Sold("a", "mon", 7)).shows(
        Demand("a", "mon", 7)
    )


def test_its_events_are_those_it_splits_and_those_it_projects() -> None:
    assert demand.events == (Ordered, Sold, Returned)


def test_its_stamp_has_fields_key_and_version() -> None:
    stamp = demand.shape("demand").stamp
    assert (stamp.kind, stamp.schema) == ("view", 1)
    assert stamp.shape == {
        "sku": "str",
        "day": "str",
        "many": "int",
        "last": "int?",
        "(key)": "sku, day",
    }


def wrong_route(row: Demand | None, event: Sold, recorded: int) -> Demand | None:
    return None


def twice(row: Demand | None, event: Sold | Returned) -> Demand | None:
    return None


@dataclass(frozen=True)
class Keyless:
    many: int


def keyless(row: Demand | None, event: Keyless) -> Demand | None:
    return None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"key": "nowhere"}, r"view Demand: Demand has no field 'nowhere' \(it has: sku, day"),
        ({"project": keyless}, r"Keyless has no field 'sku'.*keys=.*split="),
        ({"project": wrong_route}, r"'recorded' is not annotated as Recorded"),
        ({"project": [sold, twice]}, r"Sold is taken by sold and by twice"),
        ({"keys": {Keyless: "many"}}, r"keys= names Keyless, which project does not take"),
        ({"keys": {Returned: "article"}}, r"the key of Returned has 1 fields, the row's 2"),
        ({"version": 0}, r"version 0; versions begin at 1"),
    ],
)
def test_what_does_not_fit_is_said_in_words(arguments: dict[str, Any], words: str) -> None:
    plain: dict[str, Any] = {
        "project": [sold, returned],
        "key": ("sku", "day"),
        "keys": KEYS,
    }
    if arguments.get("project") is not None:
        plain.pop("keys")
    with pytest.raises(WiringError, match=words) as error:
        View(Demand, **plain | arguments)
    assert str(error.value).endswith(".")
