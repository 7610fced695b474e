"""What moves in a store on PostgreSQL: said to others, heard from others, polled where neither."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial

from diptych.adapters.news import News
from diptych.adapters.postgres.address import Address
from diptych.adapters.postgres.connection import Connection
from diptych.adapters.postgres.listening import Listener
from diptych.adapters.postgres.notifying import LOG, NOTIFY, Notifier, channel_of, positions_of
from diptych.adapters.postgres.pool import Pool
from diptych.errors import Fault
from diptych.message import Position


class StoreNews:
    """Of the log, and of everything in the store that has a checkpoint.

    Args:
        pool: Where notifications are sent.
        head: Asks for the head of the log.
        epoch: Of the log.
        listens: Where others are heard; None where that is not possible, and polls must do.
    """

    def __init__(
        self,
        pool: Pool,
        head: Callable[[], Awaitable[Position]],
        *,
        epoch: str,
        listens: Address | None,
    ) -> None:
        self._pool = pool
        self._head = head
        self._channel = channel_of(epoch)
        self._notifier = Notifier(self._send)
        self._news: dict[str, News] = {}
        self._log = self.of(LOG, head)
        self._listener: Listener | None = None
        if listens is not None:
            self._listener = Listener(listens, self._channel, heard=self._hear, changed=self._hurry)
        self._asking: set[asyncio.Task[None]] = set()
        self._closed = False

    def start(self) -> None:
        """From now on, others are heard."""
        if self._listener is not None:
            self._listener.start()

    async def close(self) -> None:
        """Nobody waits any more; others are told what they do not know yet."""
        self._closed = True
        if self._listener is not None:
            await self._listener.close()
        await asyncio.gather(*self._asking)
        await self._notifier.close()
        for news in self._news.values():
            news.close()

    def of(self, checkpoint: str, ask: Callable[[], Awaitable[Position]]) -> News:
        """Wakes those who wait for a checkpoint to move.

        Args:
            ask: Asks the store where it is.
        """
        news = self._news[checkpoint] = News(ask, say=partial(self._notifier.say, checkpoint))
        return news

    async def wait(self, after: Position) -> None:
        """Returns when the head of the log is beyond `after`."""
        await self._log.wait(after)

    def tell(self, head: Position) -> None:
        """This process has moved the log."""
        self._log.move(head)

    def nudge(self, *, again: bool = False) -> None:
        """This process may have moved the log, on a connection that is not the store's.

        Args:
            again: Others are told even where they know.
        """
        if self._closed:
            return
        task = asyncio.get_running_loop().create_task(self._ask(again))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _ask(self, again: bool) -> None:
        with suppress(Fault):  # polls ask again
            head = await self._head()
            self._log.tell(head)
            self._notifier.say(LOG, head, again=again)

    async def _send(self, payloads: Sequence[str]) -> None:
        async def send(connection: Connection) -> None:
            await connection.fetch(NOTIFY, self._channel, payloads)

        await self._pool.read(send)

    def _hear(self, payload: str) -> None:
        for name, position in positions_of(payload).items():
            self._notifier.heard(name, position)
            if name in self._news:
                self._news[name].hear(position)

    def _hurry(self) -> None:
        """Something may have been missed. And this process says where the log is: it hears by that
        whether it hears at all."""
        for news in self._news.values():
            news.hurry()
        self.nudge(again=True)
