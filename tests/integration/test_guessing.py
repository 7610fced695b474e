"""Where nothing was found under new tags lately, a boundary guesses that; the commit finds out."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest

from diptych import App, Boundary, Decider, Refused
from diptych.adapters.sqlite import reading
from diptych.write.boundary_ground import GUESS


@dataclass(frozen=True)
class TakeName:
    name: str
    by: str


@dataclass(frozen=True)
class NameTaken:
    name: str
    by: str


@dataclass(frozen=True)
class GiveUpName:
    name: str


@dataclass(frozen=True)
class NameGivenUp:
    name: str


def take(command: TakeName, owners: dict[str, str]) -> list[NameTaken]:
    if command.name in owners:
        raise Refused("taken", f"{command.name} is {owners[command.name]}'s")
    return [NameTaken(command.name, command.by)]


def give_up(command: GiveUpName, owners: dict[str, str]) -> list[NameGivenUp]:
    _ = owners[command.name]  # breaks where nobody has it: a decision must not stand on a guess
    return [NameGivenUp(command.name)]


def taken(owners: dict[str, str], event: NameTaken) -> dict[str, str]:
    return {**owners, event.name: event.by}


def given_up(owners: dict[str, str], event: NameGivenUp) -> dict[str, str]:
    return {name: by for name, by in owners.items() if name != event.name}


def tag(message: TakeName | NameTaken | GiveUpName | NameGivenUp) -> list[str]:
    return [f"name:{message.name}"]


empty: dict[str, str] = {}
names = Boundary("names", Decider(empty, [take, give_up], [taken, given_up]), reads=tag, tags=tag)


def _app(file: Path) -> App:
    return App("town", store=f"sqlite:///{file}", write=[names])


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many boundaries each statement read."""
    counted: list[int] = []
    read = reading.read_tagged

    def counting(connection: object, requests: list[reading.TaggedRequest]) -> object:
        counted.append(len(requests))
        return read(connection, requests)  # type: ignore[arg-type]

    monkeypatch.setattr("diptych.adapters.sqlite.store.read_tagged", counting)
    return counted


async def _guessing(app: App) -> None:
    for n in range(GUESS):
        await app.execute(TakeName(f"first-{n}", "ann"))


async def test_new_tags_are_not_read_where_nothing_was_found_lately(
    tmp_path: Path, reads: list[int]
) -> None:
    async with _app(tmp_path / "town.db") as app:
        await _guessing(app)
        reads.clear()
        await asyncio.gather(*(app.execute(TakeName(f"n-{n}", "bob")) for n in range(50)))
        assert reads == []


async def test_a_wrong_guess_is_refused_on_what_is_really_there(tmp_path: Path) -> None:
    async with _app(tmp_path / "town.db") as other, _app(tmp_path / "town.db") as app:
        await other.execute(TakeName("eve", "eve"))
        await _guessing(app)
        with pytest.raises(Refused) as refused:
            await app.execute(TakeName("eve", "ann"))
        assert refused.value.code == "taken"
        with pytest.raises(Refused):
            await app.execute(TakeName("eve", "ann"), id="kept")


async def test_a_decision_that_breaks_on_a_guess_is_made_again_on_what_is_there(
    tmp_path: Path,
) -> None:
    async with _app(tmp_path / "town.db") as other, _app(tmp_path / "town.db") as app:
        await other.execute(TakeName("eve", "eve"))
        await _guessing(app)
        receipt = await app.execute(GiveUpName("eve"))
        assert receipt.events == (NameGivenUp("eve"),)


async def test_a_decision_that_breaks_anyway_says_so(tmp_path: Path) -> None:
    async with _app(tmp_path / "town.db") as app:
        await _guessing(app)
        with pytest.raises(KeyError):
            await app.execute(GiveUpName("nobody's"))


async def test_racers_for_one_new_name_have_one_winner_guesses_or_not(tmp_path: Path) -> None:
    async with _app(tmp_path / "town.db") as other, _app(tmp_path / "town.db") as app:
        await _guessing(app)
        for n in range(20):
            asked = (a.execute(TakeName(f"race-{n}", "x")) for a in (app, other) for _ in range(4))
            outcomes = await asyncio.gather(*asked, return_exceptions=True)
            assert sum(not isinstance(outcome, BaseException) for outcome in outcomes) == 1
            assert sum(isinstance(outcome, Refused) for outcome in outcomes) == 7
