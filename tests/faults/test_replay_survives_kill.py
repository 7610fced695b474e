"""`replay` is killed at random moments and started again: in the end every total is exact.

5 kills of a slice of the file by default; 20 of the whole file with DIPTYCH_SOAK=1. A failure
names its seed; DIPTYCH_SEED runs that one again.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.faults

SOAK = os.environ.get("DIPTYCH_SOAK") == "1"
KILLS = 20 if SOAK else 5
LIMIT = None if SOAK else 800
"""Bookings; the whole file when soaking."""


def command(store: Path) -> list[str]:
    limit = [] if LIMIT is None else ["--limit", str(LIMIT)]
    return [sys.executable, "-m", "reservation", "replay", "--store", str(store), *limit]


def undisturbed(store: Path) -> tuple[float, str]:
    """Seconds that a whole run takes here, and what it prints."""
    started = time.monotonic()
    done = subprocess.run(command(store), capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return time.monotonic() - started, done.stdout


def totals(printed: str) -> list[str]:
    return [line for line in printed.splitlines() if line.rstrip("│ ").endswith("same")]


def kill_after(store: Path, seconds: float) -> bool:
    """Whether it was still running then."""
    process = subprocess.Popen(
        command(store), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        assert process.wait(timeout=10) == -signal.SIGKILL
        return True
    return False


@pytest.mark.timeout(3600 if SOAK else 170)
def test_a_replay_that_is_killed_again_and_again_ends_with_the_exact_totals(
    tmp_path: Path,
) -> None:
    seed = int(os.environ.get("DIPTYCH_SEED", time.time_ns() % 1_000_000_000))
    chance = random.Random(seed)
    whole, expected = undisturbed(tmp_path / "undisturbed.db")
    store = tmp_path / "killed.db"
    # each round repeats what is done already, fast, and comes a little further
    share = whole / 2
    kills = sum(kill_after(store, chance.uniform(0.15, 1.0) * share) for _ in range(KILLS))
    told = f"seed {seed}: run again with DIPTYCH_SEED={seed}"
    assert kills >= KILLS // 2, f"only {kills} of {KILLS} were still running. {told}"
    last = subprocess.run(command(store), capture_output=True, text=True, check=False, timeout=600)
    assert last.returncode == 0, f"{told}\n{last.stdout}{last.stderr}"
    assert totals(last.stdout) == totals(expected) != [], told
    again = subprocess.run(command(store), capture_output=True, text=True, check=False, timeout=600)
    assert again.returncode == 0, f"{told}\n{again.stdout}{again.stderr}"
    assert "Nothing is new" in again.stdout, told
