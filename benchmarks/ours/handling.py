"""A handler that reads a row, changes it and gives an event: one transaction, one caller."""

from __future__ import annotations

import time
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from benchmarks.comparators.plain_sqlalchemy import ROWS, Account, Base
from benchmarks.measuring import Measured, Settings
from benchmarks.place import new_place
from diptych import App, Handlers


@dataclass(frozen=True)
class Deposit:
    account_id: str
    amount: int


@dataclass(frozen=True)
class Deposited:
    account_id: str
    amount: int
    balance: int


async def deposit(command: Deposit, session: AsyncSession) -> list[Deposited]:
    account = await session.get(Account, command.account_id)
    if account is None:
        account = Account(id=command.account_id, balance=0)
        session.add(account)
    account.balance += command.amount
    return [Deposited(command.account_id, command.amount, account.balance)]


def handler(settings: Settings) -> Measured:
    """Commands per second."""
    place = new_place(settings)
    model = Handlers("account", [deposit], key="account_id", tables=Base.metadata)

    async def main() -> float:
        async with App("bench", store=place.url, write=[model]) as bench:
            rows = settings.size(ROWS, 10)
            for n in range(rows):
                await bench.execute(Deposit(f"a{n}", 1))
            done = 0
            start = time.perf_counter()
            while time.perf_counter() - start < settings.seconds:
                await bench.execute(Deposit(f"a{done % rows}", 1250))
                done += 1
            took = time.perf_counter() - start
            await place.assert_durable()
            return done / took

    return Measured(settings.run(main()))
