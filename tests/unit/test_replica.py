"""What a replica takes from its model: the type of its key, and that it is wired."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import pytest

from diptych import App, Decider, EventSourced, WiringError, replica


@dataclass(frozen=True)
class Open:
    number: int


@dataclass(frozen=True)
class Close:
    number: int


@dataclass(frozen=True)
class Named:
    id: UUID


@dataclass(frozen=True)
class Opened: ...


@dataclass(frozen=True)
class Closed: ...


@dataclass(frozen=True)
class Till:
    is_open: bool = False
    times: int = 0


@dataclass(frozen=True)
class Broken:
    why: str


def open_(command: Open, till: Till) -> list[Opened]:
    return [Opened()]


def close(command: Close, till: Till) -> list[Closed]:
    return [Closed()]


def name(command: Named, till: Till) -> list[Opened]:
    return [Opened()]


def opened(till: Till, event: Opened) -> Till:
    return Till(True, till.times + 1)


def closed(till: Till, event: Closed) -> Till:
    return replace(till, is_open=False)


tills = EventSourced("till", Decider(Till(), [open_, close], [opened, closed]), key="number")


def refused(words: str) -> Any:
    return pytest.raises(WiringError, match=words)


def test_the_key_has_the_type_of_the_commands_field() -> None:
    shape = replica(tills).shape("till")
    assert (shape.key, shape.key_type, shape.row) == (("number",), int, Till)


def test_it_may_be_a_uuid() -> None:
    model = EventSourced("till", Decider(Till(), name, [opened, closed]), key="id")
    assert replica(model).shape("till").key_type is UUID


def test_where_commands_differ_it_is_the_text_of_the_streams_name() -> None:
    decider = Decider(Till(), [open_, name], [opened, closed])
    model = EventSourced("till", decider, key="number", keys={Named: "id"})
    assert replica(model).shape("till").key_type is str


def test_the_model_must_be_wired_too() -> None:
    with refused("that model is not wired here"):
        App("shop", read=[replica(tills)])
    same_name = EventSourced("till", tills.decider, key="number")
    with refused("that model is not wired here"):
        App("shop", write=[same_name], read=[replica(tills)])
    App("shop", write=[tills], read=[replica(tills)])


def test_one_class_of_row_has_one_query_model() -> None:
    with refused("two views keep Till"):
        App("shop", write=[tills], read=[replica(tills), replica(tills, key="other")])
