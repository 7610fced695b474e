"""The store in Python: one list is the log. Nothing survives the process."""

from __future__ import annotations

import asyncio
import os
from bisect import bisect_right
from collections import deque
from collections.abc import Awaitable, Generator, Sequence
from typing import Any, Protocol

from diptych.adapters.grouping import Answers, carry_out
from diptych.adapters.inline import Kept, judge_group
from diptych.adapters.judge import Judge, matches
from diptych.adapters.news import News
from diptych.errors import ForeignStore, NotOpen
from diptych.log.commit import Advance, Commit, Committed, NewEvent, Rows, Settled, StateRow, Tagged
from diptych.log.names import Stamp, compare
from diptych.log.port import Batch, Page, StoredEvent, page_of
from diptych.message import Position


class ViewTables(Protocol):
    """Where a memory store puts the rows of views: another database of the same process."""

    def write(
        self, rows: Sequence[Rows], statements: Sequence[Any], advances: Sequence[Advance]
    ) -> None:
        """Writes all of it, or nothing."""
        ...

    def checkpoint_now(self, name: str) -> Position:
        """How far a view has got."""
        ...

    def kept(self) -> Sequence[Kept]:
        """Views that are kept in the commit of the events themselves."""
        ...

    def moved(self, head: Position) -> None:
        """They are there."""
        ...


class _Answered:
    """An answer that is there already. Whoever awaits it lets the others have one turn first, as
    with a store that takes its time; without it, one busy caller would keep the loop to itself."""

    __slots__ = ("_answer",)

    def __init__(self, answer: Committed | BaseException) -> None:
        self._answer = answer

    def __await__(self) -> Generator[None, None, Committed]:
        yield
        if isinstance(self._answer, BaseException):
            raise self._answer
        return self._answer


class MemoryStore:
    """Keeps what one app would keep, for as long as the app is open."""

    def __init__(self) -> None:
        self._epoch = ""
        self._stamps: dict[tuple[str, str], Stamp] = {}
        self._context: str | None = None
        self._events: list[StoredEvent] = []
        self._tags: list[NewEvent] = []
        self._under: dict[tuple[str, str], list[Position]] = {}
        self._streams: dict[tuple[str, str], list[StoredEvent]] = {}
        self._outcomes: dict[tuple[str, str], Settled] = {}
        self._news: News | None = None
        self._held_up: deque[tuple[Commit, asyncio.Future[Committed]]] = deque()
        self._going_on: asyncio.Task[None] | None = None
        self.turn = asyncio.Lock()
        """Held by whoever reads the tables of views over several steps."""
        self.tables: ViewTables | None = None

    @property
    def epoch(self) -> str:
        return self._epoch

    async def open(self, context: str, stamps: Sequence[Stamp]) -> None:
        if self._context not in (None, context):
            raise ForeignStore(f"this log belongs to {self._context!r}, not to {context!r}.")
        names = {event.name for event in self._events}
        for stamp in compare(self._stamps.values(), stamps, names.__contains__):
            self._stamps[stamp.key] = stamp
        self._context = context
        self._epoch = self._epoch or os.urandom(16).hex()
        self.turn = asyncio.Lock()
        self._news = News(self.head)

    async def close(self) -> None:
        if self._going_on is not None:
            await self._going_on
        if self._news is not None:
            self._news.close()
            self._news = None

    def commit(self, commit: Commit) -> Awaitable[Committed]:
        if self._news is None:
            raise NotOpen("memory")
        if self._held_up or (self.turn.locked() and self._writes_tables(commit)):
            return self._hold_up(commit)
        (answer,) = carry_out([commit], self._carry_out)
        self._news.tell(len(self._events))
        return _Answered(answer)

    def _writes_tables(self, commit: Commit) -> bool:
        kept = commit.appends and self.tables is not None and self.tables.kept()
        return bool(commit.rows or commit.advance or kept)

    def _hold_up(self, commit: Commit) -> asyncio.Future[Committed]:
        """An answer is being read from the tables: this commit, and all after it, wait for that."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Committed] = loop.create_future()
        if not self._held_up:
            self._going_on = loop.create_task(self._go_on())
        self._held_up.append((commit, future))
        return future

    async def _go_on(self) -> None:
        async with self.turn:
            while self._held_up:
                commit, future = self._held_up[0]
                (answer,) = carry_out([commit], self._carry_out)
                self._held_up.popleft()
                if future.done():
                    continue
                if isinstance(answer, BaseException):
                    future.set_exception(answer)
                else:
                    future.set_result(answer)
        if self._news is not None:
            self._news.tell(len(self._events))

    def _carry_out(self, commits: Sequence[Commit]) -> Answers:
        kept: Sequence[Kept] = () if self.tables is None else self.tables.kept()
        judge, answers = judge_group(commits, lambda: Judge(self, len(self._events)), kept)
        if self.tables is not None and (judge.rows or judge.advances):
            self.tables.write(judge.rows, judge.statements, judge.advances)
        for stored, event in judge.events:
            self._events.append(stored)
            self._tags.append(event)
            self._streams.setdefault((stored.tenant, stored.stream), []).append(stored)
            for tag in event.tags:
                self._under.setdefault((stored.tenant, tag), []).append(stored.position)
        for tenant, settled in judge.outcomes:
            self._outcomes[(tenant, settled.id)] = settled
        if kept and judge.events and self.tables is not None:
            self.tables.moved(judge.head)
        return answers

    # What a judge asks for.

    def version(self, tenant: str, stream: str) -> int:
        return len(self._streams.get((tenant, stream), ()))

    def causation(self, tenant: str, stream: str, version: int) -> str | None:
        events = self._streams.get((tenant, stream), ())
        return events[version - 1].causation if 0 < version <= len(events) else None

    def causes(self, tenant: str, query: Tagged, after: Position) -> set[str]:
        return {event.causation for event in self._find(tenant, query, after)}

    def checkpoint(self, name: str) -> Position:
        return 0 if self.tables is None else self.tables.checkpoint_now(name)

    def stands(self, row: StateRow) -> bool:
        raise NotImplementedError  # it keeps no rows, and wiring says so

    def settled(self, tenant: str, id: str) -> Settled | None:
        return self._outcomes.get((tenant, id))

    # Reading.

    async def outcome(self, tenant: str, id: str) -> Settled | None:
        return self._outcomes.get((tenant, id))

    async def read_all(
        self, *, after: Position, limit: int, names: Sequence[str] | None = None
    ) -> Batch:
        batch = self.batch_now(after, limit)
        if names is None:
            return batch
        return Batch([event for event in batch.events if event.name in names], batch.through)

    def batch_now(self, after: Position, limit: int) -> Batch:
        """The next events, without awaiting."""
        events = self._events[after : after + limit]
        return Batch(events, events[-1].position if events else after)

    async def read_stream(
        self, tenant: str, stream: str, *, after: int, limit: int, beyond: Position = 0
    ) -> Sequence[StoredEvent]:
        events = self._streams.get((tenant, stream), [])[after:]
        return [event for event in events if event.position > beyond][:limit]

    async def read_page(self, tenant: str, stream: str, *, after: int, limit: int) -> Page:
        events = self._streams.get((tenant, stream), [])[after : after + limit]
        return page_of(events)

    async def read_tagged(self, tenant: str, query: Tagged, *, after: Position) -> Batch:
        return Batch(self._find(tenant, query, after), len(self._events))

    def _find(self, tenant: str, query: Tagged, after: Position) -> list[StoredEvent]:
        positions: set[Position] = set()
        for item in query.items:
            under = self._under.get((tenant, item[0]), ())
            positions.update(under[bisect_right(under, after) :])
        return [
            self._events[position - 1]
            for position in sorted(positions)
            if matches(query, self._tags[position - 1])
        ]

    async def head(self) -> Position:
        return len(self._events)

    def head_now(self) -> Position:
        """The head, without awaiting."""
        return len(self._events)

    async def wait_for_news(self, after: Position) -> None:
        if self._news is None:
            raise NotOpen("memory")
        await self._news.wait(after)
