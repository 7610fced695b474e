"""The composition root: the one place that knows which parts make the application.

Nothing registers itself, nothing is found by scanning. To see what the application can do, read
the lists below; to add a feature, add its folder and its lines here.
"""

from diptych import App
from reservation.house import ROOMS, HouseClock
from reservation.reservations.accepting.write import Rooms
from reservation.reservations.carrying_out.read import to_do, what_is_to_do
from reservation.reservations.listing.read import (
    last_moment,
    last_reservations,
    listing,
    one_reservation,
)
from reservation.reservations.model import reservation_model
from reservation.reservations.occupancy.read import occupancy, occupied_nights
from reservation.reservations.outcomes.read import booking_outcomes, outcomes
from reservation.reservations.revenue.read import revenue, revenue_by_segment


def reservations(store: str, *, clock: HouseClock, rooms: Rooms = ROOMS) -> App:
    """The context `reservations` over one store, e.g. `sqlite:///reservations.db`."""
    return App(
        "reservations",
        store=store,
        write=[reservation_model(rooms)],
        read=[listing, occupancy, revenue, outcomes, to_do],
        answer=[
            last_reservations,
            one_reservation,
            last_moment,
            occupied_nights,
            revenue_by_segment,
            booking_outcomes,
            what_is_to_do,
        ],
        clock=clock,
    )
