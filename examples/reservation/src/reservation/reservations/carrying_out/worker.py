"""The shell: looks at the list, carries each task out, looks again when told or after a while."""

import asyncio
import logging
from asyncio import gather

from diptych import App, DiptychError, Receipt, Refused
from reservation.reservations.carrying_out.read import ToDo, WhatIsToDo
from reservation.reservations.carrying_out.write import command_id, next_command

log = logging.getLogger("reservation.carrying_out")


class Worker:
    """Level-triggered: it works off what the list shows, so a lost wake-up or a killed process
    leaves nothing undone, and two of them at once do nothing twice.
    """

    def __init__(self, app: App, *, pause: float = 0.0, look_every: float = 2.0) -> None:
        """`pause` is in seconds before each look: time for a person's eye to see the request."""
        self._app = app
        self._pause = pause
        self._look_every = look_every
        self._news = asyncio.Event()
        self._after: Receipt | None = None

    def wake(self, receipt: Receipt) -> None:
        """There is more to do, at the latest as of this receipt."""
        if self._after is None or receipt.position > self._after.position:
            self._after = receipt
        self._news.set()

    async def run(self) -> None:
        while True:
            try:
                await self.work_off()
            except DiptychError as error:
                # the next look tries again: the list still shows what is not done
                log.warning("could not carry everything out: %s", error)
            try:
                async with asyncio.timeout(self._look_every):
                    await self._news.wait()
            except TimeoutError:
                continue
            self._news.clear()
            await asyncio.sleep(self._pause)

    async def work_off(self) -> int:
        """Carries out what is on the list, until nothing is left that can be; how much that was."""
        carried_out = 0
        while tasks := await self._app.ask(WhatIsToDo(), after=self._after):
            receipts = [each for each in await gather(*map(self._carry_out, tasks)) if each]
            if not receipts:
                break
            self._after = max(receipts, key=lambda receipt: receipt.position)
            carried_out += len(receipts)
        return carried_out

    async def _carry_out(self, task: ToDo) -> Receipt | None:
        command = next_command(task.reservation_id, task.task, task.stay)
        try:
            return await self._app.execute(command, id=command_id(task.reservation_id, task.task))
        except Refused as refused:
            log.warning("%s was refused: %s", command, refused.message)
            return None
