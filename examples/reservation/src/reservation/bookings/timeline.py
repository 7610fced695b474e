"""What happened, in the order in which it happened: each booking becomes a few dated commands."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from reservation.bookings.file import BookingRow, Ending, command_id
from reservation.bookings.guests import guest
from reservation.reservations.accepting.write import AcceptReservation
from reservation.reservations.cancelling.write import CancelReservation, RequestCancellation
from reservation.reservations.model import Command
from reservation.reservations.requesting.write import RequestReservation
from reservation.reservations.staying.write import CheckIn, CheckOut, MarkNoShow


@dataclass(frozen=True)
class Step:
    day: date
    row: int
    step: int
    command: Command

    @property
    def id(self) -> str:
        return command_id(self.row, self.step)


def timeline(bookings: Iterable[BookingRow], *, until: date = date.max) -> list[Step]:
    """By (date, row, step), up to and including `until`."""
    steps = [step for booking in bookings for step in story(booking) if step.day <= until]
    return sorted(steps, key=lambda step: (step.day, step.row, step.step))


def story(booking: BookingRow) -> list[Step]:
    """A booking's own steps, in order; no step is earlier than the one before it."""
    row, booked, ended = booking.row, booking.booked, booking.ended
    own = booking.reservation_id
    request = RequestReservation(
        own, guest(booking), booking.party, booking.stay, booking.segment, booking.rate
    )
    asked = [
        Step(booked, row, 1, request),
        Step(booked, row, 2, AcceptReservation(own, booking.stay)),
    ]
    match booking.ending:
        case Ending.CANCELLED:
            return [
                *asked,
                Step(ended, row, 3, RequestCancellation(own)),
                Step(ended, row, 4, CancelReservation(own)),
            ]
        case Ending.CHECKED_OUT:
            arrived = min(booking.stay.arrival, ended)
            return [
                *asked,
                Step(arrived, row, 3, CheckIn(own)),
                Step(ended, row, 4, CheckOut(own)),
            ]
        case Ending.NO_SHOW:
            return [*asked, Step(ended, row, 3, MarkNoShow(own))]
