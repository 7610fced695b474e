"""Pydantic models that cannot be kept so that they come back: told when the app is wired."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pytest
from msgspec import Struct
from pydantic import (
    Base64Str,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    FutureDate,
    FutureDatetime,
    HttpUrl,
    Json,
    NaiveDatetime,
    RootModel,
    SecretStr,
    Tag,
)
from pydantic.dataclasses import dataclass as pydantic_dataclass

from diptych import Decider, EventSourced, View, WiringError
from diptych.log.messages import MessageType

if TYPE_CHECKING:
    from nowhere import OnlyForCheckers  # type: ignore[import-not-found]


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"


@pydantic_dataclass
class Seat:
    row: str


class Extra(BaseModel):
    model_config = ConfigDict(extra="allow")


class Undiscriminated(BaseModel):
    pets: list[Cat | Dog]


class ByFunction(BaseModel):
    pet: Annotated[
        Annotated[Cat, Tag("cat")] | Annotated[Dog, Tag("dog")],
        Discriminator(lambda value: "cat"),
    ]


class Secret(BaseModel):
    password: SecretStr | None


class Later(BaseModel):
    on: FutureDate


class LaterStill(BaseModel):
    at: list[FutureDatetime]


class Zoneless(BaseModel):
    at: NaiveDatetime


class Packed(BaseModel):
    list: Json[list[int]]


class Encoded(BaseModel):
    text: list[Base64Str]


class Called(BaseModel):
    back: Callable[[int], int]


class Queued(BaseModel):
    skus: deque[int]


class Unknown(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)

    x: range


class Unfinished(BaseModel):
    x: OnlyForCheckers


class Strange(BaseModel):
    raw: Literal[b"raw"]


@dataclass(frozen=True)
class Choice:
    pet: Cat | Dog


@dataclass(frozen=True)
class Half:
    seat: Seat


@dataclass(frozen=True)
class Linked:
    url: HttpUrl


class Deep(Struct, frozen=True):
    inside: list[Half]


class Deeper(BaseModel):
    extra: dict[str, Extra]


class Root(RootModel[list[int]]):
    pass


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (Extra, r"Extra takes extra fields.*Declare them"),
        (Deeper, r"Extra takes extra fields.*Declare them"),
        (Undiscriminated, r"Undiscriminated\.pets cannot be stored.*Field\(discriminator=…\)"),
        (ByFunction, r"ByFunction\.pet: the discriminator .* is no field.*kind: Literal"),
        (Secret, r"Secret\.password: SecretStr hides its value.*a reference to it here"),
        (Later, r"Later\.on: a date that must be in the future.*context\.now in decide"),
        (LaterStill, r"LaterStill\.at: a time that must be in the future.*context\.now in decide"),
        (Zoneless, r"Zoneless\.at: a datetime without a time zone is not kept. Use Aware"),
        (Packed, r"Packed\.list: .*unpacks what it is given.*Use the type of what is inside"),
        (Encoded, r"Encoded\.text: .*unpacks what it is given.*Use the type of what is inside"),
        (Called, r"Called\.back.*use a type that JSON has a form for"),
        (Queued, r"Queued\.skus.*use a type that JSON has a form for"),
        (Unknown, r"Unknown\.x.*Use a type that JSON has a form for"),
        (Unfinished, r"Unfinished cannot be a message.*OnlyForCheckers.*at run time"),
        (Strange, r"Strange\.raw cannot be stored"),
        (Choice, r"Choice cannot be a message.*Field\(discriminator=…\)"),
        (Half, r"Half: Seat is a pydantic dataclass in a class that is none.*Make both"),
        (Deep, r"Deep: Seat is a pydantic dataclass in a class that is none.*Make both"),
        (Linked, r"Linked: .*HttpUrl.*Let a pydantic model hold it"),
        (Root, r"Root cannot be a message: it has no fields"),
    ],
)
def test_what_would_not_come_back_is_named_with_its_remedy(wrong: type, words: str) -> None:
    with pytest.raises(WiringError, match=f"(?s){words}") as error:
        MessageType(wrong, "wrong")
    assert str(error.value).endswith((".", "context.now in decide."))


def test_a_pydantic_that_is_too_old_is_named() -> None:
    from diptych.log.pydantic_form import refuse_old

    with pytest.raises(WiringError, match=r"2\.10\.6 is too old.*pip install 'diptych\[pydantic"):
        refuse_old("2.10.6")
    refuse_old("2.11.0b1")


class Add(BaseModel):
    pot: str


class Added(BaseModel):
    pot: str = Field(alias="Topf")


def add(command: Add, state: int) -> list[Any]:
    return []


def added(state: int, event: Added) -> int:
    return state


def project(row: Added | None, event: Added) -> Added | None:
    return event


def test_keys_are_names_of_fields_not_aliases() -> None:
    decider = Decider(0, add, added)
    assert EventSourced("pot", decider, key="pot").stream(Add(pot="a")) == "pot:a"
    assert View(Added, project, key="pot").key == ("pot",)
    with pytest.raises(WiringError, match=r"Add has no field 'Topf' \(it has: pot\)"):
        EventSourced("pot", decider, key="Topf")
    with pytest.raises(WiringError, match=r"Added has no field 'Topf' \(it has: pot\)"):
        View(Added, project, key="Topf")
