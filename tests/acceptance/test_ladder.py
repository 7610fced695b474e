"""One application on every rung of the ladder: the same suite, and one store that climbs."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import pytest

from diptych import App, EventSourced, Refused, StateStored
from diptych.errors import SchemaChanged
from tests.acceptance.ladder import LADDER, RUNGS, Door, forget, load, opened

ROOT = LADDER.parents[1]

STEPS = list(pairwise(RUNGS))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    forget()
    return tmp_path


@pytest.fixture(params=RUNGS)
def rung(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def door(rung: str) -> AsyncIterator[Door]:
    async with opened(rung) as door:
        yield door


async def refused(door: Door, command: object, *, id: str = "") -> str:
    with pytest.raises(Refused) as no:
        await door.execute(command, id=id)
    return no.value.code


async def carried_over(lower: str, higher: str) -> None:
    """What has to be done between two rungs beside starting the next one."""
    if (lower, higher) == ("rung_6", "rung_7"):
        await load("carry_over").carry_over()


async def test_what_is_added_is_lent_and_comes_back(door: Door) -> None:
    add, lend, give_back = door.rung.AddCopy, door.rung.LendCopy, door.rung.ReturnCopy
    await door.execute(add("c1", "Emma"))
    await door.execute(add("c2", "Emma"))
    added = await door.execute(add("c3", "Ulysses"))
    assert await door.titles(after=added) == [("Emma", 2, 2), ("Ulysses", 1, 1)]
    lent = await door.execute(lend("c2", "ann"))
    assert await door.titles(after=lent) == [("Emma", 2, 1), ("Ulysses", 1, 1)]
    back = await door.execute(give_back("c2"))
    assert await door.titles(after=back) == [("Emma", 2, 2), ("Ulysses", 1, 1)]


async def test_what_the_rules_forbid_is_refused_and_changes_nothing(door: Door) -> None:
    add, lend, give_back = door.rung.AddCopy, door.rung.LendCopy, door.rung.ReturnCopy
    await door.execute(add("c1", "Emma"))
    assert await refused(door, add("c1", "Persuasion")) == "added_already"
    assert await refused(door, give_back("c1")) == "not_lent"
    lent = await door.execute(lend("c1", "ann"))
    assert await refused(door, lend("c1", "bob")) == "lent_already"
    assert await refused(door, lend("c9", "bob")) == "unknown_copy"
    assert await refused(door, give_back("c9")) == "unknown_copy"
    assert await door.titles(after=lent) == [("Emma", 1, 0)]
    assert await door.events() == [("copy-added", "c1"), ("copy-lent", "c1")]


async def test_a_repeated_id_gets_the_first_outcome(door: Door) -> None:
    add, lend, give_back = door.rung.AddCopy, door.rung.LendCopy, door.rung.ReturnCopy
    await door.execute(add("c1", "Emma"), id="add")
    first = await door.execute(lend("c1", "ann"), id="lend")
    assert await refused(door, lend("c1", "bob"), id="late") == "lent_already"
    back = await door.execute(give_back("c1"), id="back")
    assert await door.execute(lend("c1", "ann"), id="lend") == first
    assert await refused(door, lend("c1", "bob"), id="late") == "lent_already"
    assert await door.titles(after=back) == [("Emma", 1, 1)]
    await door.execute(lend("c1", "bob"), id="anew")
    assert len(await door.events()) == 4


async def test_ten_at_once_with_one_id_happen_once(door: Door) -> None:
    await door.execute(door.rung.AddCopy("c1", "Emma"))
    lend = door.rung.LendCopy("c1", "ann")
    outcomes = await asyncio.gather(*(door.execute(lend, id="lend") for _ in range(10)))
    assert outcomes == [outcomes[0]] * 10
    assert await door.events() == [("copy-added", "c1"), ("copy-lent", "c1")]


async def test_a_question_after_a_receipt_is_never_older(door: Door) -> None:
    async def add(number: int) -> None:
        receipt = await door.execute(door.rung.AddCopy(f"c{number}", f"Title {number}"))
        assert (f"Title {number}", 1, 1) in await door.titles(after=receipt)

    await asyncio.gather(*map(add, range(40)))


async def test_of_those_who_want_one_copy_at_once_one_gets_it(door: Door) -> None:
    await door.execute(door.rung.AddCopy("c1", "Emma"))
    wishes = [door.execute(door.rung.LendCopy("c1", f"reader {n}")) for n in range(20)]
    outcomes = await asyncio.gather(*wishes, return_exceptions=True)
    assert sum(isinstance(outcome, Refused) for outcome in outcomes) == 19
    assert [name for name, _ in await door.events()] == ["copy-added", "copy-lent"]


async def test_a_restart_changes_nothing(rung: str) -> None:
    async with opened(rung) as door:
        await door.execute(door.rung.AddCopy("c1", "Emma"), id="add")
        lent = await door.execute(door.rung.LendCopy("c1", "ann"), id="lend")
        assert await refused(door, door.rung.LendCopy("c1", "bob"), id="late") == "lent_already"
    async with opened(rung) as door:
        assert await door.titles(after=lent) == [("Emma", 1, 0)]
        assert await door.execute(door.rung.LendCopy("c1", "ann"), id="lend") == lent
        await door.execute(door.rung.ReturnCopy("c1"))
        assert await refused(door, door.rung.LendCopy("c1", "bob"), id="late") == "lent_already"
        lent = await door.execute(door.rung.LendCopy("c1", "bob"))
        assert await door.titles(after=lent) == [("Emma", 1, 0)]


async def test_two_processes_lend_no_copy_twice(rung: str, folder: Path) -> None:
    copies = 30
    async with opened(rung) as door:
        for number in range(copies):
            await door.execute(door.rung.AddCopy(f"c{number}", "Emma"))
    readers = [process(rung, reader, str(copies)) for reader in ("ann", "bob")]
    said = [json.loads(await asyncio.to_thread(said_by, reader)) for reader in readers]
    assert sorted(said[0]["lent"]) == sorted(said[1]["lent_already"])
    assert sorted(said[1]["lent"]) == sorted(said[0]["lent_already"])
    assert len(said[0]["lent"]) + len(said[1]["lent"]) == copies
    async with opened(rung) as door:
        lent = [copy for name, copy in await door.events() if name == "copy-lent"]
        assert len(lent) == len(set(lent)) == copies
        head = await door.rung.app.log.head()
        assert await door.titles(after=head) == [("Emma", copies, 0)]


def process(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.acceptance.ladder", *words],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def said_by(process: subprocess.Popen[str]) -> str:
    said, complaints = process.communicate(timeout=60)
    assert process.returncode == 0, complaints
    return said


def test_the_program_of_a_rung_runs_twice(rung: str) -> None:
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-W", "error", LADDER / f"{rung}.py"],
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == "[Title(title='Emma', copies=1, free=0)]\n"


@pytest.mark.parametrize(("lower", "higher"), STEPS)
async def test_a_rung_goes_on_with_what_the_rung_below_wrote(lower: str, higher: str) -> None:
    async with opened(lower) as door:
        await door.execute(door.rung.AddCopy("c1", "Emma"), id="add")
        await door.execute(door.rung.AddCopy("c2", "Emma"))
        lent = await door.execute(door.rung.LendCopy("c1", "ann"), id="lend")
        assert await refused(door, door.rung.LendCopy("c1", "bob"), id="late") == "lent_already"
    await carried_over(lower, higher)
    async with opened(higher) as door:
        assert await door.titles(after=lent) == [("Emma", 2, 1)]
        assert await refused(door, door.rung.LendCopy("c1", "bob")) == "lent_already"
        assert await refused(door, door.rung.AddCopy("c1", "Emma")) == "added_already"
        await door.execute(door.rung.ReturnCopy("c1"))
        lent_again = await door.execute(door.rung.LendCopy("c2", "bob"))
        assert await door.titles(after=lent_again) == [("Emma", 2, 1)]
        if lower != RUNGS[0]:  # its ids are in a table of its own
            assert await door.execute(door.rung.LendCopy("c1", "ann"), id="lend") == lent
            assert await refused(door, door.rung.LendCopy("c1", "bob"), id="late") == "lent_already"


async def test_one_store_climbs_the_whole_ladder() -> None:
    below = ""
    for copies, rung in enumerate(RUNGS, 1):
        await carried_over(below, rung)
        async with opened(rung) as door:
            if below:
                assert await refused(door, door.rung.LendCopy("c1", "bob")) == "lent_already"
                await door.execute(door.rung.ReturnCopy("c1"))
            await door.execute(door.rung.AddCopy(f"c{copies}", "Emma"))
            lent = await door.execute(door.rung.LendCopy("c1", rung))
            assert await door.titles(after=lent) == [("Emma", copies, copies - 1)]
        below = rung


async def test_carrying_over_twice_is_carrying_over_once() -> None:
    async with opened("rung_6") as door:
        await door.execute(door.rung.AddCopy("c1", "Emma"))
    for _ in range(2):
        await load("carry_over").carry_over()
    async with opened("rung_7") as door:
        assert await door.events() == [("copy-added", "c1"), ("copy-carried-over", "c1")]
        assert await door.titles(after=2) == [("Emma", 1, 1)]


async def test_a_kind_that_changes_under_the_old_name_is_refused() -> None:
    six, seven = load("rung_6").lendings, load("rung_7").lendings
    for below, model in (
        ("rung_5", StateStored("copy", six.decider, key="copy_id", rows=six.rows)),
        ("rung_6", EventSourced("lending", seven.decider, key="copy_id")),
    ):
        async with opened(below) as door:
            await door.execute(door.rung.AddCopy(below, "Emma"))
        with pytest.raises(SchemaChanged, match="give the new one another name"):
            async with App("library", store="sqlite:///library.db", write=[model]):
                pass
