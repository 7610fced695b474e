"""Messages to JSON and back: what is refused at the door, and what an old event may look like."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, Struct

from diptych import BadResult, InvalidMessage, WiringError
from diptych.errors import DiptychError, MessageTooLarge
from diptych.log.codec import EventCodec, from_micros, to_micros
from diptych.log.messages import MessageType
from diptych.log.names import Names
from diptych.log.port import StoredEvent


class Kind(Enum):
    BIG = "big"
    SMALL = "small"


@dataclass(frozen=True)
class Line:
    sku: str
    price: Decimal


@dataclass(frozen=True)
class Order:
    id: UUID
    lines: tuple[Line, ...]
    at: datetime
    weight: float | None = None
    kind: Kind = Kind.BIG
    note: Annotated[str, Meta(max_length=5)] = ""
    more: dict[str, Any] | None = None


NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
order = MessageType(Order, "order")


def an_order(**changes: Any) -> Order:
    plain: dict[str, Any] = {"id": UUID(int=1), "lines": (), "at": NOON}
    return Order(**plain | changes)


def test_what_comes_back_is_what_went_in() -> None:
    sent = an_order(lines=(Line("a", Decimal("1.10")),), weight=0.5, more={"x": [1, None]})
    checked, data = order.check(sent)
    assert checked == sent
    assert order.decode(data) == sent


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"weight": float("nan")}, "weight"),
        ({"weight": float("inf")}, "weight"),
        ({"weight": "1"}, "weight"),
        ({"at": datetime(2026, 7, 1)}, "at"),  # noqa: DTZ001
        ({"lines": (Line("a", Decimal("NaN")),)}, "lines[0].price"),
        ({"lines": (Line("a", Decimal(1)), Line(5, Decimal(1)))}, "lines[1].sku"),  # type: ignore[arg-type]
        ({"note": "longer"}, "note"),
        ({"kind": "huge"}, "kind"),
        ({"more": {"a": [float("nan")]}}, "more['a'][0]"),
        ({"more": {"a": datetime(2026, 7, 1)}}, "more['a']"),  # noqa: DTZ001
        ({"note": "\ud800"}, ""),
        ({"more": {"\ud800": 1}}, ""),
        ({"more": {"a": object()}}, ""),
        ({"id": "no uuid"}, "id"),
    ],
    ids=repr,
)
def test_what_json_would_bend_is_refused_with_its_field(
    changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidMessage) as error:
        order.check(an_order(**changes))
    assert error.value.field == field
    assert str(error.value).endswith("Correct it and send the message again.")


def test_a_circle_is_refused() -> None:
    around: dict[str, Any] = {}
    around["again"] = around
    with pytest.raises(InvalidMessage):
        order.check(an_order(more=around))


def test_post_init_is_run_on_what_comes_back() -> None:
    @dataclass(frozen=True)
    class Positive:
        number: int

        def __post_init__(self) -> None:
            if self.number < 1:
                raise ValueError(f"{self.number} is not positive")

    message = MessageType(Positive, "positive")
    broken = object.__new__(Positive)
    object.__setattr__(broken, "number", -1)
    with pytest.raises(InvalidMessage, match="-1 is not positive"):
        message.check(broken)


def test_a_fingerprint_tells_commands_apart_and_equal_ones_together() -> None:
    def fingerprint(message: Order) -> bytes:
        return order.fingerprint(order.check(message)[1])

    one = fingerprint(an_order(more={"a": 1, "b": 2}))
    assert one == fingerprint(an_order(more={"b": 2, "a": 1}))
    assert one != fingerprint(an_order(more={"a": 1, "b": 3}))
    data = order.check(an_order())[1]
    assert order.fingerprint(data) != MessageType(Order, "other").fingerprint(data)
    assert len(one) == 16


class Node(Struct, frozen=True):
    children: tuple["Node", ...] = ()  # noqa: UP037


def test_a_shape_is_made_of_names_and_stored_forms() -> None:
    assert order.shape() == {
        "id": "uuid",
        "lines": "[{sku: str, price: decimal}]",
        "at": "datetime",
        "weight": "float | none?",
        "kind": "'big' | 'small'?",
        "note": "str?",
        "more": "none | {str: any}?",
    }
    assert MessageType(Node, "node").shape() == {"children": "[Node]?"}


@dataclass(frozen=True)
class Choice:
    either: Line | Order


class Plain:
    def __init__(self, x: int) -> None:
        self.x = x


@pytest.mark.parametrize("wrong", [Choice, Plain, int, str, dict])
def test_a_class_that_cannot_be_a_message_is_named(wrong: type) -> None:
    with pytest.raises(WiringError, match=rf"{wrong.__name__} cannot be a message.*Use a"):
        MessageType(wrong, "wrong")


@given(st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_moments_are_kept_to_the_microsecond(moment: datetime) -> None:
    assert from_micros(to_micros(moment)) == moment


def decide() -> None: ...


# --- events -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Moved:
    to: str
    steps: int = 1


@dataclass(frozen=True)
class Stopped:
    why: Literal["tired", "there"]


def renamed(fields: dict[str, Any]) -> dict[str, Any]:
    return {"to": fields["target"]}


def upper(fields: dict[str, Any]) -> dict[str, Any]:
    return {**fields, "to": fields["to"].upper()}


def codec(limit: int = 1000, **chains: Any) -> EventCodec:
    return EventCodec([Moved, Stopped], Names({}), chains, limit)


def stored(name: str, data: str, schema: int = 1) -> StoredEvent:
    return StoredEvent(7, "t", "walk:1", 3, name, schema, data, to_micros(NOON), "c", "r", "ada")


def test_an_event_is_stored_under_its_name_in_todays_schema() -> None:
    event, new = codec(moved=[renamed, upper]).encode(Moved("x", 2), decide)
    assert (event, new.name, new.schema) == (Moved("x", 2), "moved", 3)
    assert msgspec.json.decode(new.data) == {"to": "x", "steps": 2}


def test_an_old_shape_is_lifted_step_by_step() -> None:
    events = codec(moved=[renamed, upper])
    assert events.decode(stored("moved", '{"target":"x"}', 1)) == Moved("X")
    assert events.decode(stored("moved", '{"to":"x"}', 2)) == Moved("X")
    assert events.decode(stored("moved", '{"to":"x"}', 3)) == Moved("x")


def test_unknown_fields_of_a_stored_event_are_tolerated() -> None:
    assert codec().decode(stored("moved", '{"to":"x","new":[1]}')) == Moved("x")


def test_a_recorded_event_has_what_the_log_knows() -> None:
    recorded = codec().recorded(stored("moved", '{"to":"x"}'))
    assert recorded.event == Moved("x")
    assert (recorded.position, recorded.stream, recorded.version) == (7, "walk:1", 3)
    assert (recorded.tenant, recorded.principal, recorded.time) == ("t", "ada", NOON)
    assert (recorded.causation_id, recorded.correlation_id) == ("c", "r")


def test_an_event_that_nobody_knows_is_its_fields() -> None:
    recorded = codec().recorded(stored("vanished", '{"a":1}'))
    assert (recorded.event, recorded.name) == ({"a": 1}, "vanished")


@pytest.mark.parametrize(
    "data",
    [
        '{"to":5}',
        "{}",
        "[]",
        '{"to":"x","steps":"y"}',
        "no json",
    ],
)
def test_a_stored_event_that_does_not_fit_is_named(data: str) -> None:
    with pytest.raises(DiptychError, match=r"moved"):
        codec().decode(stored("moved", data))


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (
            Line("a", Decimal(1)),
            r"decide returned Line, which no evolve here takes \(known: Moved, S",
        ),
        (Moved(5), r"decide returned an event that cannot be kept: moved: field 'to'"),  # type: ignore[arg-type]
        (Stopped("bored"), r"cannot be kept: stopped: field 'why'"),  # type: ignore[arg-type]
        (Moved("\ud800"), r"cannot be kept"),
    ],
)
def test_what_is_no_event_is_refused(event: Any, words: str) -> None:
    with pytest.raises(BadResult, match=words):
        codec().encode(event, decide)


def test_an_event_over_the_limit_is_refused() -> None:
    with pytest.raises(MessageTooLarge, match=r"moved: 1\d\d bytes, the limit is 100"):
        codec(limit=100).encode(Moved("x" * 100), decide)


def test_tags_of_several_boundaries_come_together_each_once() -> None:
    events = codec()
    events.tag(Moved, lambda event: [event.to, "all"])
    events.tag(Moved, lambda event: ["all", "b"])
    assert events.encode(Moved("x"), decide)[1].tags == ("x", "all", "b")
    assert events.encode(Stopped("there"), decide)[1].tags == ()


def test_upcasts_of_an_event_that_is_not_there_are_a_slip() -> None:
    with pytest.raises(WiringError, match=r"no event is named 'movd' here.*moved, stopped"):
        codec(movd=[renamed])


def test_other_values_keep_their_exact_form() -> None:
    @dataclass(frozen=True)
    class Exact:
        day: date
        span: timedelta
        price: Decimal
        raw: bytes

    exact = Exact(date(2026, 7, 1), timedelta(microseconds=1), Decimal("1.10"), b"\x00\xff")
    checked, _ = MessageType(Exact, "exact").check(exact)
    assert checked == exact
    assert str(checked.price) == "1.10"
