"""The programs of examples/cinema, run as a newcomer runs them, twice over the same store."""

import asyncio
import importlib
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from diptych import App

CINEMA = Path(__file__).resolve().parents[2] / "examples" / "cinema"


def run(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.returncode == 0, f"{arguments}\n{done.stdout}\n{done.stderr}"
    assert done.stderr == ""
    return done.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for program in CINEMA.glob("*.py"):
        shutil.copy(program, tmp_path)
    return tmp_path


def test_showing_reserves_seats_and_reserves_more_in_a_second_run(folder: Path) -> None:
    first, second = run(folder, "showing.py"), run(folder, "showing.py")

    reserved = "(SeatsReserved(showing_id='s1', seats=2),)"
    assert first.strip() == f"1 {reserved}"
    assert second.strip() == f"2 {reserved}"


def test_showing_refuses_when_the_seats_are_gone(folder: Path) -> None:
    program = (folder / "showing.py").read_text()
    (folder / "showing.py").write_text(
        program.replace('ReserveSeats("s1", 2)', 'ReserveSeats("s1", 60)')
    )

    run(folder, "showing.py")

    assert run(folder, "showing.py").strip() == "sold_out 60 seats asked, 40 free"


def test_free_seats_reads_its_own_write_in_every_run(folder: Path) -> None:
    for position in (1, 2):
        row, answer = run(folder, "free_seats.py").splitlines()
        assert row == f"[FreeSeats(showing_id='s1', free={100 - 2 * position})]"
        assert answer == f"{position} 0:00:00 False"


def test_a_view_added_later_catches_up_with_the_log(folder: Path) -> None:
    for _ in range(3):
        run(folder, "showing.py")

    assert run(folder, "free_seats.py").splitlines()[0] == "[FreeSeats(showing_id='s1', free=92)]"


async def test_a_receipt_of_another_process_is_waited_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(CINEMA)
    cinema = importlib.import_module("free_seats")
    app = App(
        "cinema",
        store=f"sqlite:///{folder / 'cinema.db'}",
        read=[cinema.free_seats],
        answer=[cinema.showings_with_seats],
    )
    async with app:
        for times in (1, 2, 3):
            said = await asyncio.to_thread(run, folder, "showing.py")
            position = int(said.split()[0])
            rows = await app.ask(cinema.ShowingsWithSeats(), after=position)
            assert rows == [cinema.FreeSeats("s1", 100 - 2 * times)]


def test_showing_in_a_table_goes_on_where_the_row_stands(folder: Path) -> None:
    for run_number in (1, 2):
        said = run(folder, "showing_in_a_table.py")
        assert f"position={run_number}," in said
        assert "events=(SeatsReserved(showing_id='s1', seats=2),)" in said
    with closing(sqlite3.connect(folder / "cinema-table.db", isolation_level=None)) as program:
        assert program.execute("SELECT * FROM showings").fetchall() == [("s1", 96)]
        program.execute("UPDATE showings SET free = 1")

    assert run(folder, "showing_in_a_table.py").strip() == "sold_out 2 seats asked, 1 free"


def test_room_nights_never_books_an_eleventh_room(folder: Path) -> None:
    for _ in range(2):
        assert run(folder, "room_nights.py").strip() == "10 of 50 booked"


def test_the_tests_of_the_contract_pass_in_their_own_folder(folder: Path) -> None:
    (folder / "pytest.ini").write_text(
        "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n"
    )
    for _ in range(2):
        assert "4 passed" in run(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider")
