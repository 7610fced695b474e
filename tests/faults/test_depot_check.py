"""The checker of the depot catches whatever is planted in a file that passed."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from diptych import Refused
from tests.faults.depot import (
    Remark,
    TakeOne,
    depot,
    own_sessions,
    prepare,
    take_in_own_session,
)
from tests.faults.depot_check import check_depot
from tests.faults.processes import Told

pytestmark = pytest.mark.faults


async def filled(file: Path) -> list[Told]:
    """A file with some of everything, and what callers were told."""
    await prepare(file)
    calls: list[Told] = []
    async with depot(file) as app, own_sessions(file) as sessions:
        for number in range(12):
            note = f"c-{number}"
            match number % 4:
                case 0:
                    receipt = await app.execute(Remark("c", "tea", note, lines=2), id=note)
                case 1:
                    note = f"c-join-{number}"
                    receipt = await take_in_own_session(app, sessions, "rice", note)
                case 2:
                    receipt = await app.execute(TakeOne("tea", note), id=note)
                case _:
                    with pytest.raises(Refused):
                        await app.execute(TakeOne("tea", note, none=True), id=note)
                    calls.append(Told(note, 0.0, 0.0, refused="none_left"))
                    continue
            calls.append(Told(note, 0.0, 0.0, position=receipt.position))
        await app.settled()
    return calls


DAMAGE = {
    "a row is gone": ("DELETE FROM takings WHERE note = 'c-2'", "event without row"),
    "a row came back": ("INSERT INTO takings VALUES ('c-3', 'tea', 1)", "row without event"),
    "a refused row": ("INSERT INTO takings VALUES ('c-3', 'tea', 1)", "failed but present"),
    "an update is lost": ("UPDATE shelves SET stock = stock + 1 WHERE sku = 'tea'", "lost update"),
    "two left the same": (
        "UPDATE diptych_events SET data = json_set(data, '$.left', 9999) WHERE causation = 'c-6'",
        "lost update",
    ),
    "an event is gone": ("DELETE FROM diptych_events WHERE causation = 'c-10'", "lost"),
    "half a command": (
        "DELETE FROM diptych_events WHERE causation = 'c-8' AND version % 2 = 0",
        "outcome",
    ),
    "an outcome is gone": ("DELETE FROM diptych_outcomes WHERE id = 'c-6'", "outcome"),
    "an event is elsewhere": (
        "UPDATE diptych_events SET position = position + 100 WHERE causation = 'c-6'",
        "version gap",
    ),
    "the inline view is behind": (
        "UPDATE diptych_checkpoints SET position = position - 1 WHERE name = 'tally@1'",
        "view",
    ),
    "the inline view is wrong": ("UPDATE view_tally_1 SET taken = taken + 1", "view"),
    "the other view is wrong": ("UPDATE view_diary_1 SET remarks = 0 WHERE sku = 'tea'", "view"),
    "the other view is ahead": (
        "UPDATE diptych_checkpoints SET position = position - 1 WHERE name = 'diary@1'",
        "view",
    ),
}


async def test_each_damage_is_caught_and_the_file_itself_passes(tmp_path: Path) -> None:
    file = tmp_path / "depot.db"
    calls = await filled(file)
    assert check_depot(file, calls) == []
    for name, (damage, caught) in DAMAGE.items():
        copy = Path(shutil.copy(file, tmp_path / "copy.db"))
        connection = sqlite3.connect(copy)
        assert connection.execute(damage).rowcount > 0, name
        connection.commit()
        connection.close()
        found = {finding.kind for finding in check_depot(copy, calls, settled=False)}
        assert caught in found, name


async def test_what_callers_were_told_is_held_against_the_file(tmp_path: Path) -> None:
    file = tmp_path / "depot.db"
    calls = await filled(file)
    for told, caught in (
        (Told("c-99", 0.0, 0.0, position=7), "lost"),
        (Told("c-2", 0.0, 0.0, position=1), "lost"),
        (Told("c-2", 0.0, 0.0, refused="none_left"), "failed but present"),
        (Told("c-98", 0.0, 0.0, fault="StoreUnavailable"), "fault"),
    ):
        assert caught in {finding.kind for finding in check_depot(file, [*calls, told])}
