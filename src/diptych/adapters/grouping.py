"""Group commit: what comes in one turn of the loop, or while a group is being written, goes together.

No timer: the first one that comes asks for a group at the end of the turn; while one group is
written the next one gathers. Those who are answered together, and come again at once, go together.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
from contextlib import asynccontextmanager
from copy import copy
from typing import Any

from diptych.errors import BadResult, DiptychError, Overloaded, StoreFault, StoreUnavailable
from diptych.log.commit import Commit, Committed

GROUP = 256
"""Commits of one group at most."""

GROUP_BYTES = 1 << 20
"""Bytes of events of one group at most; one commit may be larger."""


Pending = tuple[Commit, asyncio.Future[Committed]]
"""A commit and who waits for it."""

Waiting = tuple[Commit | None, asyncio.Future[Any]]
"""A commit, or None for somebody who will write by himself; and who waits."""

Answers = Sequence[Committed | BaseException]


def carry_out(commits: Sequence[Commit], write: Callable[[Sequence[Commit]], Answers]) -> Answers:
    """Writes a group as one; what poisons it is found and fails alone.

    A group that fails as a whole is tried in halves, then each commit by itself. Faults of the
    store (`StoreFault`) are nobody's poison: they answer all.
    """
    parts = _parts(commits)
    part = next(parts)
    while True:
        try:
            try:
                answers = write(part)
            except Exception as error:
                part = parts.throw(error)
            else:
                part = parts.send(answers)
        except StopIteration as stop:
            found: Answers = stop.value
            return found


async def carry_out_waiting(
    commits: Sequence[Commit], write: Callable[[Sequence[Commit]], Awaitable[Answers]]
) -> Answers:
    """The same where writing is waited for."""
    parts = _parts(commits)
    part = next(parts)
    while True:
        try:
            try:
                answers = await write(part)
            except Exception as error:
                part = parts.throw(error)
            else:
                part = parts.send(answers)
        except StopIteration as stop:
            found: Answers = stop.value
            return found


def _parts(commits: Sequence[Commit]) -> Generator[Sequence[Commit], Answers, Answers]:
    """Gives what is to be written as one, and is told what became of it."""
    try:
        return (yield commits)
    except StoreFault as fault:
        return [copy(fault) for _ in commits]
    except Exception as poison:
        if len(commits) == 1:
            return [poison if isinstance(poison, DiptychError) else _named(poison)]
        half = len(commits) // 2
        answers: list[Committed | BaseException] = []
        for part in (commits[:half], commits[half:]):
            try:
                answers += yield part
            except StoreFault as fault:  # it may have happened: never written a second time
                answers += [copy(fault) for _ in part]
            except Exception:
                for commit in part:
                    answers += yield from _parts([commit])
        return answers


def _named(poison: Exception) -> BadResult:
    named = BadResult("what was to be committed", f"cannot be stored: {poison}. Nothing was.")
    named.__cause__ = poison
    return named


class GroupCommitter:
    """Gathers commits, and hands them on in groups, one at a time and in order.

    Args:
        write: Begins to write a group; `done` must be called with its answers, in order.
        waiting: Commits that may wait for their answer.
    """

    def __init__(self, write: Callable[[list[Pending]], None], *, waiting: int) -> None:
        self._write = write
        self._limit = waiting
        self._waiting: deque[Waiting] = deque()
        self._taken = 0
        """Commits that are not yet answered."""
        self._writing = False
        self._asked = False
        self._idle: asyncio.Event = asyncio.Event()
        self._idle.set()
        self._loop = asyncio.get_running_loop()
        self._closed = False

    def commit(self, commit: Commit) -> asyncio.Future[Committed]:
        """Takes a commit; its answer comes with its group.

        Raises:
            Overloaded: Too many wait.
        """
        self._take()
        future: asyncio.Future[Committed] = self._loop.create_future()
        self._waiting.append((commit, future))
        return future

    async def turn(self) -> None:
        """Returns when it is the caller's turn to write: first come, first served with the groups.

        Nothing else is written until `end_turn`.

        Raises:
            Overloaded: Too many wait.
        """
        self._take()
        future: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append((None, future))
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self.end_turn()  # it had just come
            raise

    def end_turn(self) -> None:
        """The next one may write."""
        self._taken -= 1
        self._writing = False
        self._asked = True
        self._loop.call_soon(self._next)

    @asynccontextmanager
    async def own_turn(self) -> AsyncGenerator[None, None]:
        """A turn for the engine itself: never refused, and nobody else is refused because of it."""
        self._limit += 1
        try:
            await self.turn()
            try:
                yield
            finally:
                self.end_turn()
        finally:
            self._limit -= 1

    def _take(self) -> None:
        if self._closed:
            raise StoreUnavailable("the store is closed. Open the app again.")
        if self._taken >= self._limit:
            raise Overloaded(self._taken)
        self._taken += 1
        if not self._asked and not self._writing:
            self._asked = True
            self._idle.clear()
            self._loop.call_soon(self._next)

    @property
    def idle(self) -> bool:
        """Whether nothing is being written, and nothing waits for it."""
        return not self._writing and not self._waiting

    def done(self, group: list[Pending], answers: Answers) -> None:
        """A group was written (or failed); in the loop's thread."""
        for (_, future), committed in zip(group, answers, strict=True):
            if future.done():
                continue  # nobody waits any more
            if isinstance(committed, BaseException):
                future.set_exception(committed)
            else:
                future.set_result(committed)
        self._taken -= len(group)
        self._writing = False
        self._asked = True
        # At the end of the turn: those who were answered just now may come along.
        self._loop.call_soon(self._next)

    def _next(self) -> None:
        self._asked = False
        while self._waiting:
            commit, future = self._waiting[0]
            if commit is not None:
                self._writing = True
                self._write(self._group())
                return
            self._waiting.popleft()
            if not future.done():
                self._writing = True
                future.set_result(None)
                return
            self._taken -= 1  # it did not wait for its turn
        self._idle.set()

    def _group(self) -> list[Pending]:
        """What goes together: up to the next one who writes by himself."""
        group: list[Pending] = []
        size = 0
        while self._waiting and len(group) < GROUP:
            commit, future = self._waiting[0]
            if commit is None:
                break
            for append in commit.appends:
                for event in append.events:
                    size += len(event.data)
            if group and size > GROUP_BYTES:
                break
            self._waiting.popleft()
            group.append((commit, future))
        return group

    async def close(self) -> None:
        """Takes nothing more; returns when all that was taken is answered."""
        self._closed = True
        await self._idle.wait()
