"""Everything that the page shows, asked for at once, each answer with its own freshness."""

import asyncio
from dataclasses import dataclass

from diptych import Answer, App
from reservation.frontdesk.window import Window
from reservation.reservations.listing.read import LastReservations, ListedReservation
from reservation.reservations.occupancy.read import OccupiedNight, OccupiedNights
from reservation.reservations.outcomes.read import BookingOutcomes, HotelMonth
from reservation.reservations.revenue.read import MonthlyRevenue, RevenueBySegment


@dataclass(frozen=True)
class Snapshot:
    listing: Answer[list[ListedReservation]]
    nights: Answer[list[OccupiedNight]]
    revenue: Answer[list[MonthlyRevenue]]
    outcomes: Answer[list[HotelMonth]]


async def snapshot(app: App, window: Window, after: int = 0) -> Snapshot:
    """As of position `after` at least; an answer that cannot be had in time is marked stale."""
    first, last = window.months[0], window.months[-1]
    listing, nights, revenue, outcomes = await asyncio.gather(
        app.answer(LastReservations(), after=after),
        app.answer(OccupiedNights(window.start, window.end), after=after),
        app.answer(RevenueBySegment(first, last), after=after),
        app.answer(BookingOutcomes(first, last), after=after),
    )
    return Snapshot(listing, nights, revenue, outcomes)
