"""RequestReservation: taken down at once, whatever the hotel will say."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated

from msgspec import Meta

from diptych import Context, Refused
from reservation.reservations.events import ReservationRequested
from reservation.reservations.reservation import Booking, Reservation
from reservation.reservations.stay import Party, Stay


@dataclass(frozen=True)
class RequestReservation:
    reservation_id: Annotated[str, Meta(min_length=1, max_length=80)]
    guest: Annotated[str, Meta(min_length=1, max_length=120)]
    party: Party
    stay: Stay
    segment: Annotated[str, Meta(min_length=1, max_length=40)]
    rate: Decimal


def request(
    command: RequestReservation, reservation: Reservation, context: Context
) -> list[ReservationRequested]:
    if reservation.own is not None:
        if _same(command, reservation.own):
            return []
        raise Refused("requested_already", f"{command.reservation_id} is another guest's")
    if command.party.guests == 0:
        raise Refused("no_guest", "a reservation needs at least one guest")
    if command.stay.arrival < context.now.date():
        raise Refused("arrival_passed", f"{command.stay.arrival} is before {context.now:%Y-%m-%d}")
    if command.rate < 0:
        raise Refused("negative_rate", f"a night cannot cost {command.rate}")
    return [
        ReservationRequested(
            command.reservation_id,
            command.guest,
            command.party,
            command.stay,
            command.segment,
            command.rate,
        )
    ]


def _same(command: RequestReservation, booking: Booking) -> bool:
    """Whether it is the request that was taken down before, come once more."""
    asked = (command.guest, command.stay, command.segment, command.rate)
    return asked == (booking.guest, booking.stay, booking.segment, booking.rate)


def requested(reservation: Reservation, event: ReservationRequested) -> Reservation:
    return reservation.requested(event)
