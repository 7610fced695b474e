"""The last rooms of one night, asked for at once through several processes on one SQLite file."""

import subprocess
import sys

import pytest


def race(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "reservation", "race", *arguments],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_five_hundred_guests_and_ten_rooms() -> None:
    done = race()
    assert done.returncode == 0, done.stdout + done.stderr
    lines = {line.strip("│ ").split("│")[0].strip(): line for line in done.stdout.splitlines()}
    numbers = {
        name: [int(cell) for cell in line.split() if cell.isdigit()]
        for name, line in lines.items()
        if name in ("accepted", "rejected sold_out", "conflicts left over")
    }
    assert numbers == {
        "accepted": [10, 10, 10],
        "rejected sold_out": [490, 490, 490],
        "conflicts left over": [0, 0, 0],
    }


@pytest.mark.parametrize(
    ("processes", "guests", "rooms"), [("2", "60", "1"), ("3", "20", "50")], ids=["one", "plenty"]
)
def test_other_sizes(processes: str, guests: str, rooms: str) -> None:
    done = race("--processes", processes, "--guests", guests, "--rooms", rooms)
    assert done.returncode == 0, done.stdout + done.stderr
