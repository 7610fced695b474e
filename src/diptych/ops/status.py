"""How an app stands, seen from outside: its log, its views, and who is at work."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from diptych.ops.findings import Exit
from diptych.ops.kept import Kind
from diptych.ops.words import Life, State

if TYPE_CHECKING:
    from diptych.app import App
    from diptych.log.inspection import Standing
    from diptych.ops.target import Target


class PauseStatus(Struct, frozen=True, kw_only=True):
    """Somebody wants a view to stand still.

    Attributes:
        until: When it goes on by itself.
    """

    by: str
    reason: str
    since: datetime
    until: datetime


class ViewStatus(Struct, frozen=True, kw_only=True):
    """How a view stands.

    Attributes:
        reason: Why the word is true.
        since: Since when the word is true; null where that is not known.
        position: Its checkpoint: the last position it has taken in. As it was last told where it
            rests elsewhere; null where nobody has told.
        lag_events: Head minus position.
        lag_seconds: Age of the oldest event that it has not taken in; 0 where there is none.
        failure: Why it cannot go on at the moment.
        pause: Who wants it to stand still, also where nobody runs it; null where nobody does.
        kind: Null where only the store knows it.
        store: Where it rests; null for beside the log.
        wired: Whether it is in the app's code; an older version may be in the store only.
    """

    name: str
    version: int
    kind: Kind | None
    inline: bool
    store: str | None
    wired: bool
    state: State
    since: datetime | None
    reason: str
    position: int | None
    lag_events: int | None
    lag_seconds: float | None
    failure: str | None
    pause: PauseStatus | None


class ProcessStatus(Struct, frozen=True, kw_only=True):
    """A process that has the store open, or had it lately.

    Attributes:
        started: When it opened the store.
        seen: When it was last heard.
        views: What it keeps going.
    """

    host: str
    pid: int
    state: Life
    started: datetime
    seen: datetime
    views: tuple[str, ...]


class Status(Struct, frozen=True, kw_only=True):
    """How an app stands.

    Attributes:
        unseen: Why nothing can be known; null where it can.
        head: Position of the last event.
        size: Bytes of the store's file, or of the log's tables in a database.
        wal: Bytes of the file's write-ahead log; null where there is none.
    """

    context: str
    store: str
    unseen: str | None
    epoch: str | None
    head: int | None
    head_time: datetime | None
    size: int | None
    wal: int | None
    views: tuple[ViewStatus, ...]
    processes: tuple[ProcessStatus, ...]

    @property
    def exit(self) -> Exit:
        """Findings where a view is orphaned or cannot go on."""
        if self.unseen is not None or any(view.state == "unknown" for view in self.views):
            return Exit.STORE
        bad = any(view.state == "orphaned" or view.failure for view in self.views)
        return Exit.FINDINGS if bad else Exit.OK


async def status(target: Target) -> Status:
    """Looks at the app's store. Nothing is opened for writing, started or created.

    Raises:
        AppNotFound, WiringError: There is no app to ask about.
        StoreFault: The store cannot be read, or is another app's.
    """
    from diptych.adapters.opening import build_inspection

    app = target.app
    inspection = build_inspection(app.store)
    if inspection is None:
        return _unseen(app)
    return _status(app, await inspection.standing())


def _unseen(app: App) -> Status:
    from diptych.ops.kept import kept

    why = "a store in memory is seen by nobody but its own process"
    return Status(
        context=app.name,
        store=app.store,
        unseen=why,
        epoch=None,
        head=None,
        head_time=None,
        size=None,
        wal=None,
        processes=(),
        views=tuple(
            ViewStatus(
                name=one.name,
                version=one.version,
                kind=one.kind,
                inline=one.inline,
                store=one.place,
                wired=True,
                state="unknown",
                since=None,
                reason=why,
                position=None,
                lag_events=None,
                lag_seconds=None,
                failure=None,
                pause=None,
            )
            for one in kept(app.wiring)
        ),
    )


def _status(app: App, standing: Standing) -> Status:
    from diptych.adapters.machine import place_of, sight
    from diptych.adapters.opening import file_of, where
    from diptych.errors import ForeignStore
    from diptych.log.codec import from_micros
    from diptych.ops.words import life

    if standing.context != app.name:
        raise ForeignStore(
            f"{where(app.store)} belongs to context {standing.context!r}, this app is {app.name!r}. "
            "Look at the app's store=, or name the other app with --app."
        )
    lives: dict[str, Life] = {
        process.id: life(process, now=standing.now, sight=sight) for process in standing.processes
    }
    file = file_of(app.store)
    place = None if file is None else place_of(file)
    return Status(
        context=app.name,
        store=where(app.store) if place is None else place.path,
        unseen=None,
        epoch=standing.epoch,
        head=standing.head,
        head_time=None if standing.head_time is None else from_micros(standing.head_time),
        size=standing.size if place is None else place.size,
        wal=None if place is None else place.wal,
        views=_views(app, standing, lives, standing.now),
        processes=tuple(
            ProcessStatus(
                host=process.host,
                pid=process.pid,
                state=lives[process.id],
                started=from_micros(process.started),
                seen=from_micros(process.seen),
                views=tuple(view.view for view in process.views),
            )
            for process in standing.processes
        ),
    )


def _views(
    app: App, standing: Standing, lives: dict[str, Life], now: int
) -> tuple[ViewStatus, ...]:
    """Those of the code first, then those that only the store knows."""
    from diptych.log.codec import from_micros
    from diptych.ops.kept import kept
    from diptych.ops.words import position, word

    wired = {one.checkpoint: one for one in kept(app.wiring)}
    told = {view.view: None for process in standing.processes for view in process.views}
    found: list[ViewStatus] = []
    for checkpoint in dict.fromkeys((*wired, *standing.checkpoints, *told)):
        name, _, version = checkpoint.rpartition("@")
        at = position(checkpoint, standing)
        behind = standing.oldest.get(at or 0) if at != standing.head else None
        its = word(checkpoint, standing, lives)
        one = wired.get(checkpoint)
        found.append(
            ViewStatus(
                name=name,
                version=int(version) if version.isdecimal() else 0,
                kind=None if one is None else one.kind,
                inline=one is not None and one.inline,
                store=None if one is None else one.place,
                wired=one is not None,
                state=its.state,
                since=None if its.since is None else from_micros(its.since),
                reason=its.reason,
                position=at,
                lag_events=None if at is None else standing.head - at,
                lag_seconds=None if at is None else _seconds(behind, now),
                failure=_failure(checkpoint, standing, lives),
                pause=_pause(checkpoint, standing),
            )
        )
    return tuple(found)


def _seconds(behind: int | None, now: int) -> float:
    return 0.0 if behind is None else max(0.0, (now - behind) / 1_000_000)


def _pause(checkpoint: str, standing: Standing) -> PauseStatus | None:
    from diptych.log.codec import from_micros

    found = standing.pauses.get(checkpoint)
    return (
        None
        if found is None
        else PauseStatus(
            by=found.by,
            reason=found.reason,
            since=from_micros(found.since),
            until=from_micros(found.until),
        )
    )


def _failure(checkpoint: str, standing: Standing, lives: dict[str, Life]) -> str | None:
    """What the living say; the first that has something to say."""
    for process in standing.processes:
        if lives[process.id] == "running":
            for view in process.views:
                if view.view == checkpoint and view.failure is not None:
                    return view.failure
    return None
