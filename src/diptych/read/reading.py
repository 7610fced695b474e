"""What one answer reads: a session for each store, and the views that it turns out to depend on."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import AbstractAsyncContextManager
from typing import Any

from diptych.message import Position
from diptych.read.port import Session, SqlSession, SqlViewStore, ViewStore
from diptych.read.sources import Need, Source, Sources


class Lagging(Exception):
    """Something that the answer needs is not far enough; the answer begins again."""

    def __init__(self, needs: list[Need]) -> None:
        super().__init__()
        self.needs = needs


class Reading:
    """The sessions of one answer, each begun with the first read from its store.

    Args:
        after: Position that every view read must have reached; 0 where any will do.
        judged: Whether somebody will ask how fresh it was.

    Attributes:
        used: Checkpoints of the views that were read, and where they were.
        head: Of the log, as far as it was looked at.
        tables: How far the log was where other tables than those of views were read.
        older: Whether an older version was shown in the place of a view that is being filled.
        needs: What was found lacking.
    """

    def __init__(self, sources: Sources, *, after: Position, judged: bool) -> None:
        self.sources = sources
        self.used: dict[str, Position] = {}
        self.head: Position | None = None
        self.tables: Position | None = None
        self.older = False
        self.needs: list[Need] = []
        self._after = after
        self._judged = judged
        self._shown: dict[type, Source] = {}
        self._sessions: dict[ViewStore, Session] = {}
        self._contexts: list[AbstractAsyncContextManager[Session]] = []

    def of(self, row: type) -> Source:
        """The view with such rows and its store; the same throughout an answer."""
        found = self._shown.get(row)
        if found is None:
            found = self._shown[row] = self.sources.of(row)
        return found

    async def session(self, store: ViewStore) -> Session:
        """The session with a store."""
        session = self._sessions.get(store)
        return session if session is not None else await self._open(store, store.session())

    async def sql(self, store: SqlViewStore) -> SqlSession:
        """The session with a store that speaks SQL."""
        session: Any = self._sessions.get(store)
        if session is None:
            session = await self._open(store, store.session())
        found: SqlSession = session
        return found

    async def _open(
        self, store: ViewStore, context: AbstractAsyncContextManager[Session]
    ) -> Session:
        sources = self.sources
        elsewhere = store is not sources.own or sources.replica is not None
        if self._judged and elsewhere and self.head is None:
            # Before the snapshot, so that what was committed in between makes nothing stale.
            self.head = await sources.log.head()
        session = await context.__aenter__()
        self._contexts.append(context)
        self._sessions[store] = session
        return session

    async def close(self) -> None:
        """Ends the sessions."""
        for context in self._contexts:
            await context.__aexit__(None, None, None)

    async def depend(self, session: Session, checkpoints: Collection[str]) -> None:
        """Takes down what was just read.

        Raises:
            Lagging: It is not far enough.
        """
        snapshot = session.snapshot or await session.begin()
        head = snapshot.head
        if head is not None:
            if self.head is None or self.head < head:
                self.head = head
            if not checkpoints:
                self.tables = head if self.tables is None else min(self.tables, head)
                if head < self._after:
                    self.needs.append(self.sources.need_of_log(self._after))
        sources = self.sources
        for name in checkpoints:
            if name in self.used:
                continue
            at = self.used[name] = snapshot.checkpoints.get(name, 0)
            if sources.is_older(name):
                self.older = True
            is_filling = at < sources.filling.target(name)
            if is_filling or at < self._after:
                self.needs.append(sources.need(name, self._after, is_filling=is_filling))
        if self.needs:
            raise Lagging(self.needs)
