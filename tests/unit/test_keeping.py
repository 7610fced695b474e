"""Models that can be changed: what a function does to them is told, and done to copies only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict
from pydantic.dataclasses import dataclass as pydantic_dataclass

from diptych import BadResult, Context, Decider, EventSourced, Principal, Recorded, Refused, View
from diptych.testing import given


class Take(BaseModel):
    pot: str
    amounts: list[int]


class Taken(BaseModel):
    pot: str
    amounts: list[int]


class Pot(BaseModel):
    amounts: list[int] = []


class FrozenPot(BaseModel):
    model_config = ConfigDict(frozen=True)

    amounts: tuple[int, ...] = ()


context = Context(datetime(2026, 7, 1, tzinfo=UTC), Principal("p"), "", "c-1")


def no_facts() -> Recorded[Any]:
    raise AssertionError("nobody asked")


def take(command: Take, pot: Pot) -> list[Taken]:
    return [Taken(pot=command.pot, amounts=command.amounts)]


def taken(pot: Pot, event: Taken) -> Pot:
    return pot.model_copy(update={"amounts": [*pot.amounts, *event.amounts]})


def changes_command(command: Take, pot: Pot) -> list[Taken]:
    command.amounts.append(1)
    return []


def changes_state(command: Take, pot: Pot) -> list[Taken]:
    pot.amounts.append(1)
    return []


def changes_and_refuses(command: Take, pot: Pot, context: Context) -> list[Taken]:
    pot.amounts = [1]
    raise Refused("no")


def changes_in_evolve(pot: Pot, event: Taken) -> Pot:
    pot.amounts += event.amounts
    return pot


def changes_event(pot: Pot, event: Taken, recorded: Recorded[Taken]) -> Pot:
    recorded.event.amounts.clear()
    return Pot(amounts=[*pot.amounts, 1])


class TestKeeping:
    @pytest.mark.parametrize("decide", [changes_command, changes_state, changes_and_refuses])
    def test_a_decide_that_changes_what_it_is_given_is_told_and_does_no_harm(
        self, decide: Any
    ) -> None:
        command, pot = Take(pot="a", amounts=[5]), Pot(amounts=[3])
        decider = Decider(Pot(), decide, taken)
        with pytest.raises(BadResult, match=rf"{decide.__name__} changed what it was given: .*1\]"):
            decider.decide(command, pot, context)
        assert (command, pot) == (Take(pot="a", amounts=[5]), Pot(amounts=[3]))

    @pytest.mark.parametrize("evolve", [changes_in_evolve, changes_event])
    def test_an_evolve_that_changes_what_it_is_given_is_told_and_does_no_harm(
        self, evolve: Any
    ) -> None:
        event, pot = Taken(pot="a", amounts=[5]), Pot(amounts=[3])
        recorded = Recorded(
            event=event,
            position=1,
            stream="pot:a",
            version=1,
            name="taken",
            time=context.now,
            principal="p",
            tenant="",
            causation_id="c-1",
            correlation_id="c-1",
        )
        decider = Decider(Pot(), take, evolve)
        with pytest.raises(BadResult, match=rf"{evolve.__name__} changed what it was given"):
            decider.evolve(pot, event, lambda: recorded)
        assert (event, pot) == (Taken(pot="a", amounts=[5]), Pot(amounts=[3]))

    def test_the_test_kit_tells_it_as_well(self) -> None:
        for decider in [
            Decider(Pot(), changes_command, taken),
            Decider(Pot(), changes_state, taken),
            Decider(Pot(), changes_and_refuses, taken),
            Decider(Pot(), take, changes_in_evolve),
        ]:
            model = EventSourced("pot", decider, key="pot")
            with pytest.raises(BadResult, match="changed what it was given"):
                given(model).when(Take(pot="a", amounts=[1]))

    def test_a_projection_that_changes_its_row_is_told_by_the_test_kit(self) -> None:
        def project(row: Taken | None, event: Taken) -> Taken | None:
            if row is None:
                return Taken(pot=event.pot, amounts=[1])
            row.amounts.append(1)
            return row

        view = View(Taken, project, key="pot")
        event = Taken(pot="a", amounts=[5])
        with pytest.raises(BadResult, match="project changed what it was given"):
            given(view, event, event)

    def test_functions_that_change_nothing_are_as_they_were(self) -> None:
        decider = Decider(Pot(), take, taken)
        command, pot = Take(pot="a", amounts=[5]), Pot(amounts=[3])
        (event,) = decider.decide(command, pot, context)
        assert decider.evolve(pot, event, no_facts) == Pot(amounts=[3, 5])
        model = EventSourced("pot", decider, key="pot")
        given(model, event).when(command).then(event)


@dataclass
class Plain:
    pot: str


@pydantic_dataclass
class Loose:
    pot: str


@pydantic_dataclass(frozen=True)
class Fixed:
    pot: str


def test_only_models_that_can_be_changed_are_copied() -> None:
    def plain(command: Plain, pot: FrozenPot) -> list[Fixed]:
        return []

    def loose(command: Loose, pot: FrozenPot) -> list[Fixed]:
        return []

    def fixed(command: Fixed, pot: Pot | None) -> list[Fixed]:
        return []

    def evolve(pot: FrozenPot, event: Fixed) -> FrozenPot:
        return pot

    decider = Decider(FrozenPot(), [plain, loose, fixed], evolve)
    assert {
        type_: route.function in (plain, fixed) for type_, route in decider.decides.items()
    } == {
        Plain: True,
        Loose: False,
        Fixed: False,  # its annotation says that the state can be changed
    }
    assert decider.evolves[Fixed].function is evolve
