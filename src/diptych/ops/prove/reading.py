"""`python -m diptych.ops.prove.reading`: a process that follows the log and notes what it sees."""

from __future__ import annotations

import asyncio
import time

from diptych.errors import StoreFault
from diptych.ops.prove.child import carry_out
from diptych.ops.prove.notes import Notes
from diptych.ops.prove.plan import Task
from diptych.ops.prove.workload import build


async def follow(task: Task) -> None:
    """Goes on until the process is ended."""
    notes = Notes(task.plan.read(task.number))
    async with build(task.plan) as app:
        notes.say({"open": True})
        after = 0
        while True:
            try:
                async for recorded in app.log.follow(after=after):
                    event = recorded.event
                    after = recorded.position
                    notes.say(
                        [
                            recorded.position,
                            recorded.stream,
                            recorded.version,
                            event.call,
                            event.line,
                            round(time.monotonic(), 4),
                        ]
                    )
            except StoreFault as error:  # its consumer would begin again where it was
                notes.say({"fault": str(error)})
                await asyncio.sleep(0.05)


if __name__ == "__main__":
    carry_out(follow)
