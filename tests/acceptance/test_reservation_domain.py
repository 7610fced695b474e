"""The pure functions of the Reservation application, one sentence a test."""

import ast
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

import reservation.reservations
from diptych.testing import given
from reservation.reservations.accepting.write import AcceptReservation
from reservation.reservations.cancelling.write import CancelReservation, RequestCancellation
from reservation.reservations.events import (
    CancellationRequested,
    GuestCheckedIn,
    GuestCheckedOut,
    GuestDidNotShow,
    ReservationAccepted,
    ReservationCancelled,
    ReservationRejected,
    ReservationRequested,
)
from reservation.reservations.model import reads, reservation_model, tags
from reservation.reservations.occupancy.read import OccupiedNight, occupancy
from reservation.reservations.outcomes.read import HotelMonth, outcomes
from reservation.reservations.requesting.write import RequestReservation
from reservation.reservations.revenue.read import MonthlyRevenue, revenue
from reservation.reservations.stay import Party, Stay, nights_of
from reservation.reservations.staying.write import CheckIn, CheckOut, MarkNoShow

NOW = datetime(2015, 7, 1, 9, tzinfo=UTC)
STAY = Stay("City Hotel", date(2015, 7, 10), nights=3)
DAY_USE = Stay("City Hotel", date(2015, 7, 10), nights=0)
RATE = Decimal("80.10")
TWO = Party(2)

model = reservation_model({"City Hotel": 2})


def request(id: str = "a", stay: Stay = STAY, party: Party = TWO) -> RequestReservation:
    return RequestReservation(id, "Ana Lopes", party, stay, "Direct", RATE)


def requested(id: str = "a", stay: Stay = STAY) -> ReservationRequested:
    return ReservationRequested(id, "Ana Lopes", Party(2), stay, "Direct", RATE)


def accepted(id: str = "a", stay: Stay = STAY) -> ReservationAccepted:
    return ReservationAccepted(id, stay)


def test_a_request_is_taken_down() -> None:
    given(model).when(request(), at=NOW).then(requested())


def test_a_request_without_a_guest_is_refused() -> None:
    given(model).when(request(party=Party(0, 0, 0)), at=NOW).refused("no_guest")


def test_a_child_alone_is_a_guest() -> None:
    event = ReservationRequested("a", "Ana Lopes", Party(0, 1), STAY, "Direct", RATE)
    given(model).when(request(party=Party(0, 1)), at=NOW).then(event)


def test_a_request_for_a_day_that_has_passed_is_refused() -> None:
    given(model).when(request(), at=datetime(2015, 7, 11, tzinfo=UTC)).refused("arrival_passed")


def test_a_request_on_the_day_of_arrival_is_taken_down() -> None:
    given(model).when(request(), at=datetime(2015, 7, 10, 23, tzinfo=UTC)).then(requested())


def test_a_request_that_comes_twice_changes_nothing_even_long_after() -> None:
    given(model, requested()).when(request(), at=datetime(2016, 7, 1, tzinfo=UTC)).then()


def test_another_request_under_the_same_name_is_refused() -> None:
    longer = Stay("City Hotel", date(2015, 7, 10), nights=4)
    given(model, requested()).when(request(stay=longer), at=NOW).refused("requested_already")


def test_a_free_room_is_accepted() -> None:
    given(model, requested()).when(AcceptReservation("a", STAY)).then(accepted())


def test_the_last_room_is_given_away_and_the_next_guest_rejected() -> None:
    others = (accepted("b"), requested(), accepted("c"))
    given(model, *others).when(AcceptReservation("a", STAY)).then(
        ReservationRejected("a", STAY, "sold_out")
    )


def test_one_full_night_of_the_stay_is_enough_to_reject_it() -> None:
    last_night = Stay("City Hotel", date(2015, 7, 12), nights=1)
    full = (accepted("b", last_night), accepted("c", last_night), requested())
    given(model, *full).when(AcceptReservation("a", STAY)).then(
        ReservationRejected("a", STAY, "sold_out")
    )


def test_a_stay_may_begin_on_the_day_on_which_another_ends() -> None:
    before = Stay("City Hotel", date(2015, 7, 7), nights=3)
    given(model, accepted("b", before), accepted("c", before), requested()).when(
        AcceptReservation("a", STAY)
    ).then(accepted())


@pytest.mark.parametrize(
    "freed",
    [
        ReservationCancelled("b", STAY),
        GuestDidNotShow("b", STAY),
        GuestCheckedOut("b", STAY, date(2015, 7, 10), "Direct", Decimal(0)),
    ],
    ids=["cancelled", "not shown", "left on the day of arrival"],
)
def test_a_room_that_was_given_back_is_given_away_again(freed: object) -> None:
    history = (accepted("b"), accepted("c"), requested(), freed)
    given(model, *history).when(AcceptReservation("a", STAY)).then(accepted())


def test_a_guest_who_left_as_booked_frees_nothing() -> None:
    left = GuestCheckedOut("b", STAY, date(2015, 7, 13), "Direct", Decimal("240.30"))
    history = (accepted("b"), accepted("c"), requested(), left)
    given(model, *history).when(AcceptReservation("a", STAY)).then(
        ReservationRejected("a", STAY, "sold_out")
    )


def test_a_day_use_takes_no_night_and_is_accepted_in_a_full_house() -> None:
    full = (accepted("b"), accepted("c"), requested("a", DAY_USE))
    given(model, *full).when(AcceptReservation("a", DAY_USE)).then(accepted("a", DAY_USE))


def test_a_hotel_that_is_not_ours_has_no_room() -> None:
    elsewhere = Stay("Grand Hotel", date(2015, 7, 10), nights=1)
    given(model, requested("a", elsewhere)).when(AcceptReservation("a", elsewhere)).then(
        ReservationRejected("a", elsewhere, "sold_out")
    )


def test_an_acceptance_that_comes_twice_changes_nothing() -> None:
    given(model, requested(), accepted()).when(AcceptReservation("a", STAY)).then()


def test_an_acceptance_of_other_nights_than_asked_for_is_refused() -> None:
    longer = Stay("City Hotel", date(2015, 7, 10), nights=4)
    given(model, requested()).when(AcceptReservation("a", longer)).refused("other_stay")


def test_nothing_is_done_with_a_reservation_that_nobody_asked_for() -> None:
    for command in (
        AcceptReservation("a", STAY),
        RequestCancellation("a"),
        CancelReservation("a"),
        CheckIn("a"),
        CheckOut("a"),
        MarkNoShow("a"),
    ):
        given(model).when(command).refused("unknown_reservation")


def test_a_cancellation_is_asked_for_and_then_carried_out() -> None:
    held = (requested(), accepted())
    given(model, *held).when(RequestCancellation("a")).then(CancellationRequested("a"))
    given(model, *held, CancellationRequested("a")).when(CancelReservation("a")).then(
        ReservationCancelled("a", STAY)
    )


def test_a_cancellation_that_comes_twice_changes_nothing() -> None:
    asked = (requested(), accepted(), CancellationRequested("a"))
    given(model, *asked).when(RequestCancellation("a")).then()
    done = (*asked, ReservationCancelled("a", STAY))
    given(model, *done).when(RequestCancellation("a")).then()
    given(model, *done).when(CancelReservation("a")).then()


def test_a_cancellation_that_comes_before_the_acceptance_is_refused() -> None:
    given(model, requested()).when(RequestCancellation("a")).refused("not_accepted")


def test_nobody_cancels_what_the_guest_did_not_ask_to_cancel() -> None:
    given(model, requested(), accepted()).when(CancelReservation("a")).refused("not_asked")


def test_a_stay_is_paid_for_when_the_guest_leaves() -> None:
    here = (requested(), accepted(), GuestCheckedIn("a", STAY))
    leaving = datetime(2015, 7, 13, 10, tzinfo=UTC)
    given(model, *here).when(CheckOut("a"), at=leaving).then(
        GuestCheckedOut("a", STAY, date(2015, 7, 13), "Direct", Decimal("240.30"))
    )


def test_a_guest_checks_in_once_and_only_when_accepted() -> None:
    given(model, requested(), accepted()).when(CheckIn("a")).then(GuestCheckedIn("a", STAY))
    given(model, requested()).when(CheckIn("a")).refused("not_accepted")
    here = (requested(), accepted(), GuestCheckedIn("a", STAY))
    given(model, *here).when(CheckIn("a")).then()
    given(model, *here).when(MarkNoShow("a")).refused("not_accepted")


def test_a_guest_who_is_not_here_cannot_leave() -> None:
    given(model, requested(), accepted()).when(CheckOut("a")).refused("not_checked_in")


def test_a_guest_can_be_given_up_long_before_the_arrival() -> None:
    given(model, requested(), accepted()).when(MarkNoShow("a"), at=NOW).then(
        GuestDidNotShow("a", STAY)
    )


def test_what_was_done_at_the_desk_is_not_done_again() -> None:
    left = GuestCheckedOut("a", STAY, date(2015, 7, 13), "Direct", Decimal("240.30"))
    gone = (requested(), accepted(), GuestCheckedIn("a", STAY), left)
    for command in (AcceptReservation("a", STAY), CheckIn("a"), CheckOut("a")):
        given(model, *gone).when(command).then()
    absent = (requested(), accepted(), GuestDidNotShow("a", STAY))
    given(model, *absent).when(MarkNoShow("a")).then()


def test_another_guests_events_do_not_turn_this_reservation() -> None:
    history = (requested(), ReservationRejected("b", STAY, "sold_out"), accepted("c"))
    given(model, *history).when(AcceptReservation("a", STAY)).then(accepted())


def test_only_an_acceptance_reads_nights() -> None:
    nights = ["night:City Hotel:2015-07-10", "night:City Hotel:2015-07-11"]
    assert reads(AcceptReservation("a", Stay("City Hotel", date(2015, 7, 10), 2))) == [
        "reservation:a",
        *nights,
    ]
    assert reads(request()) == reads(CancelReservation("a")) == ["reservation:a"]


def test_events_that_take_or_free_rooms_are_found_by_their_nights() -> None:
    nights = {f"night:City Hotel:{night}" for night in nights_of(STAY)}
    early = GuestCheckedOut("a", STAY, date(2015, 7, 12), "Direct", Decimal(0))
    for event in (accepted(), ReservationCancelled("a", STAY), GuestDidNotShow("a", STAY)):
        assert set(tags(event)) == nights | {"reservation:a"}
    assert tags(early) == ["reservation:a", "night:City Hotel:2015-07-12"]
    assert tags(requested()) == tags(CancellationRequested("a")) == ["reservation:a"]


def test_occupancy_follows_night_by_night() -> None:
    two = Stay("City Hotel", date(2015, 7, 10), nights=2)
    given(occupancy, accepted("a", two), accepted("b", STAY), ReservationCancelled("a", two)).shows(
        OccupiedNight("City Hotel", date(2015, 7, 10), 1),
        OccupiedNight("City Hotel", date(2015, 7, 11), 1),
        OccupiedNight("City Hotel", date(2015, 7, 12), 1),
    )


def test_revenue_is_summed_to_the_cent() -> None:
    left = date(2015, 7, 13)
    dime, double = Decimal("0.10"), Decimal("0.20")
    given(
        revenue,
        GuestCheckedOut("a", STAY, left, "Groups", dime),
        GuestCheckedOut("b", STAY, left, "Groups", double),
    ).shows(MonthlyRevenue("Groups", "2015-07", 2, Decimal("0.30")))


def test_outcomes_are_counted_by_hotel_and_month_of_arrival() -> None:
    given(outcomes, requested(), accepted(), ReservationCancelled("a", STAY)).shows(
        HotelMonth("City Hotel", "2015-07", requested=1, accepted=1, cancelled=1)
    )


def test_no_write_file_imports_a_read_file_nor_the_reverse() -> None:
    context = Path(reservation.reservations.__file__).parent
    for side, stranger in (("write", "read"), ("read", "write")):
        files = sorted(context.glob(f"*/{side}.py"))
        assert files
        for file in files:
            imported = [
                node.module or ""
                for node in ast.walk(ast.parse(file.read_text("utf-8")))
                if isinstance(node, ast.ImportFrom)
            ]
            ours = [name for name in imported if name.startswith("reservation.")]
            assert not [name for name in ours if name.endswith(f".{stranger}")], file
