"""A process's turn to have the store's lock, or to wait for it: one connection at a time.

A process that is stopped keeps the lock until the server ends its transaction, and after that each
of its connections that waited for the lock would keep it for as long again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any

from diptych.adapters.postgres.connection import IDLE_MS
from diptych.adapters.worker import running_loop

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

LONGEST = IDLE_MS / 1000 + 0.2
"""Seconds for which a session of the user's has the turn at most: if it has not gone on by then, the
server has ended its transaction."""


class Turn:
    """First come, first served.

    Args:
        loop: Of the app.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lock = asyncio.Lock()

    async def __aenter__(self) -> None:
        await self._lock.acquire()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._lock.release()

    @contextmanager
    def lent(self, session: Session) -> Generator[Loan, None, None]:
        """Waits for it where the session runs; given back at the end of the block, or of the
        session's transaction if it is kept."""
        from sqlalchemy import event  # not loaded before somebody has a session
        from sqlalchemy.util import await_only

        if self not in session.info:
            session.info[self] = None
            event.listen(session, "after_transaction_end", self._at_an_end)
        loan: Loan | None = session.info[self]
        if loan is not None and not loan.over:
            yield loan  # joined once more in the same transaction
            return
        if running_loop() is self._loop:
            await_only(self._lock.acquire())
        else:
            asyncio.run_coroutine_threadsafe(self._lock.acquire(), self._loop).result()
        loan = session.info[self] = Loan(self._loop, self._lock)
        try:
            yield loan
        finally:
            if not loan.kept:
                loan.give_back()

    def _at_an_end(self, session: Session, transaction: Any) -> None:
        """One of a session's transactions has ended; savepoints are some, too."""
        loan: Loan | None = session.info[self]
        if transaction.parent is None and loan is not None:
            loan.give_back()


class Loan:
    """The turn of a session, in whatever thread it runs.

    Attributes:
        kept: Until the session's transaction ends.
        over: It was given back.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, lock: asyncio.Lock) -> None:
        self._loop = loop
        self._lock = lock
        self.kept = False
        self.over = False

    def keep(self) -> None:
        """The session has written: it has the turn until its transaction ends, or for `LONGEST`."""
        if not self.kept:
            self.kept = True
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(self._loop.call_later, LONGEST, self.give_back)

    def give_back(self) -> None:
        """Once, however often it is called."""
        if not self.over:
            self.over = True
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._lock.release)
