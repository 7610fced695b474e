"""CheckIn, CheckOut and MarkNoShow: what happens at the desk once a stay is accepted."""

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
    booking = _only(Status.ACCEPTED, reservation.booking(command.reservation_id))
    return [GuestCheckedIn(command.reservation_id, booking.stay)]


def check_out(
    command: CheckOut, reservation: Reservation, context: Context
) -> list[GuestCheckedOut]:
    booking = _only(Status.CHECKED_IN, reservation.booking(command.reservation_id))
    revenue = booking.rate * booking.stay.nights
    left = context.now.date()
    return [GuestCheckedOut(command.reservation_id, booking.stay, left, booking.segment, revenue)]


def mark_no_show(command: MarkNoShow, reservation: Reservation) -> list[GuestDidNotShow]:
    """On any day: the real bookings hold one that was given up 111 days before its arrival."""
    booking = _only(Status.ACCEPTED, reservation.booking(command.reservation_id))
    return [GuestDidNotShow(command.reservation_id, booking.stay)]


def checked_in(reservation: Reservation, event: GuestCheckedIn) -> Reservation:
    return reservation.turned(event.reservation_id, Status.CHECKED_IN)


def checked_out(reservation: Reservation, event: GuestCheckedOut) -> Reservation:
    out = reservation.turned(event.reservation_id, Status.CHECKED_OUT)
    return out.rooms(event.stay, -1, since=event.left)


def did_not_show(reservation: Reservation, event: GuestDidNotShow) -> Reservation:
    return reservation.turned(event.reservation_id, Status.NO_SHOW).rooms(event.stay, -1)


def _only(status: Status, booking: Booking) -> Booking:
    if booking.status is not status:
        code = f"not_{status.lower()}"
        raise Refused(code, f"{booking.reservation_id} is {booking.status}, not {status}")
    return booking
