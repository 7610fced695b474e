"""Requests of one turn of the loop are asked together, in one statement on one connection."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from copy import copy
from typing import Generic, TypeVar

Q = TypeVar("Q")
A = TypeVar("A")


class Gather(Generic[Q, A]):
    """Gathers the requests of one turn of the loop.

    Args:
        many: Answers several, in order.
    """

    def __init__(self, many: Callable[[Sequence[Q]], Awaitable[Sequence[A]]]) -> None:
        self._many = many
        self._loop = asyncio.get_running_loop()
        self._requests: list[Q] = []
        self._futures: list[asyncio.Future[A]] = []
        self._tasks: set[asyncio.Task[None]] = set()

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
        task = self._loop.create_task(self._answer(requests, futures))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, requests: Sequence[Q], futures: Sequence[asyncio.Future[A]]) -> None:
        try:
            answers = await self._many(requests)
        except BaseException as error:
            for future in futures:
                if not future.done():
                    future.set_exception(copy(error))
            if not isinstance(error, Exception):
                raise
            return
        for future, answer in zip(futures, answers, strict=True):
            if not future.done():
                future.set_result(answer)
