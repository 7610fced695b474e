"""RequestCancellation and CancelReservation: repeating either is harmless.

A button can be pressed twice, and a message can arrive twice.
"""

from dataclasses import dataclass

from diptych import Refused
from reservation.reservations.events import CancellationRequested, ReservationCancelled
from reservation.reservations.reservation import Reservation, Status


@dataclass(frozen=True)
class RequestCancellation:
    reservation_id: str


@dataclass(frozen=True)
class CancelReservation:
    reservation_id: str


def request_cancellation(
    command: RequestCancellation, reservation: Reservation
) -> list[CancellationRequested]:
    booking = reservation.booking(command.reservation_id)
    match booking.status:
        case Status.ACCEPTED:
            return [CancellationRequested(command.reservation_id)]
        case Status.CANCELLATION_REQUESTED | Status.CANCELLED:
            return []
        case status:
            raise Refused("not_accepted", f"{command.reservation_id} is {status}, not ACCEPTED")


def cancel(command: CancelReservation, reservation: Reservation) -> list[ReservationCancelled]:
    booking = reservation.booking(command.reservation_id)
    match booking.status:
        case Status.CANCELLATION_REQUESTED:
            return [ReservationCancelled(command.reservation_id, booking.stay)]
        case Status.CANCELLED:
            return []
        case status:
            raise Refused("not_asked", f"nobody asked to cancel {command.reservation_id}: {status}")


def cancellation_requested(reservation: Reservation, event: CancellationRequested) -> Reservation:
    return reservation.turned(event.reservation_id, Status.CANCELLATION_REQUESTED)


def cancelled(reservation: Reservation, event: ReservationCancelled) -> Reservation:
    return reservation.turned(event.reservation_id, Status.CANCELLED).rooms(event.stay, -1)
