"""One row a night and hotel. An event about a stay is split into its nights before the fold."""

from dataclasses import dataclass
from datetime import date

from sqlalchemy import select

from diptych import Query, View, Views
from reservation.reservations.events import (
    GuestCheckedOut,
    GuestDidNotShow,
    ReservationAccepted,
    ReservationCancelled,
)
from reservation.reservations.stay import nights_of


@dataclass(frozen=True)
class OccupiedNight:
    hotel: str
    night: date
    rooms: int


@dataclass(frozen=True)
class RoomsChanged:
    hotel: str
    night: date
    rooms: int


def taken(event: ReservationAccepted) -> list[RoomsChanged]:
    return [RoomsChanged(event.stay.hotel, night, +1) for night in nights_of(event.stay)]


def freed(event: ReservationCancelled | GuestDidNotShow) -> list[RoomsChanged]:
    return [RoomsChanged(event.stay.hotel, night, -1) for night in nights_of(event.stay)]


def left(event: GuestCheckedOut) -> list[RoomsChanged]:
    """A guest who leaves before the end frees the nights that are left over."""
    nights = nights_of(event.stay, since=event.left)
    return [RoomsChanged(event.stay.hotel, night, -1) for night in nights]


def occupy(row: OccupiedNight | None, change: RoomsChanged) -> OccupiedNight | None:
    rooms = change.rooms if row is None else row.rooms + change.rooms
    return None if rooms == 0 else OccupiedNight(change.hotel, change.night, rooms)


occupancy = View(
    OccupiedNight, [occupy], key=("hotel", "night"), split=[taken, freed, left], version=1
)


@dataclass(frozen=True)
class OccupiedNights(Query[list[OccupiedNight]]):
    """`until` is not among the nights."""

    since: date
    until: date


async def occupied_nights(query: OccupiedNights, views: Views) -> list[OccupiedNight]:
    nights = views.table(OccupiedNight)
    between = select(nights).where(nights.c.night >= query.since, nights.c.night < query.until)
    return await views.all(OccupiedNight, between.order_by(nights.c.hotel, nights.c.night))
