"""CheckIn, CheckOut and MarkNoShow: what happens at the desk once a stay is accepted.

Each may come again after it was done; then nothing is left to do.
"""

from dataclasses import dataclass

from diptych import Context, Refused
from reservation.reservations.events import GuestCheckedIn, GuestCheckedOut, GuestDidNotShow
from reservation.reservations.reservation import Booking, Reservation, Status


@dataclass(frozen=True)
class CheckIn:
    reservation_id: str


@dataclass(frozen=True)
class CheckOut:
    reservation_id: str


@dataclass(frozen=True)
class MarkNoShow:
    reservation_id: str


def check_in(command: CheckIn, reservation: Reservation) -> list[GuestCheckedIn]:
    booking = reservation.booking(command.reservation_id)
    match booking.status:
        case Status.ACCEPTED:
            return [GuestCheckedIn(command.reservation_id, booking.stay)]
        case Status.CHECKED_IN | Status.CHECKED_OUT:
            return []
        case _:
            raise _is_not(Status.ACCEPTED, booking)


def check_out(
    command: CheckOut, reservation: Reservation, context: Context
) -> list[GuestCheckedOut]:
    booking = reservation.booking(command.reservation_id)
    match booking.status:
        case Status.CHECKED_IN:
            stay, left = booking.stay, context.now.date()
            revenue = booking.rate * stay.nights
            return [GuestCheckedOut(command.reservation_id, stay, left, booking.segment, revenue)]
        case Status.CHECKED_OUT:
            return []
        case _:
            raise _is_not(Status.CHECKED_IN, booking)


def mark_no_show(command: MarkNoShow, reservation: Reservation) -> list[GuestDidNotShow]:
    """On any day: the real bookings hold one that was given up 111 days before its arrival."""
    booking = reservation.booking(command.reservation_id)
    match booking.status:
        case Status.ACCEPTED:
            return [GuestDidNotShow(command.reservation_id, booking.stay)]
        case Status.NO_SHOW:
            return []
        case _:
            raise _is_not(Status.ACCEPTED, booking)


def checked_in(reservation: Reservation, event: GuestCheckedIn) -> Reservation:
    return reservation.turned(event.reservation_id, Status.CHECKED_IN)


def checked_out(reservation: Reservation, event: GuestCheckedOut) -> Reservation:
    out = reservation.turned(event.reservation_id, Status.CHECKED_OUT)
    return out.rooms(event.stay, -1, since=event.left)


def did_not_show(reservation: Reservation, event: GuestDidNotShow) -> Reservation:
    return reservation.turned(event.reservation_id, Status.NO_SHOW).rooms(event.stay, -1)


def _is_not(status: Status, booking: Booking) -> Refused:
    message = f"{booking.reservation_id} is {booking.status}, not {status}"
    return Refused(f"not_{status.lower()}", message)
