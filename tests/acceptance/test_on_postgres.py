"""Changing the URL of the store moves an app: the programs of the contract, and the demo."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.acceptance.test_cinema import CINEMA, run
from tests.faults.processes import ROOT


@pytest.fixture
def folder(tmp_path: Path, postgres: str) -> Path:
    """The programs, with nothing but the URL of their stores changed."""
    for program in CINEMA.glob("*.py"):
        text, changes = re.subn(r"(sqlite:///|memory:)[^\"]+", postgres, program.read_text())
        assert changes or "store=" not in text
        (tmp_path / program.name).write_text(text)
    return tmp_path


def test_showing_and_its_view_run_again_and_again(folder: Path) -> None:
    reserved = "(SeatsReserved(showing_id='s1', seats=2),)"
    assert run(folder, "showing.py").strip() == f"1 {reserved}"
    for position in (2, 3):
        row, answer = run(folder, "free_seats.py").splitlines()
        assert row == f"[FreeSeats(showing_id='s1', free={100 - 2 * position})]"
        assert answer == f"{position} 0:00:00 False"


def test_showing_in_a_table_goes_on_where_the_row_stands(folder: Path) -> None:
    for _ in range(2):
        run(folder, "showing_in_a_table.py")


def test_room_nights_agree_whatever_was_booked_before(folder: Path) -> None:
    for _ in range(2):
        run(folder, "room_nights.py")


def test_the_tests_of_the_contract_pass(folder: Path) -> None:
    (folder / "pytest.ini").write_text(
        "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n"
    )
    for _ in range(2):
        assert "4 passed" in run(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider")


def reservation(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "reservation", *arguments],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


def test_ten_rooms_are_given_away_once(postgres: str) -> None:
    done = reservation("race", "--guests", "200", "--store", postgres)
    assert done.returncode == 0, done.stdout + done.stderr


def test_real_bookings_come_out_as_the_oracle_says_and_again_without_a_change(
    postgres: str,
) -> None:
    for _ in range(2):
        done = reservation("replay", "--limit", "500", "--store", postgres)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "Nothing is new" in done.stdout


@pytest.fixture
def demo(postgres: str) -> Iterator[str]:
    """The URL of its page."""
    process = subprocess.Popen(
        [sys.executable, "-m", "reservation", "demo", "--port", "0", "--store", postgres],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                yield found[0]
                break
        else:
            raise AssertionError("it ended without a page")
    finally:
        process.terminate()
        process.wait(20)
        process.stdout and process.stdout.close()


def test_the_demo_shows_its_page(demo: str) -> None:
    with urlopen(demo, timeout=20) as page:
        assert b"<html" in page.read().lower()


def test_a_file_is_thrown_away_on_request_and_nothing_of_a_server(postgres: str) -> None:
    done = reservation("demo", "--fresh", "--store", postgres)
    assert done.returncode == 2
    assert "name an empty database" in done.stderr
    assert "Traceback" not in done.stderr
