"""Real bookings through the whole engine: every total of the query models is the oracle's."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from reservation.bookings.file import BookingRow, bookings
from reservation.bookings.oracle import WHOLE_FILE, Totals, counted
from reservation.bookings.replaying import replay
from reservation.bookings.timeline import timeline
from reservation.composition import reservations
from reservation.entrypoints import replay as entry
from reservation.house import clock_at
from reservation.reservations.carrying_out.read import WhatIsToDo
from reservation.reservations.listing.read import LastReservations
from reservation.reservations.occupancy.read import OccupiedNights

# the whole file with its second run; a slow machine has room
WHOLE_FILE_TIMEOUT = 300


def quiet() -> Console:
    return Console(file=io.StringIO(), width=120)


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "reservation", "replay", *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "120"},
        timeout=WHOLE_FILE_TIMEOUT,
        check=False,
    )


@pytest.mark.timeout(WHOLE_FILE_TIMEOUT)
def test_the_whole_file_comes_out_as_the_oracle_says(tmp_path: Path) -> None:
    done = command("--store", tmp_path / "replay.db")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Every total of the query models is the oracle's." in done.stdout
    assert "row 7036, a no-show dated 2016-03-28, 111 days before its arrival" in done.stdout
    for fact in WHOLE_FILE.facts().values():
        assert f"{fact:,}" in done.stdout


def test_a_second_run_over_the_same_store_changes_nothing(tmp_path: Path) -> None:
    store = tmp_path / "replay.db"
    first = command("--store", store, "--limit", 300)
    assert first.returncode == 0, first.stdout + first.stderr
    again = command("--store", store, "--limit", 300)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "Nothing is new" in again.stdout
    assert "also refused" not in again.stdout


async def test_a_slice_comes_out_as_counted_and_again_without_a_change(tmp_path: Path) -> None:
    rows = bookings(350)
    first = await entry.measure(str(tmp_path / "slice.db"), rows, quiet())
    assert first.totals == counted(rows)
    assert first.before == 0 < first.after
    again = await entry.measure(str(tmp_path / "slice.db"), rows, quiet())
    assert again.totals == first.totals
    assert again.before == again.after == first.after


async def test_the_memory_store_comes_to_the_same_totals() -> None:
    rows = bookings()[9_900:10_300]
    steps = timeline(rows)
    clock = clock_at(steps[0].day)
    async with reservations("memory://", clock=clock) as app:
        replayed = await replay(app, clock, steps)
        await app.settled(timeout=30)
        totals = await entry.ask_totals(app, refused=replayed.refusals["no_guest"])
        assert totals == counted(rows)
        assert await app.ask(WhatIsToDo()) == []


async def test_events_carry_the_time_at_which_they_happened() -> None:
    rows = bookings(300)
    steps = timeline(rows)
    clock = clock_at(steps[0].day)
    async with reservations("memory://", clock=clock) as app:
        await replay(app, clock, steps)
        recorded = [each async for each in app.log.read(after=0)]
    times = [each.time.date() for each in recorded]
    assert times == sorted(times)
    assert (times[0], times[-1]) == (steps[0].day, steps[-1].day)


async def test_one_booking_at_a_time_gives_the_same_as_many_in_flight() -> None:
    steps = timeline(bookings(150))
    seen: list[object] = []
    for in_flight in (1, 64):
        clock = clock_at(steps[0].day)
        async with reservations("memory://", clock=clock) as app:
            await replay(app, clock, steps, in_flight=in_flight)
            await app.settled(timeout=30)
            listing = await app.ask(LastReservations(limit=200))
            nights = await app.ask(OccupiedNights(steps[0].day, steps[-1].day))
            states = {(row.reservation_id, row.status, row.hotel, row.nights) for row in listing}
            seen.append((states, nights))
    assert seen[0] == seen[1]


def test_a_difference_is_named_and_shown() -> None:
    rows = bookings(50)
    wrong = counted(bookings(49))
    assert entry.compare(counted(rows), counted(rows)) == []
    assert "requests" in entry.compare(wrong, counted(rows))


async def test_a_difference_ends_the_command_with_status_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def one_too_few(rows: list[BookingRow]) -> Totals:
        return counted(rows[:-1])

    monkeypatch.setattr(entry, "counted", one_too_few)
    assert await entry.run(str(tmp_path / "differs.db"), 40, quiet()) == 1
