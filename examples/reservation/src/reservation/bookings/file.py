"""The bookings' file: read as it is, untidy cells included."""

import csv
import hashlib
import lzma
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import cache
from importlib.resources import files
from io import StringIO
from itertools import islice
from uuid import NAMESPACE_OID, UUID, uuid5

from reservation.reservations.stay import Party, Stay

CITY, RESORT = "City Hotel", "Resort Hotel"

MONTHS: dict[str, int] = dict(
    zip(
        (
            "January February March April May June July August September October November December"
        ).split(),
        range(1, 13),
        strict=True,
    )
)


class Ending(StrEnum):
    CANCELLED = "Canceled"
    CHECKED_OUT = "Check-Out"
    NO_SHOW = "No-Show"


@dataclass(frozen=True)
class BookingRow:
    """One row; `row` counts from 1 and is the booking's identity."""

    row: int
    stay: Stay
    party: Party
    segment: str
    company: str | None
    rate: Decimal
    booked: date
    ending: Ending
    ended: date

    @property
    def reservation_id(self) -> str:
        return f"row-{self.row:05}"

    @property
    def before_arrival(self) -> int:
        """Days from the end of its story to its arrival: a stay cannot end so, a no-show did."""
        return (self.stay.arrival - self.ended).days


@cache
def text() -> str:
    packed = files("reservation.bookings").joinpath("data", "hotel_bookings.csv.xz").read_bytes()
    return lzma.decompress(packed).decode("utf-8")


@cache
def digest() -> str:
    return hashlib.sha256(text().encode("utf-8")).hexdigest()


@cache
def _namespace() -> UUID:
    return uuid5(NAMESPACE_OID, digest())


def command_id(row: int, step: int) -> str:
    """The same for the same file, row and step: a second replay finds every command done."""
    return str(uuid5(_namespace(), f"{row}:{step}"))


def bookings(limit: int | None = None) -> list[BookingRow]:
    """The first `limit` rows of the file, in its order; all of them without a limit."""
    lines = csv.DictReader(StringIO(text(), newline=""))
    return [_booking(row, cells) for row, cells in enumerate(islice(lines, limit), start=1)]


def _booking(row: int, cells: dict[str, str]) -> BookingRow:
    arrival = date(
        int(cells["arrival_date_year"]),
        MONTHS[cells["arrival_date_month"]],
        int(cells["arrival_date_day_of_month"]),
    )
    nights = int(cells["stays_in_weekend_nights"]) + int(cells["stays_in_week_nights"])
    return BookingRow(
        row=row,
        stay=Stay(cells["hotel"], arrival, nights),
        party=Party(int(cells["adults"]), _children(cells["children"]), int(cells["babies"])),
        segment=cells["market_segment"],
        company=None if cells["company"] == "NULL" else cells["company"],
        rate=Decimal(cells["adr"]),
        booked=arrival - timedelta(days=int(cells["lead_time"])),
        ending=Ending(cells["reservation_status"]),
        ended=_american(cells["reservation_status_date"]),
    )


def _children(cell: str) -> int:
    """Four cells say `NA`: nobody counted them, and nobody is billed for them."""
    return 0 if cell == "NA" else int(cell)


def _american(cell: str) -> date:
    month, day, year = map(int, cell.split("/"))
    return date(year, month, day)
