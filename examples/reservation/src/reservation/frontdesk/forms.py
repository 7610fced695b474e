"""What a visitor sends: taken apart field by field, so that each mistake has its message."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Generic, TypeVar
from uuid import UUID

from reservation.frontdesk.words import day

FIELDS = ("guest", "hotel", "arrival", "nights", "adults", "children", "babies")
AHEAD = timedelta(days=730)
DAY = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")
LONGEST_STAY = 56
LONGEST_NAME = 80

Errors = dict[str, str]
T = TypeVar("T")


@dataclass(frozen=True)
class StayForm:
    """A request for a stay, as it crosses HTTP."""

    guest: str
    hotel: str
    arrival: date
    nights: int
    adults: int
    children: int
    babies: int


@dataclass(frozen=True)
class Field(Generic[T]):
    """Either a value or what is wrong with it."""

    value: T
    error: str = ""


def read_stay(
    sent: Mapping[str, object], *, hotels: Collection[str], today: date
) -> StayForm | Errors:
    """The form, or the message for each field that is not right."""
    guest = _name(sent.get("guest"))
    hotel = _choice(sent.get("hotel"), hotels)
    arrival = _arrival(sent.get("arrival"), today)
    nights = _number(sent.get("nights"), "nights", most=LONGEST_STAY)
    adults = _number(sent.get("adults"), "adults", most=20)
    children = _number(sent.get("children", 0), "children", most=10)
    babies = _number(sent.get("babies", 0), "babies", most=10)
    read: dict[str, Field[str] | Field[date] | Field[int]] = {
        "guest": guest,
        "hotel": hotel,
        "arrival": arrival,
        "nights": nights,
        "adults": adults,
        "children": children,
        "babies": babies,
    }
    errors = {name: field.error for name, field in read.items() if field.error}
    errors |= dict.fromkeys(_unknown(sent), "There is no such field.")
    if errors:
        return errors
    if adults.value + children.value + babies.value == 0:
        return {"adults": "At least one guest has to come."}
    return StayForm(
        guest.value,
        hotel.value,
        arrival.value,
        nights.value,
        adults.value,
        children.value,
        babies.value,
    )


def read_ticket(sent: object) -> UUID | None:
    """The visitor's own id for this request: sending it twice asks once."""
    try:
        return UUID(str(sent)[:64])
    except ValueError:
        return None


def _unknown(sent: Mapping[str, object]) -> list[str]:
    return sorted(str(name)[:40] for name in sent.keys() - {*FIELDS, "ticket"})


def _name(sent: object) -> Field[str]:
    if not isinstance(sent, str) or not (name := " ".join(sent.split())):
        return Field("", "Please tell us the guest's name.")
    if len(name) > LONGEST_NAME:
        return Field("", f"At most {LONGEST_NAME} characters, please.")
    if not name.isprintable():
        return Field("", "This name has characters that cannot be printed.")
    return Field(name)


def _choice(sent: object, choices: Collection[str]) -> Field[str]:
    if isinstance(sent, str) and sent in choices:
        return Field(sent)
    return Field("", f"Please choose one of: {', '.join(choices)}.")


def _arrival(sent: object, today: date) -> Field[date]:
    try:
        # only this form: fromisoformat would take week dates and bare digits too
        if not isinstance(sent, str) or not DAY.fullmatch(sent):
            raise ValueError
        arrival = date.fromisoformat(sent)
    except ValueError:
        return Field(today, f"Please give a date, such as {today}.")
    if arrival < today:
        return Field(today, f"This day has passed: in this house it is {day(today)}.")
    if arrival > today + AHEAD:
        return Field(today, f"We take bookings up to {day(today + AHEAD)}.")
    return Field(arrival)


def _number(sent: object, name: str, *, most: int) -> Field[int]:
    text = str(sent).strip() if isinstance(sent, str | int) and not isinstance(sent, bool) else ""
    digits = text.removeprefix("-")
    # ASCII digits alone, and few of them: int() would take other scripts, and hours for a million
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 6):
        return Field(0, f"Please give the number of {name}, from 0 to {most}.")
    number = int(text)
    if not 0 <= number <= most:
        return Field(0, f"The number of {name} can be from 0 to {most}.")
    return Field(number)
