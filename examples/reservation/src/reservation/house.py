"""The house: how large it is, and what time it is there."""

import time
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from decimal import Decimal

from reservation.bookings.file import CITY, RESORT

ROOMS = {CITY: 400, RESORT: 400}
"""The file has no capacity. At most 311 and 195 of its bookings ever touch one night."""

RATES = {CITY: Decimal("98.50"), RESORT: Decimal("84.00")}
"""What a visitor of the page pays for a night."""


class HouseClock:
    """Starts at a moment of our choice and runs on with real time; it is set forward, never back.

    The bookings are of 2015 to 2017. Under this clock their events carry the times at which they
    happened, and a visitor who comes after the replay finds the house on the day after it.
    """

    def __init__(self, start: datetime) -> None:
        self._start = start
        self._since = time.monotonic()

    def now(self) -> datetime:
        return self._start + timedelta(seconds=time.monotonic() - self._since)

    def today(self) -> date:
        return self.now().date()

    def reach(self, day: date) -> None:
        """It is the morning of that day, or later."""
        morning = datetime.combine(day, time_of_day(9), tzinfo=UTC)
        if morning > self.now():
            self.set(morning)

    def set(self, moment: datetime) -> None:
        self._start, self._since = moment, time.monotonic()


def clock_at(day: date) -> HouseClock:
    return HouseClock(datetime.combine(day, time_of_day(9), tzinfo=UTC))
