"""Interrupts a coroutine at its n-th await, whatever it awaits there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator, Mapping
from typing import Any, Generic, TypeVar

T = TypeVar("T")

Act = Callable[[Any], BaseException | None]
"""What happens at an await, given what is awaited: something to be raised once that has come."""


class Interrupted(Generic[T]):
    """Awaited, it drives the coroutine step by step.

    Args:
        acts: By number of the await, from 1.

    Attributes:
        awaits: How many there were.
    """

    def __init__(self, work: Coroutine[Any, Any, T], acts: Mapping[int, Act]) -> None:
        self._work = work
        self._acts = acts
        self.awaits = 0

    @property
    def acted(self) -> bool:
        """Whether it came to the last of them."""
        return self.awaits >= max(self._acts)

    def __await__(self) -> Generator[Any, Any, T]:
        advance: Callable[[Any], Any] = self._work.send
        value: Any = None
        while True:
            try:
                awaited = advance(value)
            except StopIteration as stop:
                result: T = stop.value
                return result
            self.awaits += 1
            act = self._acts.get(self.awaits)
            error = None if act is None else act(awaited)
            try:
                value = yield awaited
                advance = self._work.send
            except BaseException as raised:
                advance, value = self._work.throw, raised
            else:
                if error is not None:
                    advance, value = self._work.throw, error


def cancel(awaited: Any) -> None:
    """Cancels the task while what it awaits is under way."""
    _task().cancel()


def cancel_at_the_end(awaited: Any) -> None:
    """Cancels the task when what it awaits has come, but before it hears of that."""
    task = _task()
    if isinstance(awaited, asyncio.Future):
        awaited.add_done_callback(lambda _: task.cancel())
    else:
        task.cancel()


def fail(awaited: Any) -> BaseException:
    """Raises what nobody foresaw."""
    return LookupError("planted")


def _task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task
