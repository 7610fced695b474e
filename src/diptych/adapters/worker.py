"""A thread of its own for work that blocks; calls of one turn of the loop cross over together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from diptych.errors import NotOpen

T = TypeVar("T")

Job = tuple[Callable[[], Any], Callable[[Any, BaseException | None], None]]


class WorkerThread(Thread):
    """A thread of the engine: whatever runs in it must not wait for the engine."""


class Worker:
    """Runs what it is given in a thread, one after another, in order.

    Args:
        name: Of the thread.
        owner: What is not open any more, for those who come too late.
    """

    def __init__(self, name: str, owner: str) -> None:
        self._owner = owner
        self._closing = False
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[list[Job] | None] = SimpleQueue()
        self._gathered: list[Job] = []
        self._under_way = 0
        self._ended = asyncio.Event()
        self._thread = WorkerThread(target=self._work, name=name, daemon=True)
        self._thread.start()

    @property
    def idle(self) -> bool:
        """Whether the thread has nothing to do. Asked in the loop's thread, it stays true there."""
        return self._under_way == 0

    def run(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """The result of `work`, which starts at the end of this turn of the loop.

        Raises:
            NotOpen: The worker is closed.
        """
        if self._closing:
            raise NotOpen(self._owner)
        future: asyncio.Future[T] = self._loop.create_future()
        if not self._gathered:
            self._loop.call_soon(self._hand_over)
        self._under_way += 1
        self._gathered.append((work, partial(_settle, future)))
        return future

    def call(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """The result of `work`, which starts at once."""
        future: asyncio.Future[T] = self._loop.create_future()
        self.begin(work, partial(_settle, future))
        return future

    def begin(self, work: Callable[[], T], done: Callable[[T, BaseException | None], None]) -> None:
        """Starts `work` at once; `done` is called in the loop's thread."""
        self._under_way += 1
        if self._closing:
            late: list[tuple[Job, Any, BaseException | None]] = [
                ((work, done), None, NotOpen(self._owner))
            ]
            self._loop.call_soon(self._deliver, late)
            return
        self._queue.put([(work, done)])

    def _hand_over(self) -> None:
        jobs, self._gathered = self._gathered, []
        if jobs:
            self._queue.put(jobs)

    def _work(self) -> None:
        while (jobs := self._queue.get()) is not None:
            results: list[tuple[Job, Any, BaseException | None]] = []
            for job in jobs:
                try:
                    results.append((job, job[0](), None))
                except BaseException as error:
                    results.append((job, None, error))
            self._tell(self._deliver, results)
        self._tell(self._ended.set)

    def _deliver(self, results: list[tuple[Job, Any, BaseException | None]]) -> None:
        self._under_way -= len(results)
        for (_, done), result, error in results:
            done(result, error)

    def _tell(self, callback: Callable[..., None], *values: Any) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(callback, *values)

    async def close(self, last: Callable[[], None] | None = None) -> None:
        """Finishes what it was given, does this one last thing, then ends."""
        if self._gathered:
            self._hand_over()
        self._closing = True
        if last is not None:
            self._under_way += 1
            self._queue.put([(last, _ignore)])
        self._queue.put(None)
        await self._ended.wait()
        self._thread.join()


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Of this thread; None where none runs."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


async def through(future: asyncio.Future[T]) -> T:
    """The result, waited for also while the caller is cancelled: it must not go on before."""
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.shield(future)
        except asyncio.CancelledError as error:
            if future.cancelled():
                raise
            cancelled = error
        except BaseException:
            break
    if cancelled is not None:
        future.exception()  # seen, though nobody hears of it
        raise cancelled
    return future.result()


def seen(future: asyncio.Future[Any]) -> None:
    """Whatever came of it, nobody needs to hear of it."""
    if future.done() and not future.cancelled():
        future.exception()


def _settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


def _ignore(_: Any, error: BaseException | None) -> None:
    """Nobody waits for the last thing; its error would have nobody to go to."""
