"""Interrupts a coroutine at its n-th await, whatever it awaits there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Generic, TypeVar

T = TypeVar("T")

Act = Callable[[], BaseException | None]
"""What happens at an await: something to be raised once the awaited has come, or nothing."""


class Interrupted(Generic[T]):
    """Awaited, it drives the coroutine step by step.

    Args:
        acts: By number of the await, from 1.

    Attributes:
        awaits: How many there were.
    """

    def __init__(self, work: Coroutine[Any, Any, T], acts: dict[int, Act]) -> None:
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
            error = None if act is None else act()
            try:
                advance, value = self._work.send, (yield awaited)
            except BaseException as raised:
                advance, value = self._work.throw, raised
            else:
                if error is not None:
                    advance, value = self._work.throw, error


def cancel() -> None:
    """Cancels the task that runs: what it awaits next is cancelled while it is under way."""
    task = asyncio.current_task()
    assert task is not None
    task.cancel()


def fail() -> BaseException:
    """Raises what nobody foresaw."""
    return LookupError("planted")
