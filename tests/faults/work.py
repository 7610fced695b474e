"""`python -m tests.faults.work STORE NAME`: a process that books and says what became of each entry.

One JSON line when a command is sent and one when its answer is there, each in one unbuffered
write, so that a killed process leaves a history that ends where it ended.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import sys
import time
from typing import Any

from diptych import Refused
from tests.faults.ledger import app, command


def say(**line: Any) -> None:
    os.write(1, (json.dumps(line) + "\n").encode())


async def book(asked: argparse.Namespace) -> None:
    numbers = itertools.count(asked.start)
    end = time.monotonic() + asked.seconds
    async with app(asked.store, view=asked.view) as ledger_app:
        say(open=True, pid=os.getpid())

        async def caller() -> None:
            for number in numbers:
                if time.monotonic() >= end or number >= asked.start + asked.count:
                    return
                id, message = command(asked.name, number, asked.ledgers)
                say(id=id, called=time.monotonic())
                try:
                    receipt = await ledger_app.execute(message, id=id)
                except Refused as refused:
                    say(id=id, returned=time.monotonic(), refused=refused.code)
                except Exception as fault:  # what happened is for the test to judge
                    say(
                        id=id,
                        returned=time.monotonic(),
                        fault=type(fault).__name__,
                        message=str(fault),
                    )
                    if asked.at_fault == "hang":  # so that it can be killed as it stands
                        await asyncio.sleep(3_600)
                    if asked.at_fault == "stop":
                        return
                else:
                    say(
                        id=id,
                        returned=time.monotonic(),
                        position=receipt.position,
                        version=receipt.version,
                    )

        await asyncio.gather(*(caller() for _ in range(asked.callers)))
    say(closed=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("store")
    parser.add_argument("name")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--count", type=int, default=sys.maxsize // 2)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--callers", type=int, default=8)
    parser.add_argument("--ledgers", type=int, default=20)
    parser.add_argument("--view", action="store_true")
    parser.add_argument("--at-fault", choices=["go on", "stop", "hang"], default="go on")
    asyncio.run(book(parser.parse_args()))


if __name__ == "__main__":
    main()
