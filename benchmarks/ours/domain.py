"""The model that is measured: an account that takes deposits, with the comparators' payload.

Its messages are msgspec Structs, as the hand-written comparator's are: the same decoder on both sides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from msgspec import Struct

from benchmarks.comparators.payload import NOTE, REFERENCE, WHEN
from diptych import App, Boundary, Decider, EventSourced, Limits, Query, View, Views


class Deposit(Struct, frozen=True):
    account_id: str
    amount: int
    currency: str
    note: str
    reference: str
    ts: str


class Deposited(Struct, frozen=True):
    account_id: str
    amount: int
    currency: str
    note: str
    reference: str
    ts: str


class Account(Struct, frozen=True):
    balance: int = 0


def decide(command: Deposit, account: Account) -> list[Deposited]:
    return [
        Deposited(
            command.account_id,
            command.amount,
            command.currency,
            command.note,
            command.reference,
            command.ts,
        )
    ]


def evolve(account: Account, event: Deposited) -> Account:
    return Account(account.balance + event.amount)


def deposit(account_id: str) -> Deposit:
    return Deposit(account_id, 1250, "EUR", NOTE, REFERENCE, WHEN)


accounts = EventSourced("account", Decider(Account(), decide, evolve), key="account_id")


def tag(message: Deposit | Deposited) -> list[str]:
    return [f"acc:{message.account_id}"]


transfers = Boundary("transfers", Decider(Account(), decide, evolve), reads=tag, tags=tag)


class Total(Struct, frozen=True):
    account_id: str
    total: int


def project(row: Total | None, event: Deposited) -> Total | None:
    return Total(event.account_id, (0 if row is None else row.total) + event.amount)


totals = View(Total, project, key="account_id", version=1)
inline_totals = View(Total, project, key="account_id", version=1, inline=True)


@dataclass(frozen=True)
class TotalOf(Query[int]):
    account_id: str


async def total_of(query: TotalOf, views: Views) -> int:
    row = await views.get(Total, query.account_id)
    return 0 if row is None else row.total


def app(
    store: str,
    *,
    write: Sequence[EventSourced[Account] | Boundary[Account]],
    view: bool = False,
    inline: bool = False,
    states: int = 10_000,
) -> App:
    views = [inline_totals] if inline else [totals] if view else []
    return App(
        "bench",
        store=store,
        write=list(write),
        read=views,
        answer=[total_of] if views else [],
        limits=Limits(states=states),
    )
