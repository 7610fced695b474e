"""Dates, amounts and freshness in words that a person reads."""

from datetime import date, timedelta
from decimal import Decimal

from diptych import Answer


def count(number: int, one: str, many: str = "") -> str:
    """`1 night`, `2 nights`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def day(value: date) -> str:
    """`Fri 14 Aug 2015`."""
    return f"{value:%a} {value.day} {value:%b} {value.year}"


def short_day(value: date) -> str:
    return f"{value.day} {value:%b}"


def month(value: str) -> str:
    """`2015-07` as `Jul 2015`."""
    return f"{date.fromisoformat(value + '-01'):%b %Y}"


def euros(amount: Decimal) -> str:
    return f"€{amount:,.0f}"


def percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f}%" if whole else "\u2013"


def freshness(answer: Answer[object], *, replaying: bool = False) -> str:
    """How fresh an answer is. An idle log does not age: then there is nothing newer to know.

    Args:
        replaying: The house's clock jumps from day to day just now, so ages mean nothing.
    """
    if answer.position == 0:
        return "Nothing has happened yet"
    so_far = f"As of event {answer.position:,}"
    if replaying:
        return f"{so_far}, more is coming in"
    if answer.stale:
        return f"{so_far}, {duration(answer.age)} behind"
    return f"{so_far}, nothing newer is waiting"


def duration(age: timedelta) -> str:
    seconds = age.total_seconds()
    if seconds < 1:
        return "less than a second"
    if seconds < 90:
        return count(round(seconds), "second")
    if seconds < 90 * 60:
        return count(round(seconds / 60), "minute")
    if seconds < 36 * 3600:
        return count(round(seconds / 3600), "hour")
    return count(round(seconds / 86400), "day")
