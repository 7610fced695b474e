"""Pydantic models at the door: kept as dataclasses of the same fields are, refused as they are."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from ipaddress import IPv4Address
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar, get_type_hints
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Meta, Struct
from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    EmailStr,
    Field,
    HttpUrl,
    PastDate,
    PrivateAttr,
    RootModel,
    computed_field,
    create_model,
    field_serializer,
    field_validator,
    model_validator,
)
from pydantic.dataclasses import dataclass as pydantic_dataclass
from pydantic_core import core_schema

from diptych import BadResult, InvalidMessage
from diptych.errors import MessageTooLarge, SchemaChanged, StoreCorrupt
from diptych.log.codec import EventCodec, to_micros
from diptych.log.messages import MessageType
from diptych.log.names import Names
from diptych.log.port import StoredEvent
from tests.contract.view_rows import Everything, everythings
from tests.integration import model_pots
from tests.unit.test_stored_names import GOLDEN


class Kind(Enum):
    BIG = "big"
    SMALL = "small"


class Line(BaseModel):
    sku: str
    price: Decimal


class Order(BaseModel):
    model_config = ConfigDict(frozen=True)

    id: UUID
    lines: tuple[Line, ...]
    at: datetime
    weight: float | None = Field(default=None, gt=0)
    kind: Kind = Kind.BIG
    note: Annotated[str, Field(max_length=5)] = ""
    more: dict[str, Any] | None = None


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=6)
    | st.binary(max_size=3)
    | st.decimals()
    | st.datetimes(timezones=st.none() | st.just(UTC))
    | st.uuids()
    | st.sampled_from(Kind)
    | st.builds(Line.model_construct, sku=st.text(max_size=2), price=st.decimals() | st.text()),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=4,
)

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
order = MessageType(Order, "order")


def an_order(**changes: Any) -> Order:
    """Changed without validation, as only the door can tell."""
    return Order(id=UUID(int=1), lines=(), at=NOON).model_copy(update=changes)


def field_of(message: Any) -> str:
    """The field that the door refuses."""
    with pytest.raises(InvalidMessage) as error:
        MessageType(type(message), "message").check(message)
    assert str(error.value).endswith("Correct it and send the message again.")
    return error.value.field


def kept(message: Any) -> tuple[Any, Any]:
    """What the door gives, and what is stored."""
    checked, data = MessageType(type(message), "message").check(message)
    return checked, json.loads(data)


class TestForm:
    def test_what_comes_back_is_what_went_in(self) -> None:
        line = Line(sku="a", price=Decimal("1.10"))
        sent = an_order(lines=(line,), weight=0.5, more={"x": [1, None]})
        checked, data = order.check(sent)
        assert checked == sent
        assert checked is not sent
        assert order.decode(data) == sent
        assert order.convert(json.loads(data)) == sent
        assert order.decode_list(b"[" + data + b"]") == [sent]

    @settings(max_examples=200, deadline=None)
    @given(row=everythings)
    def test_a_model_is_kept_as_the_dataclass_of_its_fields(self, row: Everything) -> None:
        model = same_as(row)
        form = MessageType(type(model), "everything")
        checked, data = form.check(model)
        assert data == everything.check(row)[1]
        assert checked == model
        assert form.shape() == everything.shape()

    def test_shapes_and_fingerprints_are_those_of_the_dataclasses_before(self) -> None:
        golden = json.loads(GOLDEN.read_text())
        shapes = {
            (stamp["kind"], stamp["name"]): stamp["shape"] | {"(key)": None}
            for stamp in golden["stamps"]
        }
        for name, model in [
            (("event", "pot.added"), model_pots.Added),
            (("event", "removed"), model_pots.Removed),
            (("view", "total@1"), model_pots.Total),
        ]:
            assert MessageType(model, "x").shape() | {"(key)": None} == shapes[name]
        messages = {one["class"]: one for one in golden["messages"]}
        for message in [
            model_pots.Put(pot="a", cents=1),
            model_pots.Take(pot="ä", amount=2),
            model_pots.Added(pot="a", amount=1, seen=2, upon="x", mark="y"),
            model_pots.Removed(pot="a", amount=1),
            model_pots.TotalOf(pot="a"),
            model_pots.AllTotals(),
        ]:
            name = type(message).__name__
            form = MessageType(type(message), name.lower())
            data = form.check(message)[1]
            assert data.decode() == messages[name]["data"]
            assert form.fingerprint(data).hex() == messages[name]["fingerprint"]

    def test_a_shape_is_made_of_names_and_stored_forms(self) -> None:
        assert order.shape() == {
            "id": "uuid",
            "lines": "[{sku: str, price: decimal}]",
            "at": "datetime",
            "weight": "float | none?",
            "kind": "'big' | 'small'?",
            "note": "str?",
            "more": "none | {str: any}?",
        }
        assert MessageType(Node, "node").shape() == {"children": "[Node]?", "left": "Node | none?"}
        assert MessageType(Owner, "owner").shape() == {
            "pet": "{kind: 'cat', lives: int?} | {kind: 'dog', kennel: bytes?}",
            "others": "[{kind: 'cat', lives: int?} | {kind: 'dog', kennel: bytes?}]?",
            "maybe": "none | {kind: 'cat', lives: int?} | {kind: 'dog', kennel: bytes?}?",
        }

    def test_fields_are_kept_under_their_own_names_in_their_own_form(self) -> None:
        class Dressed(BaseModel):
            model_config = ConfigDict(alias_generator=str.upper, ser_json_bytes="hex")

            seats: int = Field(alias="Plätze", serialization_alias="sitze")
            raw: bytes = b"\xff"
            hidden: int = Field(default=1, exclude=True)
            price: Decimal = Decimal("1.10")

            @field_serializer("price")
            def rounded(self, price: Decimal) -> str:
                return f"{price:.0f} EUR"

            @computed_field  # type: ignore[prop-decorator]
            @property
            def twice(self) -> int:
                return 2 * self.seats

        sent = Dressed.model_validate({"Plätze": 2})
        assert kept(sent) == (sent, {"seats": 2, "raw": "/w==", "hidden": 1, "price": "1.10"})

    def test_unknown_fields_of_a_stored_message_are_tolerated(self) -> None:
        class Strict(BaseModel):
            model_config = ConfigDict(extra="forbid", strict=True)

            at: AwareDatetime
            ids: tuple[UUID, ...] = ()

        form = MessageType(Strict, "strict")
        sent = Strict(at=NOON, ids=(UUID(int=1),))
        _, data = form.check(sent)
        assert form.decode(data[:-1] + b',"newer":[1]}') == sent
        assert form.convert(json.loads(data) | {"newer": 1}) == sent

    def test_private_attributes_are_made_anew(self) -> None:
        class Private(BaseModel):
            seats: int
            _twice: int = PrivateAttr(default=0)

            def model_post_init(self, context: Any) -> None:
                self._twice = 2 * self.seats

        checked, data = kept(Private(seats=2))
        assert (checked._twice, data) == (4, {"seats": 2})

    def test_fields_that_nobody_gave_are_kept_as_they_are_now(self) -> None:
        checked, data = kept(an_order())
        assert data["kind"] == "big"
        assert "kind" in checked.model_fields_set


everything = MessageType(Everything, "everything")
EverythingModel: Any = create_model(
    "Everything",
    __config__=ConfigDict(frozen=True),
    **{name: (hint, ...) for name, hint in get_type_hints(Everything).items()},  # type: ignore[call-overload]
)


def same_as(row: Everything) -> Any:
    """The model of the same values; a dataclass inside stays one."""
    values = {field.name: getattr(row, field.name) for field in dataclasses.fields(row)}
    return EverythingModel(**values)


class TestDoor:
    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"weight": float("nan")}, "weight"),
            ({"weight": float("inf")}, "weight"),
            ({"weight": "1"}, "weight"),
            ({"weight": -1.0}, "weight"),
            ({"at": datetime(2026, 7, 1)}, "at"),  # noqa: DTZ001
            ({"lines": (Line.model_construct(sku=5, price=Decimal(1)),)}, "lines[0].sku"),
            ({"lines": (Line.model_construct(sku="a", price=Decimal("NaN")),)}, "lines[0].price"),
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
    def test_what_json_would_bend_and_what_pydantic_refuses_is_told_with_its_field(
        self, changes: dict[str, Any], field: str
    ) -> None:
        assert field_of(an_order(**changes)) == field

    def test_a_path_leads_through_models_and_dataclasses(self) -> None:
        wrong = Line.model_construct(sku=5, price=Decimal(1))
        good = Line(sku="a", price=Decimal(1))
        assert field_of(an_order(lines=(good, wrong))) == "lines[1].sku"
        assert field_of(Holder(1, wrong, [good])) == "one.sku"
        assert field_of(Holder(1, good, [good, wrong])) == "many[1].sku"
        assert field_of(Held(1, wrong)) == "one.sku"
        assert field_of(Outer.model_construct(holder=Holder(1, good, [wrong]))) == (
            "holder.many[0].sku"
        )
        assert field_of(Outer.model_construct(holder=Holder(0, good, []))) == "holder.number"

    def test_a_missing_field_is_named(self) -> None:
        with pytest.raises(InvalidMessage, match="missing required field `lines`"):
            order.check(Order.model_construct(id=UUID(int=1), at=NOON))

    def test_a_validator_s_reason_is_told_in_its_words(self) -> None:
        class Range(BaseModel):
            first: int
            last: int

            @field_validator("first")
            @classmethod
            def positive(cls, value: int) -> int:
                if value < 1:
                    raise AssertionError("not positive")
                return value

            @model_validator(mode="after")
            def in_order(self) -> Range:
                if self.last < self.first:
                    raise ValueError("it ends before it begins")
                return self

        for values, field, reason in [
            ({"first": 0, "last": 1}, "first", "not positive"),
            ({"first": 2, "last": 1}, "", "it ends before it begins"),
        ]:
            with pytest.raises(InvalidMessage) as error:
                MessageType(Range, "range").check(Range.model_construct(**values))
            assert (error.value.field, error.value.reason) == (field, reason)

    def test_items_of_containers_are_named(self) -> None:
        class Tagged(BaseModel):
            tags: dict[str, list[Annotated[str, Field(min_length=2)]]]
            either: Annotated[int, Field(gt=0)] | str = 1

        assert field_of(Tagged.model_construct(tags={"a": ["bc", "d"]})) == "tags.a[1]"
        assert field_of(Tagged.model_construct(tags={}, either=-1)) == "either"

    def test_what_a_validator_makes_even_is_decided_and_fingerprinted_even(self) -> None:
        class Named(BaseModel):
            name: str
            number: int = 0

            @field_validator("name")
            @classmethod
            def stripped(cls, name: str) -> str:
                return name.strip().lower()

        form = MessageType(Named, "named")
        even, data = form.check(Named(name="Ada", number=1))
        uneven, same = form.check(Named.model_construct(name=" ADA ", number=1))
        assert even == uneven == form.decode(data)
        assert data == same == b'{"name":"ada","number":1}'

    def test_a_validator_that_changes_what_it_gave_is_refused(self) -> None:
        for message in [Taxed(price=1), Bill(Taxed(price=1))]:
            with pytest.raises(InvalidMessage, match="they must leave what they gave"):
                kept(message)

    @settings(max_examples=300, deadline=None)
    @given(values=st.fixed_dictionaries({}, optional=dict.fromkeys(Order.model_fields, anything)))
    def test_whatever_passes_is_read_again_as_it_was_decided(self, values: Any) -> None:
        sent = Order.model_construct(**{"id": UUID(int=1), "lines": (), "at": NOON} | values)
        try:
            checked, data = order.check(sent)
        except InvalidMessage:
            return
        assert order.decode(data) == checked
        assert order.check(checked) == (checked, data)
        assert Order.model_validate(checked.model_dump()) == checked

    def test_what_the_caller_holds_is_not_what_is_decided(self) -> None:
        class Basket(BaseModel):
            skus: list[str]

        sent = Basket(skus=["a"])
        checked, _ = kept(sent)
        sent.skus.append("b")
        assert checked == Basket(skus=["a"])

    def test_an_object_of_a_subclass_is_kept_as_what_the_field_says(self) -> None:
        class Dear(Line):
            because: str = "?"

        checked, data = kept(an_order(lines=(Dear(sku="a", price=Decimal(9)),)))
        assert checked.lines == (Line(sku="a", price=Decimal(9)),)
        assert data["lines"] == [{"sku": "a", "price": "9"}]


@dataclass(frozen=True)
class Holder:
    number: Annotated[int, Meta(gt=0)]
    one: Line
    many: list[Line]


class Held(Struct, frozen=True):
    number: int
    one: Line | None


class Taxed(BaseModel):
    price: int

    @field_validator("price")
    @classmethod
    def more(cls, price: int) -> int:
        return price + 1


@dataclass(frozen=True)
class Bill:
    taxed: Taxed


class Outer(BaseModel):
    holder: Holder


class Node(BaseModel):
    children: tuple[Node, ...] = ()
    left: Node | None = None


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = Field(default=9, ge=0)


class Dog(BaseModel):
    kind: Literal["dog"]
    kennel: bytes = b""


Pet = Annotated[Cat | Dog, Field(discriminator="kind")]


class Owner(BaseModel):
    pet: Cat | Dog = Field(discriminator="kind")
    others: list[Pet] = []
    maybe: Annotated[Cat | Dog | None, Field(discriminator="kind")] = None


class Big(BaseModel):
    kind: Literal[Kind.BIG] = Kind.BIG


class Small(BaseModel):
    kind: Literal[Kind.SMALL] = Kind.SMALL
    really: Literal[True] = True


class Case(BaseModel):
    content: Big | Small = Field(discriminator="kind")


class Prices(RootModel[list[Decimal]]):
    pass


@pydantic_dataclass(frozen=True)
class Seat:
    row: str
    number: Annotated[int, Field(gt=0)]
    inner: Seat | None = None
    site: HttpUrl | None = None
    note: str = Field(default="", alias="Notiz")


class Seats(BaseModel):
    seats: dict[str, Seat]


T = TypeVar("T")


class Page(BaseModel, Generic[T]):
    items: list[T]


class Sized(Struct, frozen=True):
    size: int


class Loose(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True, use_enum_values=True)

    sized: Sized
    kinds: list[Kind] = []


class Code:
    """A class of one's own, whose validator takes text only."""

    def __init__(self, text: str) -> None:
        self.text = text.strip().upper()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Code) and other.text == self.text

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        return core_schema.no_info_after_validator_function(
            cls,
            core_schema.str_schema(),
            serialization=core_schema.plain_serializer_function_ser_schema(
                attrgetter("text"), return_schema=core_schema.str_schema()
            ),
        )


class Coded(BaseModel):
    code: Code
    by_code: list[Code | None] = []


class StrictLeaves(BaseModel):
    model_config = ConfigDict(strict=True)

    path: Path
    address: IPv4Address
    site: HttpUrl


class Leaves(BaseModel):
    url: HttpUrl = HttpUrl("https://example.org/")
    path: Path = Path("/tmp")
    addresses: tuple[IPv4Address, ...] = ()
    born: PastDate | None = None
    at: AwareDatetime | None = None
    anything: object = None


class TestWhatMayBeInside:
    @pytest.mark.parametrize(
        ("message", "stored"),
        [
            (
                Holder(1, Line(sku="a", price=Decimal(1)), []),
                {"number": 1, "one": {"sku": "a", "price": "1"}, "many": []},
            ),
            (
                Held(1, Line(sku="a", price=Decimal(1))),
                {"number": 1, "one": {"sku": "a", "price": "1"}},
            ),
            (Held(1, None), {"number": 1, "one": None}),
            (
                Outer(holder=Holder(1, Line(sku="a", price=Decimal(1)), [])),
                {"holder": {"number": 1, "one": {"sku": "a", "price": "1"}, "many": []}},
            ),
            (
                Node(children=(Node(), Node(left=Node()))),
                {
                    "children": [
                        {"children": [], "left": None},
                        {"children": [], "left": {"children": [], "left": None}},
                    ],
                    "left": None,
                },
            ),
            (
                Owner(pet=Dog(kind="dog", kennel=b"\xff"), others=[Cat(kind="cat")]),
                {
                    "pet": {"kind": "dog", "kennel": "/w=="},
                    "others": [{"kind": "cat", "lives": 9}],
                    "maybe": None,
                },
            ),
            (Page[Line](items=[Line(sku="a", price=1)]), {"items": [{"sku": "a", "price": "1"}]}),
            (Page[Prices](items=[Prices([Decimal("1.0")])]), {"items": [["1.0"]]}),
            (
                Seat("a", 1, Seat("b", 2), HttpUrl("https://a.b/")),
                {
                    "row": "a",
                    "number": 1,
                    "inner": {"row": "b", "number": 2, "inner": None, "site": None, "note": ""},
                    "site": "https://a.b/",
                    "note": "",
                },
            ),
            (
                Seats(seats={"x": Seat("a", 1)}),
                {
                    "seats": {
                        "x": {"row": "a", "number": 1, "inner": None, "site": None, "note": ""}
                    }
                },
            ),
            (Case(content=Small()), {"content": {"kind": "small", "really": True}}),
            (Loose(sized=Sized(1), kinds=[Kind.BIG]), {"sized": {"size": 1}, "kinds": ["big"]}),
            (
                Coded(code="x1", by_code=["y", None]),
                {"code": "X1", "by_code": ["Y", None]},
            ),
            (
                StrictLeaves(
                    path=Path("/tmp"),
                    address=IPv4Address("127.0.0.1"),
                    site=HttpUrl("https://a.b/"),
                ),
                {"path": "/tmp", "address": "127.0.0.1", "site": "https://a.b/"},
            ),
            (
                Leaves(addresses=(IPv4Address("127.0.0.1"),), born="2020-02-29", at=NOON),
                {
                    "url": "https://example.org/",
                    "path": "/tmp",
                    "addresses": ["127.0.0.1"],
                    "born": "2020-02-29",
                    "at": "2026-07-01T12:00:00Z",
                    "anything": None,
                },
            ),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_it_comes_back_as_it_was(self, message: Any, stored: dict[str, Any]) -> None:
        assert kept(message) == (message, stored)
        form = MessageType(type(message), "message")
        assert form.convert(stored) == message
        assert form.decode(json.dumps(stored)) == message

    def test_constraints_inside_hold_at_the_door(self) -> None:
        cat = Cat.model_construct(kind="cat", lives=-1)
        assert field_of(Owner.model_construct(pet=cat)) == "pet.lives"
        assert field_of(Owner.model_construct(pet=Cat.model_construct(kind="fish"))) == "pet.kind"
        assert field_of(Owner.model_construct(pet=5)) == "pet"
        odd = Cat.model_construct(kind=["cat"])
        assert field_of(Owner.model_construct(pet=odd)) == "pet.kind"
        wrong = Small.model_construct(kind=Kind.BIG)
        assert field_of(Page[Small].model_construct(items=[wrong])) == "items[0].kind"
        seat = Seat("a", 1)
        object.__setattr__(seat, "number", 0)
        assert field_of(seat) == "number"
        assert field_of(Seats.model_construct(seats={"x": seat})).endswith(".number")
        assert field_of(Leaves.model_construct(url="no url")) == "url"
        assert field_of(Page[Prices].model_construct(items=[Prices.model_construct("x")])) == (
            "items[0]"
        )

    def test_types_of_pydantic_s_have_the_shape_of_what_is_stored(self) -> None:
        assert MessageType(Leaves, "leaves").shape() == {
            "url": "str?",
            "path": "str?",
            "addresses": "[str]?",
            "born": "date | none?",
            "at": "datetime | none?",
            "anything": "any?",
        }

    def test_a_naive_time_is_refused_inside_a_root_as_well(self) -> None:
        naive = RootModel[list[datetime]]([datetime(2026, 7, 1)])  # noqa: DTZ001
        assert field_of(Page[Any](items=[naive])) == "items[0].root[0]"

    def test_e_mail_addresses_are_text(self) -> None:
        from diptych.log.pydantic_hooks import Models
        from diptych.log.pydantic_model import Place

        assert Models().take(Place(list[EmailStr], "mails")) == list[str]

    def test_a_time_of_another_zone_keeps_it(self) -> None:
        tokyo = NOON.astimezone(timezone(timedelta(hours=9)))
        checked, _ = kept(an_order(at=tokyo))
        assert checked.at.utcoffset() == timedelta(hours=9)


class Moved(BaseModel):
    to: str = Field(min_length=1)
    steps: int = 1


def decide() -> None: ...


def renamed(fields: dict[str, Any]) -> dict[str, Any]:
    return {"to": fields["target"]}


def codec(limit: int = 1000, **chains: Any) -> EventCodec:
    return EventCodec([Moved, Order], Names({}), chains, limit)


def stored(data: str, schema: int = 1) -> StoredEvent:
    return StoredEvent(7, "t", "walk:1", 3, "moved", schema, data, to_micros(NOON), "c", "r", "ada")


class TestEvents:
    def test_an_event_is_stored_and_read(self) -> None:
        event, new = codec().encode(Moved(to="x", steps=2), decide)
        assert (event, new.data) == (Moved(to="x", steps=2), '{"to":"x","steps":2}')
        assert codec().decode(stored(new.data)) == event
        assert codec().recorded(stored('{"to":"x","newer":1}')).event == Moved(to="x")

    def test_an_old_shape_is_lifted(self) -> None:
        assert codec(moved=[renamed]).decode(stored('{"target":"x"}')) == Moved(to="x")
        with pytest.raises(SchemaChanged, match=r"at least 1 character.*`\$\.to`"):
            codec(moved=[renamed]).decode(stored('{"target":""}'))

    @pytest.mark.parametrize("data", ['{"to":5}', '{"to":""}', "{}", "[]", '{"to":"x","steps":""}'])
    def test_a_stored_event_that_does_not_fit_is_named(self, data: str) -> None:
        with pytest.raises(SchemaChanged, match="'moved' at position 7"):
            codec().decode(stored(data))
        with pytest.raises(StoreCorrupt):
            codec().decode(stored("no json"))

    def test_an_event_that_breaks_its_constraints_is_not_stored(self) -> None:
        with pytest.raises(BadResult, match="cannot be kept: moved: field 'to': String should"):
            codec().encode(Moved.model_construct(to=""), decide)
        with pytest.raises(MessageTooLarge):
            codec(limit=10).encode(Moved(to="x" * 10), decide)
