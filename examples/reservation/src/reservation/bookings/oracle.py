"""What must come out in the end: computed from the file by two programs that share no code.

`counted` reads the rows as the example does; `tests/acceptance` counts them again in SQL. Neither
knows how the engine or the model work.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from decimal import Decimal

from reservation.bookings.file import CITY, RESORT, BookingRow, Ending


@dataclass(frozen=True)
class Totals:
    requests: int
    refused: int
    accepted: int
    rejected: int
    cancelled: int
    checked_out: int
    no_shows: int
    city_room_nights: int
    resort_room_nights: int
    revenue: Decimal

    def facts(self) -> dict[str, int | Decimal]:
        return {field.name: getattr(self, field.name) for field in fields(self)}


WHOLE_FILE = Totals(
    requests=14_938,
    refused=15,
    accepted=14_923,
    rejected=0,
    cancelled=7_790,
    checked_out=6_926,
    no_shows=207,
    city_room_nights=8_964,
    resort_room_nights=17_423,
    revenue=Decimal("2329116.86"),
)

DATED_BEFORE_ARRIVAL = 7036
"""The row whose guest was given up 111 days before the arrival: taken as it is, and listed."""


def counted(bookings: Iterable[BookingRow]) -> Totals:
    """The totals of some of the rows, in hotels that are never full."""
    rows = list(bookings)
    accepted = [row for row in rows if row.party.guests > 0]
    stays = [row for row in accepted if row.ending is Ending.CHECKED_OUT]
    return Totals(
        requests=len(rows),
        refused=len(rows) - len(accepted),
        accepted=len(accepted),
        rejected=0,
        cancelled=sum(row.ending is Ending.CANCELLED for row in accepted),
        checked_out=len(stays),
        no_shows=sum(row.ending is Ending.NO_SHOW for row in accepted),
        city_room_nights=sum(row.stay.nights for row in stays if row.stay.hotel == CITY),
        resort_room_nights=sum(row.stay.nights for row in stays if row.stay.hotel == RESORT),
        revenue=sum((row.rate * row.stay.nights for row in stays), Decimal(0)),
    )
