# pyright: basic
# The peers are typed loosely; nothing here is built upon.
"""Peer: a mediator in memory with an async handler that does nothing; and a dict of functions."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from collections.abc import Awaitable, Callable

from benchmarks.measuring import Measured, Settings


async def _each(call: Callable[[], Awaitable[object]], seconds: float) -> float:
    """Microseconds per call, one after the other."""
    for _ in range(200):
        await call()
    count = 0
    start = time.perf_counter()
    while True:
        for _ in range(200):
            await call()
        count += 200
        took = time.perf_counter() - start
        if took > seconds:
            return took / count * 1e6


def python_cqrs(settings: Settings) -> Measured:
    import cqrs
    import di
    from cqrs.bootstrap import requests

    logging.disable(logging.CRITICAL)

    @dataclasses.dataclass
    class Deposit(cqrs.Request[None]):  # type: ignore[misc]
        account_id: str
        amount: int

    class Handler(cqrs.RequestHandler[Deposit]):  # type: ignore[misc]
        async def handle(self, request: Deposit) -> None:
            return None

    mediator = requests.bootstrap(
        di_container=di.Container(),
        commands_mapper=lambda commands: commands.bind(Deposit, Handler),
    )

    async def call() -> object:
        return await mediator.send(Deposit(account_id="a", amount=1))

    return Measured(asyncio.run(_each(call, settings.seconds)))


def bare_dict(settings: Settings) -> Measured:
    @dataclasses.dataclass
    class Deposit:
        account_id: str
        amount: int

    async def handle(command: Deposit) -> None:
        return None

    table = {Deposit: handle}

    async def call() -> object:
        command = Deposit(account_id="a", amount=1)
        return await table[type(command)](command)

    return Measured(asyncio.run(_each(call, settings.seconds)))
