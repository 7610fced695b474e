"""AcceptReservation: the one decision that looks beyond its own reservation."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from diptych import Refused
from reservation.reservations.events import ReservationAccepted, ReservationRejected
from reservation.reservations.reservation import Reservation, Status
from reservation.reservations.stay import Stay

Rooms = Mapping[str, int]
"""How many rooms each hotel has. A hotel that is not named has none."""

Answer = list[ReservationAccepted | ReservationRejected]


@dataclass(frozen=True)
class AcceptReservation:
    """Carries the stay, because the nights it has to look at follow from the command alone."""

    reservation_id: str
    stay: Stay


def accept_within(rooms: Rooms) -> Callable[[AcceptReservation, Reservation], Answer]:
    """The decision for hotels of this size: configuration comes in as data, not as a global."""

    def accept(command: AcceptReservation, reservation: Reservation) -> Answer:
        booking = reservation.booking(command.reservation_id)
        if booking.stay != command.stay:
            raise Refused("other_stay", f"{command.reservation_id} asked for {booking.stay}")
        if booking.status is not Status.REQUESTED:
            return []
        stay, size = booking.stay, rooms.get(booking.stay.hotel, 0)
        # a day use takes no night, so a full house has room for it
        if stay.nights > 0 and reservation.fullest(stay) >= size:
            return [ReservationRejected(command.reservation_id, stay, "sold_out")]
        return [ReservationAccepted(command.reservation_id, stay)]

    return accept


def accepted(reservation: Reservation, event: ReservationAccepted) -> Reservation:
    return reservation.turned(event.reservation_id, Status.ACCEPTED).rooms(event.stay, +1)


def rejected(reservation: Reservation, event: ReservationRejected) -> Reservation:
    return reservation.turned(event.reservation_id, Status.REJECTED)
