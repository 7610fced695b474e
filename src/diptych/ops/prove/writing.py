"""`python -m diptych.ops.prove.writing`: a process that writes in every way, and notes what it was
told."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)

from diptych.adapters.postgres.address import Address, address
from diptych.app import App
from diptych.errors import CommitUnknown, Refused, StoreFault
from diptych.message import Receipt
from diptych.ops.prove.child import carry_out, cpu_wait
from diptych.ops.prove.notes import Notes
from diptych.ops.prove.plan import HELD, Plan, Task
from diptych.ops.prove.stopping import Stop
from diptych.ops.prove.workload import (
    KEYS,
    Count,
    Handle,
    Link,
    Note,
    build,
    events_of,
    write_row,
)

ROLLED_BACK = 0.15
"""Of the calls, how many give up after all."""

BULK = 30
"""Commands that are sent at once."""

TRIES = 20
"""How often a command whose store failed is sent again, with its id."""

PAUSE = 0.05
"""Seconds that a writer takes at most, between calls and within transactions."""


class Failed(Exception):
    """It certainly did not happen."""


class Writers:
    """The writers of one process."""

    def __init__(
        self,
        task: Task,
        notes: Notes,
        stop: Stop,
        app: App,
        sessions: async_sessionmaker[AsyncSession],
    ) -> None:
        self._plan = task.plan
        self._task = task
        self._notes = notes
        self._stop = stop
        self._app = app
        self._sessions = sessions

    async def run(self, began: float) -> None:
        """Returns when the time is over."""
        plan, number = self._plan, self._task.number
        writers = [self._writer(w, began) for w in range(number, plan.writers, plan.processes)]
        if number == plan.processes - 1 and "join" in plan.paths:
            writers.append(self._hold())
        await asyncio.gather(*writers)

    async def _writer(self, writer: int, began: float) -> None:
        chance = random.Random(f"{self._plan.seed}-{writer}")
        turn = 0
        while time.monotonic() < began + self._plan.seconds:
            path = chance.choice(self._plan.paths)
            turn += 1
            if path == "bulk":
                await asyncio.gather(
                    *(self._call(f"w{writer}-{turn}-{n}", path, chance) for n in range(BULK))
                )
            else:
                await self._call(f"w{writer}-{turn}", path, chance)
            await asyncio.sleep(chance.random() * PAUSE)

    async def _hold(self) -> None:
        """The transaction that is held open: it wrote a row before all that the others will write."""
        await self._call("held", "join", random.Random(self._plan.seed), hold=self._plan.hold)

    async def _call(
        self, id: str, path: str, chance: random.Random, *, hold: float | None = None
    ) -> None:
        key, other = chance.sample(KEYS, 2)
        lines = chance.choice((1, 1, 2, 3))
        give_up = hold is None and chance.random() < ROLLED_BACK
        pause = chance.random() * PAUSE if hold is None else hold
        send: Callable[[], Awaitable[Receipt]]
        match path:
            case "events" | "bulk":
                command: Any = Note(key, id, lines, give_up)
            case "boundary":
                command = Link(key, other, id, lines, give_up)
            case "state":
                command = Count(key, id, lines, give_up)
            case "handler":
                command = Handle(key, id, lines, give_up, pause / 4)
            case _:
                command = None
        if command is None:

            def send() -> Awaitable[Receipt]:
                return self._join(id, key, lines, give_up, pause, held=hold is not None)
        else:

            def send() -> Awaitable[Receipt]:
                return self._execute(id, command)

        about: dict[str, Any] = {"id": id}
        if hold is not None:
            about["held"] = True
        self._notes.say({**about, "path": path, "events": lines, "called": time.monotonic()})
        self._stop.begins(path)
        try:
            receipt = await send()
            about |= {"outcome": "ok", "position": receipt.position}
        except Refused:
            about["outcome"] = "refused"
        except Failed as error:
            about |= {"outcome": "failed", "error": _text(error.__cause__)}
        except CommitUnknown as error:
            about |= {"outcome": "unknown", "error": _text(error)}
        except Exception as error:
            about |= {"outcome": "failed", "error": _text(error)}
        finally:
            self._stop.ends(path)
        self._notes.say({**about, "returned": time.monotonic()})

    async def _execute(self, id: str, command: Any) -> Receipt:
        """As clients do: what failed is sent again, under the same id."""
        unknown: CommitUnknown | None = None
        for _ in range(TRIES):
            try:
                return await self._app.execute(command, id=id)
            except CommitUnknown as error:
                unknown = error
            except StoreFault:
                pass
            await asyncio.sleep(0.1)
        if unknown is not None:
            raise unknown
        return await self._app.execute(command, id=id)

    async def _join(
        self, id: str, key: str, lines: int, give_up: bool, pause: float, *, held: bool
    ) -> Receipt:
        """A transaction of the user's own: rows, time, events; and COMMIT, or not."""
        session = self._sessions()
        try:
            if held:
                await session.execute(text(f"SET LOCAL application_name = '{HELD}'"))
            await write_row(session, id, "join")
            await asyncio.sleep(pause)
            async with self._app.join(session) as unit:
                unit.record(*events_of(id, key, lines), stream=f"desk:{key}")
            if give_up:
                await session.rollback()
                raise Refused("given_up", id)
        except Refused:
            raise
        except Exception as error:
            raise Failed from error
        else:
            try:
                self._stop.before_commit()
                await session.commit()
            except Exception as error:
                raise CommitUnknown(f"COMMIT failed: {error}") from error
            return unit.receipt
        finally:
            await _leave(session)


async def _leave(session: AsyncSession) -> None:
    try:
        await session.close()
    except Exception:
        await session.invalidate()


def _text(error: BaseException | None) -> str:
    return f"{type(error).__name__}: {str(error)[:300]}"


def _engine(plan: Plan) -> AsyncEngine:
    """As an application has it already; behind a pooler, without statements that outlive a
    transaction."""
    where = address(plan.url)
    options: dict[str, Any] = {"async_creator_fn": _connecting(where)}
    if where.statement_cache == 0:
        options["prepared_statement_cache_size"] = 0
        options["prepared_statement_name_func"] = lambda: f"prove_{os.urandom(8).hex()}"
    return create_async_engine(
        "postgresql+asyncpg://",
        connect_args=options,
        pool_size=20,
        execution_options={"schema_translate_map": {None: plan.schema}},
    )


def _connecting(where: Address) -> Callable[..., Awaitable[Any]]:
    async def connect(**_: Any) -> Any:
        return await asyncpg.connect(where.dsn, statement_cache_size=where.statement_cache)

    return connect


async def work(task: Task) -> None:
    """Opens the app, waits until all may begin, and writes."""
    plan = task.plan
    notes = Notes(plan.written(task.number))
    due = {0: 0.25, 1 % plan.processes: 0.6}.get(task.number)
    stop = Stop(task, notes, None if due is None else due * plan.seconds)
    stop.watch()
    engine = _engine(plan)
    try:
        async with build(plan) as app:
            notes.say({"open": True})
            while not plan.go.exists():  # noqa: ASYNC110 another process makes it
                await asyncio.sleep(0.01)
            stop.began, waited = time.monotonic(), cpu_wait()
            sessions = async_sessionmaker(engine, expire_on_commit=False)
            await Writers(task, notes, stop, app, sessions).run(stop.began)
            elapsed = time.monotonic() - stop.began
            notes.say({"cpu_wait": round((cpu_wait() - waited) / elapsed, 3)})
    finally:
        await engine.dispose()


if __name__ == "__main__":
    carry_out(work)
