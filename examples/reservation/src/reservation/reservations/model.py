"""The write model: the features' functions joined, and the border inside which they are consistent.

A boundary instead of one aggregate per hotel: a reservation is decided against the nights it would
take, and against nothing else. Two stays that share no night never wait for one another.
"""

from collections.abc import Callable, Iterable
from datetime import date

from diptych import Boundary, Decider
from reservation.reservations.accepting.write import (
    AcceptReservation,
    Rooms,
    accept_within,
    accepted,
    rejected,
)
from reservation.reservations.cancelling.write import (
    CancelReservation,
    RequestCancellation,
    cancel,
    cancellation_requested,
    cancelled,
    request_cancellation,
)
from reservation.reservations.events import (
    Event,
    GuestCheckedOut,
    GuestDidNotShow,
    ReservationAccepted,
    ReservationCancelled,
)
from reservation.reservations.requesting.write import RequestReservation, request, requested
from reservation.reservations.reservation import Reservation
from reservation.reservations.stay import Stay, nights_of
from reservation.reservations.staying.write import (
    CheckIn,
    CheckOut,
    MarkNoShow,
    check_in,
    check_out,
    checked_in,
    checked_out,
    did_not_show,
    mark_no_show,
)

Command = (
    RequestReservation
    | AcceptReservation
    | RequestCancellation
    | CancelReservation
    | CheckIn
    | CheckOut
    | MarkNoShow
)


def reads(command: Command) -> list[str]:
    """A decision looks at its own reservation; only an acceptance looks at the nights as well."""
    own = f"reservation:{command.reservation_id}"
    match command:
        case AcceptReservation(stay=stay):
            return [own, *_nights(stay)]
        case _:
            return [own]


def tags(event: Event) -> list[str]:
    """An event is found by its reservation and, where it takes or frees rooms, by their nights."""
    own = f"reservation:{event.reservation_id}"
    match event:
        case ReservationAccepted() | ReservationCancelled() | GuestDidNotShow():
            return [own, *_nights(event.stay)]
        case GuestCheckedOut(stay=stay, left=left):
            return [own, *_nights(stay, since=left)]
        case _:
            return [own]


def reservation_model(rooms: Rooms) -> Boundary[Reservation]:
    decide: list[Callable[..., Iterable[Event]]] = [
        request,
        accept_within(rooms),
        request_cancellation,
        cancel,
        check_in,
        check_out,
        mark_no_show,
    ]
    evolve: list[Callable[..., Reservation]] = [
        requested,
        accepted,
        rejected,
        cancellation_requested,
        cancelled,
        checked_in,
        checked_out,
        did_not_show,
    ]
    return Boundary(
        "reservation",
        Decider(Reservation(), decide, evolve),
        reads=reads,
        tags=tags,
        key="reservation_id",
    )


def _nights(stay: Stay, since: date = date.min) -> list[str]:
    return [f"night:{stay.hotel}:{night}" for night in nights_of(stay, since)]
