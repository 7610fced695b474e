"""One row a hotel and month of arrival, counting what became of its reservations."""

from dataclasses import dataclass, replace

from sqlalchemy import select

from diptych import Query, View, Views
from reservation.reservations.events import (
    GuestCheckedIn,
    GuestCheckedOut,
    GuestDidNotShow,
    ReservationAccepted,
    ReservationCancelled,
    ReservationRejected,
    ReservationRequested,
)
from reservation.reservations.stay import month_of

Counted = (
    ReservationRequested
    | ReservationAccepted
    | ReservationRejected
    | ReservationCancelled
    | GuestCheckedIn
    | GuestCheckedOut
    | GuestDidNotShow
)


@dataclass(frozen=True)
class HotelMonth:
    """Each counter counts events, so `checked_in` includes the guests who have left since."""

    hotel: str
    month: str
    requested: int = 0
    accepted: int = 0
    rejected: int = 0
    cancelled: int = 0
    checked_in: int = 0
    checked_out: int = 0
    no_shows: int = 0
    room_nights: int = 0


def hotel_and_month(event: Counted) -> tuple[str, str]:
    return event.stay.hotel, month_of(event.stay)


def count(row: HotelMonth | None, event: Counted) -> HotelMonth:
    row = row or HotelMonth(*hotel_and_month(event))
    match event:
        case ReservationRequested():
            return replace(row, requested=row.requested + 1)
        case ReservationAccepted():
            return replace(row, accepted=row.accepted + 1)
        case ReservationRejected():
            return replace(row, rejected=row.rejected + 1)
        case ReservationCancelled():
            return replace(row, cancelled=row.cancelled + 1)
        case GuestCheckedIn():
            return replace(row, checked_in=row.checked_in + 1)
        case GuestCheckedOut(stay=stay):
            nights = row.room_nights + stay.nights
            return replace(row, checked_out=row.checked_out + 1, room_nights=nights)
        case GuestDidNotShow():
            return replace(row, no_shows=row.no_shows + 1)


outcomes = View(
    HotelMonth,
    [count],
    key=("hotel", "month"),
    keys={
        ReservationRequested: hotel_and_month,
        ReservationAccepted: hotel_and_month,
        ReservationRejected: hotel_and_month,
        ReservationCancelled: hotel_and_month,
        GuestCheckedIn: hotel_and_month,
        GuestCheckedOut: hotel_and_month,
        GuestDidNotShow: hotel_and_month,
    },
    version=1,
)


@dataclass(frozen=True)
class BookingOutcomes(Query[list[HotelMonth]]):
    """Of the months from `since` to `until`, both included, each as `2015-07`."""

    since: str = "0000-00"
    until: str = "9999-99"


async def booking_outcomes(query: BookingOutcomes, views: Views) -> list[HotelMonth]:
    rows = views.table(HotelMonth)
    between = select(rows).where(rows.c.month >= query.since, rows.c.month <= query.until)
    return await views.all(HotelMonth, between.order_by(rows.c.hotel, rows.c.month))
