"""The state on which the context decides, and nothing more than its decisions need."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from enum import StrEnum

from diptych import Refused
from reservation.reservations.events import ReservationRequested
from reservation.reservations.stay import Stay


class Status(StrEnum):
    REQUESTED = "REQUESTED"
    ACCEPTED = "ACCEPTED"
    REJECTED = "REJECTED"
    CANCELLATION_REQUESTED = "CANCELLATION_REQUESTED"
    CANCELLED = "CANCELLED"
    CHECKED_IN = "CHECKED_IN"
    CHECKED_OUT = "CHECKED_OUT"
    NO_SHOW = "NO_SHOW"


@dataclass(frozen=True)
class Booking:
    """The command's own reservation."""

    reservation_id: str
    guest: str
    stay: Stay
    segment: str
    rate: Decimal
    status: Status


def _nothing_taken() -> dict[int, int]:
    return {}


@dataclass(frozen=True)
class Reservation:
    """One reservation and, for AcceptReservation, the nights that it would share with others.

    The fold sees the events of every reservation that touches those nights. Only the command's own
    request carries its tag alone, so the first request seen says whose state this is.
    """

    own: Booking | None = None
    taken: Mapping[int, int] = field(default_factory=_nothing_taken)
    """Rooms taken by the day's ordinal: a number is a cheaper key than a date, and a hot night's
    fold sees hundreds of events."""

    def fullest(self, stay: Stay) -> int:
        """How many rooms are taken on the night of the stay on which the most are."""
        arrival = stay.arrival.toordinal()
        return max((self.taken.get(arrival + n, 0) for n in range(stay.nights)), default=0)

    def booking(self, reservation_id: str) -> Booking:
        if self.own is None:
            raise Refused("unknown_reservation", f"nobody asked for reservation {reservation_id}")
        return self.own

    def requested(self, event: ReservationRequested) -> "Reservation":
        own = Booking(
            reservation_id=event.reservation_id,
            guest=event.guest,
            stay=event.stay,
            segment=event.segment,
            rate=event.rate,
            status=Status.REQUESTED,
        )
        return Reservation(own, self.taken)

    def turned(self, reservation_id: str, status: Status) -> "Reservation":
        """The own reservation has a new status; another one's change is not ours to keep."""
        if self.own is None or self.own.reservation_id != reservation_id:
            return self
        return Reservation(replace(self.own, status=status), self.taken)

    def rooms(self, stay: Stay, change: int, since: date = date.min) -> "Reservation":
        """`change` rooms more (or fewer) are taken on the nights of the stay, from `since` on.

        Copies a small dictionary: the nights around one stay are a few dozen.
        """
        arrival = stay.arrival.toordinal()
        nights = range(max(arrival, since.toordinal()), arrival + stay.nights)
        if not nights:
            return self
        taken = dict(self.taken)
        for night in nights:
            taken[night] = taken.get(night, 0) + change
        return Reservation(self.own, taken)
