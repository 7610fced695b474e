"""Views in a SQLite file of their own, away from their log: all of it can be made anew."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from diptych.adapters.grouping import Answers, GroupCommitter, Pending
from diptych.adapters.sqlite.connection import Synchronous
from diptych.adapters.sqlite.place import Place
from diptych.adapters.sqlite.preparing import prepare_views
from diptych.adapters.sqlite.views import SqliteViews
from diptych.adapters.sqlite.writer import Writer
from diptych.adapters.worker import Worker
from diptych.errors import NotOpen
from diptych.log.commit import Commit, Committed
from diptych.log.inline import RowFold
from diptych.read.port import Begun, Origin, Shape

T = TypeVar("T")

WAITING = 10_000
"""Commits that may wait: there is one at a time of each view."""


class ViewFile:
    """The one writer of such a file in this process; other processes may share the file.

    Rows and checkpoints are one transaction, but not each is synced: after a power cut the views
    stand where they stood a moment before, and go on from there.
    """

    def __init__(self, path: Path | None) -> None:
        self._place = Place(path)
        self._open: tuple[Worker, Writer, GroupCommitter] | None = None

    @property
    def path(self) -> Path:
        """Of the file."""
        return self._place.path

    async def open(self, origin: Origin, shapes: Sequence[Shape]) -> None:
        """Creates the file, or makes sure that it keeps the views of this log."""
        self._place.enter()
        path = self.path
        synchronous: Synchronous = "OFF" if self._place.in_memory else "NORMAL"
        stamps = [shape.stamp for shape in shapes]
        writing = Worker("diptych-view-writer", str(path))
        try:
            writer = await writing.run(
                lambda: Writer(path, retention=timedelta(0), synchronous=synchronous)
            )
            try:
                await writing.run(
                    lambda: writer.transact(lambda c: prepare_views(c, path, origin, stamps))
                )
            except BaseException:
                await writing.run(writer.close)
                raise
        except BaseException:
            await writing.close()
            self._place.leave()
            raise
        self._open = writing, writer, GroupCommitter(self._write, waiting=WAITING)

    async def close(self) -> None:
        """Waits for what was taken, then lets go of the file."""
        if self._open is not None:
            writing, writer, committer = self._open
            await committer.close()
            self._open = None
            await writing.close(writer.close)
            self._place.leave()

    def commit(self, commit: Commit) -> Awaitable[Committed]:
        """As a store does."""
        if self._open is None:
            raise NotOpen(str(self.path))
        return self._open[2].commit(commit)

    async def transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Runs `work` in a transaction of its own."""
        if self._open is None:
            raise NotOpen(str(self.path))
        writing, writer, _ = self._open
        return await writing.run(lambda: writer.transact(work))

    def _write(self, group: list[Pending]) -> None:
        assert self._open is not None
        writing, writer, committer = self._open
        commits = [commit for commit, _ in group]

        def done(answers: Answers, error: BaseException | None) -> None:
            committer.done(group, answers if error is None else [error] * len(group))

        writing.begin(lambda: writer.write(commits), done)


class ViewsInFile(SqliteViews):
    """Views in a file of their own; None is one in memory."""

    def __init__(self, path: Path | None) -> None:
        self._own = ViewFile(path)
        super().__init__(self._own, lambda _: None)

    async def open(
        self,
        shapes: Sequence[Shape],
        *,
        origin: Origin,
        inline: Mapping[str, RowFold] | None = None,
    ) -> Mapping[str, Begun]:
        await self._own.open(origin, shapes)
        try:
            return await super().open(shapes, origin=origin)
        except BaseException:
            await self._own.close()
            raise

    async def close(self) -> None:
        await super().close()
        await self._own.close()
