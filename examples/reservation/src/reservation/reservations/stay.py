"""A stay and its nights: words that every event, command and query model of the context shares."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Annotated

from msgspec import Meta


@dataclass(frozen=True)
class Stay:
    """Zero nights is a day use: real, paid for, and it takes no room for any night."""

    hotel: Annotated[str, Meta(min_length=1, max_length=80)]
    arrival: date
    nights: Annotated[int, Meta(ge=0, le=366)]


@dataclass(frozen=True)
class Party:
    adults: Annotated[int, Meta(ge=0, le=100)]
    children: Annotated[int, Meta(ge=0, le=100)] = 0
    babies: Annotated[int, Meta(ge=0, le=100)] = 0

    @property
    def guests(self) -> int:
        return self.adults + self.children + self.babies


def nights_of(stay: Stay, since: date = date.min) -> list[date]:
    """The nights of a stay, each by the date of its evening, from `since` on."""
    days = (stay.arrival + timedelta(days=n) for n in range(stay.nights))
    return [night for night in days if night >= since]


def month_of(stay: Stay) -> str:
    """The month of arrival, as `2015-07`: the one to which its revenue and its end are counted."""
    return f"{stay.arrival:%Y-%m}"
