"""The next command for a task on the list, with an id that stays the same over all attempts."""

from typing import Literal
from uuid import UUID, uuid5

from reservation.reservations.accepting.write import AcceptReservation
from reservation.reservations.cancelling.write import CancelReservation
from reservation.reservations.stay import Stay

CARRYING_OUT = UUID("5a1d4cf0-6c0e-4a39-9d55-0b1c7a2f4e11")


def next_command(
    reservation_id: str, task: Literal["accept", "cancel"], stay: Stay | None
) -> AcceptReservation | CancelReservation:
    if task == "accept" and stay is not None:
        return AcceptReservation(reservation_id, stay)
    return CancelReservation(reservation_id)


def command_id(reservation_id: str, task: Literal["accept", "cancel"]) -> str:
    return str(uuid5(CARRYING_OUT, f"{reservation_id}:{task}"))
