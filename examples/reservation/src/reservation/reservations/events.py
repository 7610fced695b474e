"""What can happen to a reservation: the facts that both panels speak of.

Each carries what its readers need (the stay, above all), so that no query model has to ask another.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from reservation.reservations.stay import Party, Stay


@dataclass(frozen=True)
class ReservationRequested:
    reservation_id: str
    guest: str
    party: Party
    stay: Stay
    segment: str
    rate: Decimal


@dataclass(frozen=True)
class ReservationAccepted:
    reservation_id: str
    stay: Stay


@dataclass(frozen=True)
class ReservationRejected:
    """A recorded answer, not a refusal: the guest did ask, and was told no."""

    reservation_id: str
    stay: Stay
    reason: str


@dataclass(frozen=True)
class CancellationRequested:
    reservation_id: str


@dataclass(frozen=True)
class ReservationCancelled:
    reservation_id: str
    stay: Stay


@dataclass(frozen=True)
class GuestCheckedIn:
    reservation_id: str
    stay: Stay


@dataclass(frozen=True)
class GuestCheckedOut:
    """`left` may be before the booked end: the nights from then on are free again, though paid."""

    reservation_id: str
    stay: Stay
    left: date
    segment: str
    revenue: Decimal


@dataclass(frozen=True)
class GuestDidNotShow:
    reservation_id: str
    stay: Stay


Event = (
    ReservationRequested
    | ReservationAccepted
    | ReservationRejected
    | CancellationRequested
    | ReservationCancelled
    | GuestCheckedIn
    | GuestCheckedOut
    | GuestDidNotShow
)
