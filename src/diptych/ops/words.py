"""The words for how a view or a process stands, and why they are true."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal, TypeAlias

from msgspec import Struct

from diptych.log.presence import SILENT

if TYPE_CHECKING:
    from diptych.log.inspection import Process, Standing
    from diptych.log.presence import ViewProgress

State: TypeAlias = Literal["running", "paused", "rebuilding", "stopped", "orphaned", "unknown"]
"""How a view stands.

running: a living process keeps it going. paused: it would, but stands still because somebody wants it
so. rebuilding: it is kept going, and has not yet reached the head that the log had when this version
was new. stopped: nobody keeps it going, and the last who did went of its own accord, or nobody ever
did. orphaned: the last who did has vanished, or says nothing any more. unknown: it cannot be known.
"""

Life: TypeAlias = Literal["running", "silent", "vanished", "left", "unknown"]
"""How a process stands. silent: it is there, or cannot be seen, and has said nothing for too long, or
the system has frozen it. vanished: it is not there any more, and never said that it goes."""

Sight: TypeAlias = "Callable[[Process], str]"
"""How the system sees a process: ``there``, ``frozen``, ``another`` (its number was given to another
one), ``gone``, ``elsewhere``."""

_SILENT = int(SILENT * 1_000_000)


def life(process: Process, *, now: int, sight: Sight) -> Life:
    """How a process stands.

    Args:
        now: Microseconds.
    """
    if process.left is not None:
        return "left"
    seen = sight(process)
    quiet = now - process.seen
    if seen == "gone" or (seen == "another" and quiet > _SILENT):
        return "vanished"
    if seen == "frozen" or quiet > _SILENT:
        return "silent"
    if quiet < -_SILENT and seen == "elsewhere":
        return "unknown"  # heard in the future: one of the two clocks is wrong
    return "running"


class Word(Struct, frozen=True, kw_only=True):
    """A word with its reason.

    Attributes:
        since: Microseconds; None where that is not known.
    """

    state: State
    since: int | None
    reason: str


def named(process: Process) -> str:
    """How messages name a process."""
    return f"process {process.pid} on {process.host}"


def word(view: str, standing: Standing, lives: Mapping[str, Life]) -> Word:
    """How a view stands.

    Args:
        view: Name of its checkpoint.
        lives: Of all processes, by id.
    """
    followers = [p for p in standing.processes if any(v.view == view for v in p.views)]
    living = [p for p in followers if lives[p.id] == "running"]
    if living:
        since = min(p.started for p in living)
        by = ", ".join(named(p) for p in living)
        pause = standing.pauses.get(view)
        if pause is not None and all(v.paused for p in living for v in p.views if v.view == view):
            reason = f"paused by {pause.by}: {pause.reason}"
            return Word(state="paused", since=pause.since, reason=reason)
        if _is_filling(view, standing):
            reason = f"filled for the first time by {by}"
            return Word(state="rebuilding", since=since, reason=reason)
        return Word(state="running", since=since, reason=f"kept going by {by}")
    doubtful = [p for p in followers if lives[p.id] == "unknown"]
    if doubtful:
        reason = f"{named(doubtful[0])} was heard in the future: look at the clocks"
        return Word(state="unknown", since=None, reason=reason)
    if not followers:
        return Word(state="stopped", since=None, reason="no process has kept it going lately")
    last = max(followers, key=lambda p: p.left or p.seen)
    match lives[last.id]:
        case "left":
            return Word(state="stopped", since=last.left, reason=f"{named(last)} ended properly")
        case "silent":
            reason = f"{named(last)} says nothing any more: frozen, stuck, or cut off"
        case _:
            reason = f"{named(last)} vanished without a word"
    return Word(state="orphaned", since=last.seen, reason=reason)


def position(view: str, standing: Standing) -> int | None:
    """Its checkpoint; where that rests elsewhere, as it was last told. None where nobody knows."""
    if view in standing.checkpoints:
        return standing.checkpoints[view].position
    told = _told(view, standing)
    return None if told is None else told.position


def _is_filling(view: str, standing: Standing) -> bool:
    """Whether it has not yet reached the head that the log had when the view was new."""
    if view in standing.checkpoints:
        found = standing.checkpoints[view]
        return found.position < found.target
    told = _told(view, standing)
    return told is not None and told.position < told.target


def _told(view: str, standing: Standing) -> ViewProgress | None:
    """What was last said of it."""
    told = [(p.seen, v) for p in standing.processes for v in p.views if v.view == view]
    return max(told, key=lambda one: one[0])[1] if told else None
