"""One row a reservation, and the questions that the desk asks of it."""

from dataclasses import dataclass, replace
from datetime import date, datetime

from sqlalchemy import func, select

from diptych import Query, Recorded, View, Views
from reservation.reservations.events import (
    CancellationRequested,
    GuestCheckedIn,
    GuestCheckedOut,
    GuestDidNotShow,
    ReservationAccepted,
    ReservationCancelled,
    ReservationRejected,
    ReservationRequested,
)


@dataclass(frozen=True)
class ListedReservation:
    """`asked` is the position of the request in the log: the order of the list."""

    reservation_id: str
    guest: str
    guests: int
    hotel: str
    arrival: date
    nights: int
    segment: str
    status: str
    reason: str
    asked: int
    asked_at: datetime
    changed: int
    changed_at: datetime


Later = (
    ReservationAccepted
    | ReservationRejected
    | CancellationRequested
    | ReservationCancelled
    | GuestCheckedIn
    | GuestCheckedOut
    | GuestDidNotShow
)

STATUS: dict[type[Later], str] = {
    ReservationAccepted: "ACCEPTED",
    ReservationRejected: "REJECTED",
    CancellationRequested: "CANCELLATION_REQUESTED",
    ReservationCancelled: "CANCELLED",
    GuestCheckedIn: "CHECKED_IN",
    GuestCheckedOut: "CHECKED_OUT",
    GuestDidNotShow: "NO_SHOW",
}


def listed(
    row: ListedReservation | None,
    event: ReservationRequested,
    recorded: Recorded[ReservationRequested],
) -> ListedReservation:
    return ListedReservation(
        reservation_id=event.reservation_id,
        guest=event.guest,
        guests=event.party.guests,
        hotel=event.stay.hotel,
        arrival=event.stay.arrival,
        nights=event.stay.nights,
        segment=event.segment,
        status="REQUESTED",
        reason="",
        asked=recorded.position,
        asked_at=recorded.time,
        changed=recorded.position,
        changed_at=recorded.time,
    )


def turned(
    row: ListedReservation | None, event: Later, recorded: Recorded[Later]
) -> ListedReservation | None:
    if row is None:
        return None
    return replace(
        row,
        status=STATUS[type(event)],
        reason=event.reason if isinstance(event, ReservationRejected) else row.reason,
        changed=recorded.position,
        changed_at=recorded.time,
    )


listing = View(ListedReservation, [listed, turned], key="reservation_id", version=1)


@dataclass(frozen=True)
class LastReservations(Query[list[ListedReservation]]):
    limit: int = 50


@dataclass(frozen=True)
class OneReservation(Query[ListedReservation | None]):
    reservation_id: str


@dataclass(frozen=True)
class LastMoment(Query[datetime | None]):
    """When something last happened to any reservation; None before the first."""


async def last_reservations(query: LastReservations, views: Views) -> list[ListedReservation]:
    rows = views.table(ListedReservation)
    latest = select(rows).order_by(rows.c.asked.desc()).limit(query.limit)
    return await views.all(ListedReservation, latest)


async def one_reservation(query: OneReservation, views: Views) -> ListedReservation | None:
    return await views.get(ListedReservation, query.reservation_id)


async def last_moment(query: LastMoment, views: Views) -> datetime | None:
    rows = views.table(ListedReservation)
    latest = await views.all(
        ListedReservation,
        select(rows).where(rows.c.changed == select(func.max(rows.c.changed)).scalar_subquery()),
    )
    return latest[0].changed_at if latest else None
