"""`python -m tests.faults.depot_script FILE`: a few calls of each kind, one after another.

With `--die-everywhere FOLDER` it runs again and again in children, each on a copy of FILE, and the
n-th child kills itself before its n-th SQL statement, whichever connection that is on, until one
comes to the end. What each child said is beside its file: `n.db`, `n.out`.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import shutil
import signal
import sqlite3
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

from diptych import App, Receipt, Refused
from tests.faults.depot import (
    Remark,
    Sessions,
    TakeOne,
    depot,
    own_sessions,
    take_in_own_session,
)
from tests.faults.planted import plant
from tests.faults.work import say

KINDS = ("handler", "refusal", "plain", "join", "handler", "join")


async def run(file: Path, kinds: tuple[str, ...]) -> None:
    """Calls of these kinds, in this order."""
    async with depot(file) as app, own_sessions(file) as sessions:
        say(open=True)
        for number, kind in enumerate(kinds):
            note = f"s-{kind}-{number}"
            say(id=note, kind=kind, called=time.monotonic())
            await answer(note, call(app, sessions, kind, note))
        await app.settled()
    say(closed=True)


def call(
    app: App, sessions: Sessions, kind: str, note: str, sku: str = "tea"
) -> Awaitable[Receipt]:
    """One of a kind."""
    match kind:
        case "handler":
            return app.execute(TakeOne(sku, note), id=note)
        case "refusal":
            return app.execute(TakeOne(sku, note, none=True), id=note)
        case "plain":
            return app.execute(Remark("s", sku, note, lines=2), id=note)
        case "join":
            return take_in_own_session(app, sessions, sku, note)
        case _:
            raise LookupError(kind)


async def answer(note: str, called: Awaitable[Receipt]) -> None:
    """Says what came of a call."""
    try:
        receipt = await called
    except Refused as refused:
        say(id=note, returned=time.monotonic(), refused=refused.code)
    else:
        say(id=note, returned=time.monotonic(), position=receipt.position)


def die_at(statement: int) -> None:
    """Kills this process before the n-th statement of all its connections together."""
    statements, connect = itertools.count(1), sqlite3.connect

    def traced(_: str) -> None:
        if next(statements) == statement:
            os.kill(os.getpid(), signal.SIGKILL)

    def followed(*given: Any, **named: Any) -> sqlite3.Connection:
        connection = connect(*given, **named)
        connection.set_trace_callback(traced)
        return connection

    sqlite3.connect = followed  # type: ignore[assignment]


def die_everywhere(template: Path, folder: Path, kinds: tuple[str, ...], every: int) -> None:
    """Until a child comes to the end; says at how many statements the others died."""
    for at in itertools.count(every, every):
        file = Path(shutil.copy(template, folder / f"{at}.db"))
        child = os.fork()
        if child == 0:
            os.dup2(os.open(folder / f"{at}.out", os.O_WRONLY | os.O_CREAT), 1)
            die_at(at)
            asyncio.run(run(file, kinds))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.waitstatus_to_exitcode(status) != -signal.SIGKILL:
            say(last=at, exit=os.waitstatus_to_exitcode(status))
            return


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path)
    parser.add_argument("--kind", choices=sorted(set(KINDS)))
    parser.add_argument("--die-everywhere", type=Path, metavar="FOLDER")
    parser.add_argument("--every", type=int, default=1, help="die at each n-th statement only")
    parser.add_argument("--bug", default="")
    asked = parser.parse_args()
    plant(asked.bug)
    kinds = KINDS if asked.kind is None else (asked.kind,) * 3
    if asked.die_everywhere is not None:
        die_everywhere(asked.file, asked.die_everywhere, kinds, asked.every)
    else:
        asyncio.run(run(asked.file, kinds))


if __name__ == "__main__":
    main()
