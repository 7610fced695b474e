"""Views that break at an amount."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from diptych import Query, Recorded, View, Views
from tests.integration.pots import Added, Removed, Total, total


def failing_total(at: int) -> View[Total]:
    """The totals, whose fold raises at an event of this amount."""

    def project(row: Total | None, event: Added | Removed, recorded: Recorded[Any]) -> Total | None:
        if event.amount == at:
            raise LookupError(f"amount {at}")
        return total(row, event, recorded)

    return View(Total, project, key="pot")


@dataclass(frozen=True)
class Largest:
    """A second view beside the totals."""

    pot: str
    amount: int


def larger(row: Largest | None, event: Added) -> Largest | None:
    return Largest(event.pot, max(event.amount, 0 if row is None else row.amount))


largest = View(Largest, larger, key="pot")


@dataclass(frozen=True)
class AllLargest(Query[list[Largest]]): ...


async def all_largest(query: AllLargest, views: Views) -> list[Largest]:
    table = views.table(Largest)
    return await views.all(Largest, select(table).order_by(table.c.pot))
