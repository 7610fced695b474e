"""One row a segment and month of arrival. Money is summed in the fold, in decimals, not in SQL."""

from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import select

from diptych import Query, View, Views
from reservation.reservations.events import GuestCheckedOut
from reservation.reservations.stay import month_of


@dataclass(frozen=True)
class MonthlyRevenue:
    segment: str
    month: str
    stays: int
    revenue: Decimal


def segment_and_month(event: GuestCheckedOut) -> tuple[str, str]:
    return event.segment, month_of(event.stay)


def earned(row: MonthlyRevenue | None, event: GuestCheckedOut) -> MonthlyRevenue:
    stays, revenue = (0, Decimal(0)) if row is None else (row.stays, row.revenue)
    segment, month = segment_and_month(event)
    return MonthlyRevenue(segment, month, stays + 1, revenue + event.revenue)


revenue = View(
    MonthlyRevenue,
    [earned],
    key=("segment", "month"),
    keys={GuestCheckedOut: segment_and_month},
    version=1,
)


@dataclass(frozen=True)
class RevenueBySegment(Query[list[MonthlyRevenue]]):
    """Of the months from `since` to `until`, both included, each as `2015-07`."""

    since: str = "0000-00"
    until: str = "9999-99"


async def revenue_by_segment(query: RevenueBySegment, views: Views) -> list[MonthlyRevenue]:
    rows = views.table(MonthlyRevenue)
    between = select(rows).where(rows.c.month >= query.since, rows.c.month <= query.until)
    return await views.all(MonthlyRevenue, between.order_by(rows.c.segment, rows.c.month))
