"""Letting a view stand still for a while, and go on."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import TYPE_CHECKING, Literal

from msgspec import Struct
from msgspec.structs import replace

from diptych.ops.findings import Exit

if TYPE_CHECKING:
    from diptych.app import App
    from diptych.log.pauses import Pausing
    from diptych.ops.target import Target


class ViewPause(Struct, frozen=True, kw_only=True):
    """What became of a view.

    Attributes:
        done: The planned ones are answers to --dry-run.
        by: Who wants, or wanted, it; null where there was no pause.
        until: When it goes on, or would have gone on, by itself.
    """

    view: str
    done: Literal["paused", "would be paused", "resumed", "would be resumed", "was not paused"]
    by: str | None = None
    reason: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def exit(self) -> Exit:
        """What is not paused need not be resumed."""
        return Exit.OK


async def pause(
    target: Target, *, view: str, minutes: int, reason: str, by: str | None, dry_run: bool
) -> ViewPause:
    """Pauses a view. Whoever runs it hears of it within a second or two; so does who starts later.

    Raises:
        Refused: There is no such view, or it cannot stand still.
        StoreFault: The store cannot be written.
    """
    from getpass import getuser

    from diptych.log.codec import from_micros
    from diptych.log.pauses import Pause

    app = target.app
    name = _named(app, view)
    since = time.time_ns() // 1000
    until = since + timedelta(minutes=minutes) // timedelta(microseconds=1)
    asked = Pause(view=name, by=by or getuser(), reason=reason, since=since, until=until)
    if not dry_run:
        await _pausing(app).pause(asked, context=app.name)
    return ViewPause(
        view=name,
        done="would be paused" if dry_run else "paused",
        by=asked.by,
        reason=reason,
        since=from_micros(since),
        until=from_micros(until),
    )


async def resume(target: Target, *, view: str, dry_run: bool) -> ViewPause:
    """Ends a pause before its time.

    Raises:
        Refused: There is no such view, or it cannot stand still.
        StoreFault: The store cannot be read or written.
    """
    from diptych.adapters.opening import build_inspection
    from diptych.log.codec import from_micros

    app = target.app
    name = _named(app, view)
    pausing, inspection = _pausing(app), build_inspection(app.store)
    if dry_run and inspection is not None:
        found = (await inspection.standing()).pauses.get(name)
    else:
        found = await pausing.resume(name, context=app.name)
    answer = ViewPause(view=name, done="was not paused")
    return (
        answer
        if found is None
        else replace(
            answer,
            done="would be resumed" if dry_run else "resumed",
            by=found.by,
            reason=found.reason,
            since=from_micros(found.since),
            until=from_micros(found.until),
        )
    )


def _pausing(app: App) -> Pausing:
    from diptych.adapters.opening import build_pausing
    from diptych.errors import StoreUnavailable

    pausing = build_pausing(app.store)
    if pausing is None:
        raise StoreUnavailable(
            f"{app.store}: a store in memory is reached by nobody but its own process. "
            "Give the app a file: store='sqlite:///file.db'."
        )
    return pausing


def _named(app: App, view: str) -> str:
    """The checkpoint of a view that is named with or without its version."""
    from diptych.errors import Refused
    from diptych.ops.kept import kept

    known = {one.checkpoint: one for one in kept(app.wiring)}
    short = {one.name: one.checkpoint for one in known.values()}
    name = short.get(view, view)
    if name not in known:
        near = get_close_matches(view, [*short, *known], 1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise Refused(
            "unknown_view", f"no view {view!r} here (known: {', '.join(known) or 'none'}).{hint}"
        )
    if known[name].inline:
        raise Refused(
            "inline_view",
            f"{name} is kept in the commit of the events themselves, so it cannot stand still. "
            "Make it a view that follows (without inline=True), if it must.",
        )
    return name
