"""The real bookings: the packed file is the published one, the oracle's two programs agree."""

import csv
import io
import random
import sqlite3
from collections import Counter
from datetime import timedelta
from decimal import Decimal

from reservation.bookings import file
from reservation.bookings.guests import guest
from reservation.bookings.oracle import DATED_BEFORE_ARRIVAL, WHOLE_FILE, counted
from reservation.bookings.timeline import story, timeline
from reservation.reservations.accepting.write import AcceptReservation
from reservation.reservations.requesting.write import RequestReservation
from reservation.reservations.stay import nights_of

SHA256 = "016e1c443f1414f2f5999d5ace2b341dff2d42924fb222b2848d4801eea87615"


def count_again() -> dict[str, int | Decimal]:
    """The oracle's second program: SQL over the raw cells; it shares no code with the example."""
    rows = list(csv.reader(io.StringIO(file.text(), newline="")))
    table = sqlite3.connect(":memory:")
    columns = ", ".join(f'"{name}" TEXT' for name in rows[0])
    table.execute(f"CREATE TABLE b ({columns})")
    table.executemany(f"INSERT INTO b VALUES ({', '.join('?' * len(rows[0]))})", rows[1:])
    nobody = "adults = '0' AND children IN ('0', 'NA') AND babies = '0'"
    nights = "(stays_in_weekend_nights + stays_in_week_nights)"

    def one(what: str, where: str) -> int:
        number: int = table.execute(f"SELECT {what} FROM b WHERE {where}").fetchone()[0]
        return number

    def ended(how: str) -> str:
        return f"reservation_status = '{how}' AND NOT ({nobody})"

    # cents, because SQL would sum floats; every rate of the file has at most two decimals
    cents = f"SUM(CAST(round(adr * 100) AS INTEGER) * {nights})"
    found = {
        "requests": one("COUNT(*)", "1"),
        "refused": one("COUNT(*)", nobody),
        "accepted": one("COUNT(*)", f"NOT ({nobody})"),
        "rejected": 0,
        "cancelled": one("COUNT(*)", ended("Canceled")),
        "checked_out": one("COUNT(*)", ended("Check-Out")),
        "no_shows": one("COUNT(*)", ended("No-Show")),
        "city_room_nights": one(f"SUM({nights})", ended("Check-Out") + " AND hotel LIKE 'City%'"),
        "resort_room_nights": one(f"SUM({nights})", ended("Check-Out") + " AND hotel LIKE 'Res%'"),
        "revenue": Decimal(one(cents, ended("Check-Out"))) / 100,
    }
    table.close()
    return found


def test_the_packed_file_is_the_published_excerpt() -> None:
    assert file.digest() == SHA256
    licence = file.files("reservation.bookings").joinpath("data", "README.md").read_text("utf-8")
    assert SHA256 in licence
    assert "CC BY 4.0" in licence


def test_both_programs_find_what_the_oracle_says() -> None:
    assert counted(file.bookings()) == WHOLE_FILE
    assert count_again() == WHOLE_FILE.facts()
    assert WHOLE_FILE.city_room_nights + WHOLE_FILE.resort_room_nights == 26_387


def test_every_rate_is_exact_in_cents() -> None:
    assert all(row.rate == row.rate.quantize(Decimal("0.01")) for row in file.bookings())


def test_no_night_is_ever_asked_for_by_more_bookings_than_a_hotel_has_rooms() -> None:
    nights = Counter(
        (row.stay.hotel, night) for row in file.bookings() for night in nights_of(row.stay)
    )
    most = {
        hotel: max(n for (at, _), n in nights.items() if at == hotel)
        for hotel in (file.CITY, file.RESORT)
    }
    assert most == {file.CITY: 311, file.RESORT: 195}


def test_one_guest_was_given_up_before_the_arrival() -> None:
    early = [
        (row.row, row.before_arrival)
        for row in file.bookings()
        if row.ending is file.Ending.NO_SHOW and row.before_arrival > 0
    ]
    assert early == [(DATED_BEFORE_ARRIVAL, 111)]


def test_the_timeline_is_in_the_order_in_which_things_happened() -> None:
    steps = timeline(file.bookings())
    order = [(step.day, step.row, step.step) for step in steps]
    assert order == sorted(order)
    assert len(set(order)) == len({step.id for step in steps}) == len(steps)


def test_a_bookings_own_steps_never_go_back_in_time() -> None:
    for row in file.bookings():
        steps = story(row)
        assert [step.step for step in steps] == list(range(1, len(steps) + 1))
        assert [step.day for step in steps] == sorted(step.day for step in steps)
        assert isinstance(steps[0].command, RequestReservation)
        assert isinstance(steps[1].command, AcceptReservation)
        assert steps[0].day <= row.stay.arrival


def test_command_ids_stay_the_same_from_run_to_run() -> None:
    first = file.command_id(1, 1)
    assert first == file.command_id(1, 1) != file.command_id(1, 2)
    file.digest.cache_clear()
    assert file.command_id(1, 1) == first


def test_guests_are_made_from_the_rows_number_alone() -> None:
    rows = file.bookings(2000)
    names = {row.row: guest(row) for row in rows}
    shuffled = random.Random(7).sample(rows, len(rows))
    assert {row.row: guest(row) for row in shuffled} == names
    assert len(set(names.values())) > 700
    family = next(row for row in rows if row.party.children and row.company is None)
    assert names[family.row].endswith("and family")
    business = next(row for row in rows if row.company is not None)
    assert f"company {business.company}" in names[business.row]


def test_a_few_stays_end_before_they_were_to_end() -> None:
    early = [
        row.row
        for row in file.bookings()
        if row.ending is file.Ending.CHECKED_OUT
        and row.ended != row.stay.arrival + timedelta(days=row.stay.nights)
    ]
    assert len(early) == 22
