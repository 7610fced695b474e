"""Pure functions are tried on made-up examples: what is found, and what is left alone."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from msgspec import Meta, Struct
from pydantic import BaseModel, Field
from sqlalchemy import Column, Integer, MetaData, String, Table, insert

from diptych import (
    App,
    Boundary,
    Context,
    Decider,
    EventSourced,
    Projection,
    Recorded,
    Refused,
    View,
    replica,
)
from diptych.log.messages import message_type
from diptych.ops.findings import Finding
from diptych.ops.sampling import CannotSample, Sampler
from diptych.ops.trying import Trial, same


@dataclass(frozen=True)
class Put:
    pot: str
    amount: Annotated[int, Meta(gt=0)]


@dataclass(frozen=True)
class PutIn:
    pot: str
    amount: int


@dataclass(frozen=True)
class Pot:
    amount: int = 0


@dataclass
class Bag:
    marks: list[str] = field(default_factory=list[str])


def decide(command: Put, pot: Pot) -> list[PutIn]:
    return [PutIn(command.pot, command.amount)]


def evolve(pot: Pot, event: PutIn) -> Pot:
    return replace(pot, amount=pot.amount + event.amount)


@dataclass(frozen=True)
class Sum:
    pot: str
    amount: int


def found(*models: Any, read: Any = ()) -> dict[str, str]:
    """Code and name of the function, of what was found."""
    app = App("pots", write=models, read=read)
    findings: list[Finding] = list(Trial().run(app.wiring))
    return {one.code: one.subject.rpartition(".")[2] for one in findings}


def pots(decide: Any = decide, evolve: Any = evolve, initial: Any = None, **more: Any) -> Any:
    decider = Decider(Pot() if initial is None else initial, decide, evolve)
    return EventSourced("pot", decider, key="pot", **more)


def test_good_functions_give_no_finding() -> None:
    def project(row: Sum | None, event: PutIn) -> Sum:
        return Sum(event.pot, event.amount + (0 if row is None else row.amount))

    assert found(pots(), read=[View(Sum, project, key="pot")]) == {}


def test_an_evolve_that_changes_its_state_is_found() -> None:
    def collect(bag: Bag, event: PutIn) -> Bag:
        bag.marks.append(event.pot)
        return bag

    def put(command: Put, bag: Bag) -> list[PutIn]:
        return [PutIn(command.pot, 1)]

    assert found(pots(put, collect, Bag())) == {"mutating-evolve": "collect"}


def test_a_decide_that_changes_its_state_is_found() -> None:
    def put(command: Put, bag: Bag) -> list[PutIn]:
        bag.marks.clear()
        bag.marks.append("seen")
        return [PutIn(command.pot, 1)]

    def keep(bag: Bag, event: PutIn) -> Bag:
        return Bag([*bag.marks, event.pot])

    assert found(pots(put, keep, Bag())) == {"mutating-decide": "put"}


def test_a_project_that_changes_a_row_is_found() -> None:
    @dataclass
    class Marks:
        pot: str
        marks: list[int]

    def project(row: Marks | None, event: PutIn) -> Marks:
        if row is None:
            return Marks(event.pot, [])
        row.marks.append(event.amount)
        return row

    project.__annotations__ = {"row": Marks | None, "event": PutIn}
    assert found(pots(), read=[View(Marks, project, key="pot")]) == {"mutating-project": "project"}


def test_a_function_that_asks_a_clock_or_counts_by_itself_is_found() -> None:
    numbers = itertools.count()

    def put(command: Put, pot: Pot) -> list[PutIn]:
        return [PutIn(command.pot, next(numbers))]

    def evolve(pot: Pot, event: PutIn) -> Pot:
        return Pot(datetime.now(UTC).microsecond + next(numbers))

    assert found(pots(put, evolve)) == {
        "nondeterministic-decide": "put",
        "nondeterministic-evolve": "evolve",
    }


def test_time_and_ids_from_the_context_are_no_finding() -> None:
    def put(command: Put, pot: Pot, at: Context) -> list[PutIn]:
        return [PutIn(at.new_id("pot"), at.now.day)]

    def evolve(pot: Pot, event: PutIn, recorded: Recorded[PutIn]) -> Pot:
        return Pot(recorded.position)

    assert found(pots(put, evolve)) == {}


def test_a_refusal_is_an_answer() -> None:
    def put(command: Put, pot: Pot) -> list[PutIn]:
        raise Refused("closed")

    assert found(pots(put)) == {}


def test_what_raises_on_every_example_could_not_be_tried() -> None:
    def put(command: Put, pot: Pot) -> list[PutIn]:
        raise LookupError(command.pot)

    assert found(pots(put)) == {"not-tried": "put"}


def test_what_raises_on_some_examples_was_tried_on_the_others() -> None:
    def put(command: Put, pot: Pot) -> list[PutIn]:
        if command.amount > 2:
            raise LookupError(command.pot)
        return [PutIn(command.pot, 1)]

    assert found(pots(put)) == {}


def test_a_message_that_cannot_be_made_up_is_told() -> None:
    @dataclass(frozen=True)
    class Named:
        pot: Annotated[str, Meta(pattern="^[A-Z]{3}$")]

    def put(command: Named, pot: Pot) -> list[PutIn]:
        return []

    put.__annotations__ = {"command": Named, "pot": Pot}
    assert found(pots(put)) == {"not-tried": "put"}


def test_prepare_tags_and_split_are_tried_too() -> None:
    numbers = itertools.count()

    def prepare(command: Put) -> Put:
        return replace(command, amount=next(numbers) + 1)

    def tags(event: PutIn) -> list[str]:
        return [f"pot:{next(numbers)}"]

    def reads(command: Put) -> list[str]:
        return ["pot:a"]

    def split(event: PutIn) -> list[PutIn]:
        return [replace(event, amount=next(numbers))]

    def project(row: Sum | None, event: PutIn) -> Sum:
        return Sum(event.pot, 1)

    boundary = Boundary(
        "pots", Decider(Pot(), decide, evolve), reads=reads, tags=tags, prepare=prepare
    )
    view = View(Sum, project, key="pot", split=split)
    assert set(found(boundary, read=[view])) == {
        "nondeterministic-prepare",
        "nondeterministic-tags",
        "nondeterministic-split",
    }


def test_statements_of_projections_are_compared_by_what_they_say() -> None:
    numbers = itertools.count()
    metadata = MetaData()
    sums = Table("sums", metadata, Column("pot", String, primary_key=True), Column("n", Integer))

    def good(event: PutIn) -> list[Any]:
        return [insert(sums).values(pot=event.pot, n=event.amount)]

    def bad(event: PutIn) -> Iterator[Any]:
        yield insert(sums).values(pot=event.pot, n=next(numbers))

    assert found(pots(), read=[Projection("sums", good, tables=metadata)]) == {}
    assert found(pots(), read=[Projection("sums", bad, tables=metadata)]) == {
        "nondeterministic-project": "bad"
    }


def test_a_replica_is_tried_through_the_models_own_evolve() -> None:
    @dataclass(frozen=True)
    class Kept:
        amount: int = 0

    def keep(kept: Kept, event: PutIn) -> Kept:
        return Kept(kept.amount + event.amount)

    def put(command: Put, kept: Kept) -> list[PutIn]:
        return [PutIn(command.pot, 1)]

    keep.__annotations__ = {"kept": Kept, "event": PutIn}
    model = pots(put, keep, Kept())
    assert found(model, read=[replica(model)]) == {}


def test_states_without_an_equal_of_their_own_are_compared_by_what_is_in_them() -> None:
    class Plain:
        def __init__(self, amount: int) -> None:
            self.amount = amount

    assert same(Plain(1), Plain(1))
    assert not same(Plain(1), Plain(2))
    assert same({"a": [Plain(1)]}, {"a": [Plain(1)]})
    assert same(float("nan"), float("nan"))
    assert not same(1, True) or same(True, 1)
    assert same(Counter("aab"), Counter("aab"))


class Colour(Enum):
    RED = "red"


class Tagged(Struct, frozen=True, tag="t"):
    number: int


class Address(BaseModel):
    street: str = Field(min_length=3)
    at: datetime


class Everything(Struct, frozen=True, kw_only=True):
    text: Annotated[str, Meta(min_length=3, max_length=5)]
    number: Annotated[int, Meta(ge=10, lt=20)]
    even: Annotated[int, Meta(multiple_of=2, gt=0)]
    real: float
    yes: bool
    raw: bytes
    price: Decimal
    at: datetime
    day: date
    hour: time
    span: timedelta
    id: UUID
    colour: Colour
    word: Literal["a", "b"]
    maybe: int | None
    many: list[Tagged]
    few: Annotated[tuple[int, ...], Meta(min_length=2)]
    pair: tuple[int, str]
    some: frozenset[str]
    table: dict[str, int]
    free: Any
    address: Address


def test_an_example_of_every_type_obeys_it() -> None:
    examples = Sampler().of(Everything, 20)
    assert len(examples) == 20
    message = message_type(Everything, "everything")
    for example in examples:
        message.check(example)
    assert {example.maybe is None for example in examples} == {True, False}


def test_examples_are_always_the_same() -> None:
    assert Sampler().of(Everything, 5) == Sampler().of(Everything, 5)


def test_keys_meet_again() -> None:
    assert len({put.pot for put in Sampler().of(Put, 12)}) <= 3


def test_rules_over_fields_are_met_by_looking_on() -> None:
    @dataclass(frozen=True)
    class Span:
        low: int
        high: int

        def __post_init__(self) -> None:
            if self.low >= self.high:
                raise ValueError("low must be below high")

    assert len(Sampler().of(Span, 10)) == 10


def test_what_nothing_obeys_is_told_with_its_rule() -> None:
    @dataclass(frozen=True)
    class Never:
        number: int

        def __post_init__(self) -> None:
            raise ValueError("never good enough")

    with pytest.raises(CannotSample, match="never good enough"):
        Sampler().of(Never, 3)
