"""Requests of one turn of the loop are answered together, in a thread or by whoever is waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from copy import copy
from typing import Generic, TypeAlias, TypeVar

Q = TypeVar("Q")
A = TypeVar("A")

Done: TypeAlias = Callable[[Sequence[A], BaseException | None], None]
"""Takes the answers, in order; or why there are none."""


class Gather(Generic[Q, A]):
    """Gathers the requests of one turn of the loop.

    Args:
        begin: Begins to answer several; `done` must be called in the loop's thread.
    """

    def __init__(self, begin: Callable[[list[Q], Done[A]], None]) -> None:
        self._begin = begin
        self._loop = asyncio.get_running_loop()
        self._requests: list[Q] = []
        self._futures: list[asyncio.Future[A]] = []

    def ask(self, request: Q) -> asyncio.Future[A]:
        """The answer to one of them."""
        if not self._requests:
            self._loop.call_soon(self._hand_over)
        future: asyncio.Future[A] = self._loop.create_future()
        self._requests.append(request)
        self._futures.append(future)
        return future

    def _hand_over(self) -> None:
        requests, self._requests = self._requests, []
        futures, self._futures = self._futures, []

        def done(answers: Sequence[A], error: BaseException | None) -> None:
            for place, future in enumerate(futures):
                if future.done():
                    continue
                if error is None:
                    future.set_result(answers[place])
                else:
                    future.set_exception(copy(error))

        self._begin(requests, done)


class Awaited(Generic[Q, A]):
    """Begins what is waited for, in a task of its own.

    Args:
        many: Answers several, in order.
    """

    def __init__(self, many: Callable[[Sequence[Q]], Awaitable[Sequence[A]]]) -> None:
        self._many = many
        self._tasks: set[asyncio.Task[None]] = set()

    def __call__(self, requests: list[Q], done: Done[A]) -> None:
        task = asyncio.get_running_loop().create_task(self._answer(requests, done))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, requests: list[Q], done: Done[A]) -> None:
        try:
            answers = await self._many(requests)
        except BaseException as error:
            done((), error)
            if not isinstance(error, Exception):
                raise
        else:
            done(answers, None)
