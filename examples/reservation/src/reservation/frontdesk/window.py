"""Which nights and months the charts show: nine whole weeks, moved four at a time."""

from dataclasses import dataclass
from datetime import date, timedelta

WEEKS = 9
STEP = timedelta(weeks=4)
BACK = timedelta(days=29)
EARLIEST, LATEST = date(2000, 1, 3), date(2100, 1, 4)


@dataclass(frozen=True)
class Window:
    """Starts on a Monday."""

    start: date

    @property
    def end(self) -> date:
        """The first day after it."""
        return self.start + timedelta(weeks=WEEKS)

    @property
    def last(self) -> date:
        return self.end - timedelta(days=1)

    @property
    def nights(self) -> list[date]:
        return [self.start + timedelta(days=n) for n in range(7 * WEEKS)]

    @property
    def months(self) -> list[str]:
        """Each as `2015-07`."""
        return sorted({f"{night:%Y-%m}" for night in self.nights})

    def earlier(self) -> "Window":
        return Window(max(self.start - STEP, EARLIEST))

    def later(self) -> "Window":
        return Window(min(self.start + STEP, LATEST))


def around(today: date) -> Window:
    """About five weeks back, four ahead."""
    return _from(today - BACK)


def chosen(text: str | None, today: date) -> Window:
    """What the address says; what it says badly is as if it had not been said."""
    try:
        start = date.fromisoformat(text or "")
    except ValueError:
        return around(today)
    return _from(min(max(start, EARLIEST), LATEST))


def _from(day: date) -> Window:
    return Window(day - timedelta(days=day.weekday()))
