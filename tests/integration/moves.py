"""A projection of the pots: one line for each move, and a count of the moves of each size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Integer, MetaData, Table, Text, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert

from diptych import App, Projection, Query, Recorded, Views
from tests.integration.pots import Added, Removed, bank

metadata = MetaData()
moves = Table(
    "moves",
    metadata,
    Column("position", Integer, primary_key=True),
    Column("pot", Text, nullable=False),
    Column("amount", Integer, nullable=False),
)
sizes = Table(
    "sizes",
    metadata,
    Column("amount", Integer, primary_key=True),
    Column("moves", Integer, nullable=False),
)


def moved(event: Added | Removed, recorded: Recorded[Any]) -> Iterator[Any]:
    """The second statement counts: executed twice, or not at all, it would show."""
    amount = event.amount if isinstance(event, Added) else -event.amount
    yield insert(moves).values(position=recorded.position, pot=event.pot, amount=amount)
    one = upsert(sizes).values(amount=amount, moves=1)
    yield one.on_conflict_do_update(index_elements=["amount"], set_={"moves": sizes.c.moves + 1})


ledger = Projection("ledger", moved, tables=metadata)


@dataclass(frozen=True)
class Move:
    position: int
    pot: str
    amount: int


@dataclass(frozen=True)
class AllMoves(Query[list[Move]]): ...


@dataclass(frozen=True)
class AllSizes(Query[dict[int, int]]): ...


async def all_moves(query: AllMoves, views: Views) -> list[Move]:
    return await views.all(Move, select(moves).order_by(moves.c.position))


@dataclass(frozen=True)
class Size:
    amount: int
    moves: int


async def all_sizes(query: AllSizes, views: Views) -> dict[int, int]:
    return {size.amount: size.moves for size in await views.all(Size, select(sizes))}


def ledger_bank(url: str, **more: Any) -> App:
    """The bank with this projection alone."""
    parts: dict[str, Any] = {"read": [ledger], "answer": [all_moves, all_sizes]}
    return bank(url, **parts | more)


@dataclass(frozen=True)
class Ask(Query[Any]):
    """Whatever the test says."""


def asking(function: Callable[[Views], Any]) -> Any:
    async def answer(query: Ask, views: Views) -> Any:
        return await function(views)

    return answer


async def refuse_other_moves(app: App) -> int:
    """Fails where the tables are not what the log says; returns how many moves there are."""
    await app.settled()
    expected: list[Move] = []
    counted: dict[int, int] = {}
    async for recorded in app.log.read():
        event = recorded.event
        if isinstance(event, Added | Removed):
            amount = event.amount if isinstance(event, Added) else -event.amount
            expected.append(Move(recorded.position, event.pot, amount))
            counted[amount] = counted.get(amount, 0) + 1
    assert await app.ask(AllMoves()) == expected
    assert await app.ask(AllSizes()) == counted
    return len(expected)
