"""The pots of `pots.py` as pydantic models: the same names, the same fields, the same decisions."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select

from diptych import App, Context, Decider, EventSourced, Query, Recorded, Refused, View, Views


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Put(Frozen):
    pot: str
    amount: int = Field(gt=0, alias="cents")


class Take(Frozen):
    pot: str
    amount: Annotated[int, Field(gt=0)]


class Added(Frozen):
    pot: str
    amount: int
    seen: int = 0
    upon: str = ""
    mark: str = ""


class Removed(Frozen):
    pot: str
    amount: int
    seen: int = 0
    upon: str = ""
    mark: str = ""
    by: str = ""


class Pot(Frozen):
    amount: int = 0
    events: int = 0
    mark: str = ""


def put(command: Put, pot: Pot, context: Context) -> list[Added]:
    mark = context.new_id("event")
    return [
        Added(pot=command.pot, amount=command.amount, seen=pot.events, upon=pot.mark, mark=mark)
    ]


def take(command: Take, pot: Pot, context: Context) -> list[Removed]:
    if command.amount > pot.amount:
        raise Refused("too_little", f"{pot.amount} in the pot", there=pot.amount)
    return [
        Removed(
            pot=command.pot,
            amount=command.amount,
            seen=pot.events,
            upon=pot.mark,
            mark=context.new_id("event"),
            by=context.principal.id,
        )
    ]


def changed(pot: Pot, event: Added | Removed) -> Pot:
    sign = 1 if isinstance(event, Added) else -1
    return Pot(amount=pot.amount + sign * event.amount, events=event.seen + 1, mark=event.mark)


pots = EventSourced("pot", Decider(Pot(), [put, take], changed), key="pot")


class Total(Frozen):
    pot: str
    amount: int
    events: int
    position: int


def total(row: Total | None, event: Added | Removed, recorded: Recorded[Any]) -> Total | None:
    before = row or Total(pot=event.pot, amount=0, events=0, position=0)
    sign = 1 if isinstance(event, Added) else -1
    return before.model_copy(
        update={
            "amount": before.amount + sign * event.amount,
            "events": before.events + 1,
            "position": recorded.position,
        }
    )


totals = View(Total, total, key="pot")


class TotalOf(Frozen, Query[Total | None]):
    pot: str = Field(min_length=1)


class AllTotals(Frozen, Query[list[Total]]):
    pass


async def total_of(query: TotalOf, views: Views) -> Total | None:
    return await views.get(Total, query.pot)


async def all_totals(query: AllTotals, views: Views) -> list[Total]:
    table = views.table(Total)
    return await views.all(Total, select(table).order_by(table.c.pot))


def model_bank(url: str, **more: Any) -> App:
    """An app of this domain; it can open what `pots.bank(url, write=[pots.pots])` has written."""
    parts: dict[str, Any] = {
        "write": [pots],
        "read": [totals],
        "answer": [total_of, all_totals],
    }
    return App("bank", store=url, **parts | more)
