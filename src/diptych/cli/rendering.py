"""Results for people: tables where there is room, lists where there is not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from diptych.ops.check import Check
from diptych.ops.doctor import Diagnosis
from diptych.ops.envelope import shown
from diptych.ops.findings import Finding
from diptych.ops.migrating import Migration
from diptych.ops.pausing import ViewPause
from diptych.ops.prove.proof import READER_STALL, STARVED, WRITER_STALL, Proof
from diptych.ops.serve import Run
from diptych.ops.status import Status
from diptych.ops.tail import Tail
from diptych.ops.views import ViewList

NARROW = 90
"""Columns below which a table becomes a list."""

STYLES = {
    "running": "green",
    "ok": "green",
    "rebuilding": "cyan",
    "paused": "cyan",
    "left": "dim",
    "stopped": "yellow",
    "silent": "yellow",
    "warning": "yellow",
    "note": "cyan",
    "orphaned": "bold red",
    "vanished": "bold red",
    "error": "bold red",
    "unknown": "bold magenta",
    "proved": "bold green",
    "refuted": "bold red",
}

Cell = tuple[str, str]
"""A text and its style."""


def render(result: Any, console: Console) -> None:
    """Writes a result."""
    writers: dict[type, Callable[[Any, Console], None]] = {
        Check: _check,
        Diagnosis: _diagnosis,
        Proof: _proof,
        Migration: _migration,
        Run: _run,
        Status: _status,
        Tail: _tail,
        ViewList: _views,
        ViewPause: _pause,
    }
    writers[type(result)](result, console)


def line(console: Console, *parts: str | Cell) -> None:
    """A line; what came from outside is written so that no terminal obeys it."""
    text = Text()
    for part in parts:
        content, style = (part, "") if isinstance(part, str) else part
        text.append(shown(content), style)
    console.print(text, soft_wrap=True, highlight=False)


def _run(run: Run, console: Console) -> None:
    views = f"{len(run.views)} view{'' if len(run.views) == 1 else 's'}"
    match run.state:
        case "planned":
            line(console, f"{run.context} would run: {run.store}, {views}")
        case "ready":
            line(
                console,
                f"{run.context} is ready: {run.store}, {views}, process {run.pid}. "
                "Ctrl-C stops it.",
            )
        case "stopped":
            line(console, f"{run.context} has stopped")


def _status(status: Status, console: Console) -> None:
    now = datetime.now(UTC)
    if status.unseen is not None:
        line(console, f"{status.context}: ", ("unknown", STYLES["unknown"]), f", {status.unseen}")
    else:
        head = f"{status.context}: head {status.head}"
        if status.head_time is not None:
            head += f", {_ago(status.head_time, now)}"
        line(console, head)
        wal = "" if status.wal is None else f", write-ahead log {_bytes(status.wal)}"
        line(console, f"{status.store}: {_bytes(status.size)}{wal}")
    if status.views:
        console.print()
        _table(
            console,
            ("view", "state", "since", "position", "behind", "why"),
            [
                (
                    (f"{view.name}@{view.version}", "" if view.wired else "dim"),
                    (view.state, STYLES[view.state]),
                    _cell(view.since and _ago(view.since, now)),
                    _cell(view.position),
                    _cell(_behind(view.lag_events, view.lag_seconds)),
                    (view.failure, STYLES["error"]) if view.failure else _why(view),
                )
                for view in status.views
            ],
        )
    if status.processes:
        console.print()
        _table(
            console,
            ("process", "state", "started", "heard", "keeps going"),
            [
                (
                    _cell(f"{process.pid} on {process.host}"),
                    (process.state, STYLES[process.state]),
                    _cell(_ago(process.started, now)),
                    _cell(_ago(process.seen, now)),
                    _cell(", ".join(process.views)),
                )
                for process in status.processes
            ],
        )
    elif status.unseen is None:
        console.print()
        line(console, "no process has the store open, or had it lately")


def _pause(found: ViewPause, console: Console) -> None:
    if found.until is None:
        line(console, f"{found.view} {found.done}")
        return
    left = _span((found.until - datetime.now(UTC)).total_seconds())
    until = f"until {found.until:%Y-%m-%d %H:%M:%S}Z, {left}"
    line(console, f"{found.view} {found.done} ({until}) by {found.by}: {found.reason}")


def _migration(found: Migration, console: Console) -> None:
    if found.bare:
        console.out(found.sql, end="", highlight=False)
        return
    formats = (
        f"format {found.format}"
        if found.found == found.format
        else (
            f"from format {found.found} to {found.format}"
            if found.found
            else f"new, format {found.format}"
        )
    )
    line(console, f"{found.store}: {found.done} ({formats})")
    if found.done == "would be migrated" and found.sql:
        console.print()
        console.out(found.sql, end="", highlight=False)


def _why(view: Any) -> Cell:
    wired = "" if view.wired else " (not in this app's code)"
    until = f", until {view.pause.until:%H:%M:%S}Z" if view.pause is not None else ""
    return f"{view.reason}{until}{wired}", "dim"


def _views(found: ViewList, console: Console) -> None:
    if not found.views:
        line(console, f"{found.context} has no views")
        return
    _table(
        console,
        ("view", "state", "position", "key", "columns", "made from"),
        [
            (
                _cell(f"{view.name}@{view.version}{' (inline)' if view.inline else ''}"),
                (view.state, STYLES[view.state]),
                _cell(view.position),
                _cell(", ".join(view.key)),
                _cell(", ".join(view.columns)),
                _cell(", ".join(view.events)),
            )
            for view in found.views
        ],
    )


def _tail(found: Tail, console: Console) -> None:
    for event in found.events:
        tenant = f"{event.tenant}/" if event.tenant else ""
        line(
            console,
            (f"{event.position:>8}  {event.time:%Y-%m-%d %H:%M:%S}Z  ", "dim"),
            f"{tenant}{event.stream} {event.version}  ",
            (event.type, "bold"),
            f"  {bytes(event.data).decode()}",
        )


def _proof(proof: Proof, console: Console) -> None:
    about = f"{proof.writers} writers in {proof.processes} processes, {proof.readers} readers"
    match proof.state:
        case "planned":
            line(
                console,
                f"{proof.server} ({proof.version}) will do: {about}, {proof.seconds:.0f} s, in a "
                "schema diptych_prove_… of its own",
            )
        case "running":
            if console.is_terminal:
                now = f"{proof.elapsed:.0f} of {proof.seconds:.0f} s, {proof.events} events"
                console.print(f"{proof.server}: {now}", end="\r", highlight=False, soft_wrap=True)
        case _:
            _verdict(proof, about, console)


def _verdict(proof: Proof, about: str, console: Console) -> None:
    line(
        console,
        (proof.state, STYLES[proof.state]),
        f": {proof.lost} lost, {proof.doubled} doubled, {proof.out_of_order} out of order among "
        f"{proof.events} events",
    )
    line(console, f"{proof.server}, {proof.version}: {about}, {proof.elapsed:.0f} s")
    for what, seconds, limit in (
        ("a reader", proof.reader_stall, READER_STALL),
        ("a writer", proof.writer_stall, WRITER_STALL),
    ):
        judged = proof.cpu_wait <= STARVED
        style = STYLES["error"] if judged and seconds > limit + proof.machine_stall else ""
        line(
            console,
            f"{what} stood still for ",
            (f"{seconds:.2f} s", style),
            f" at most (limit {limit:.0f} s)",
        )
    line(
        console,
        f"this machine itself stood still for {proof.machine_stall:.2f} s at most; a writing "
        f"process waited for a CPU for {proof.cpu_wait:.0%} of the time",
    )
    console.print()
    _table(
        console,
        ("path", "accepted", "refused", "failed", "unknown"),
        [
            tuple(map(_cell, (one.path, one.accepted, one.refused, one.failed, one.unknown)))
            for one in proof.written
        ],
    )
    console.print()
    for text in proof.disturbances:
        line(console, f"done to it: {text}")
    for text in proof.omitted:
        line(console, ("left out", STYLES["warning"]), f": {text}")
    for text in proof.failures:
        line(console, ("told", "dim"), f": {text}")
    for one in proof.violations:
        line(console, (one.kind, STYLES["error"]), f": {one.about}")
    if proof.broken > len(proof.violations):
        line(console, f"and {proof.broken - len(proof.violations)} more")


def _check(check: Check, console: Console) -> None:
    _findings(check.findings, console)
    line(
        console,
        f"{check.context or 'the app'}: {_counts(check.findings)}. Schema file: {check.schema}",
    )


def _diagnosis(diagnosis: Diagnosis, console: Console) -> None:
    _findings(diagnosis.findings, console)
    line(console, _counts(diagnosis.findings))


def _findings(findings: Sequence[Finding], console: Console) -> None:
    for found in findings:
        line(
            console,
            (f"{found.severity:<8}", STYLES[found.severity]),
            (found.subject, "bold"),
            f" {found.message}" if found.severity == "ok" else f": {found.message}",
            ("" if found.severity == "ok" else f" [{found.code}]", "dim"),
        )
        if found.remedy:
            line(console, f"        {found.remedy}")


def _counts(findings: Sequence[Finding]) -> str:
    words: list[str] = []
    for severity in ("error", "warning", "note"):
        count = sum(found.severity == severity for found in findings)
        if count:
            words.append(f"{count} {severity}{'' if count == 1 else 's'}")
    return ", ".join(words) or "nothing wrong"


def _table(console: Console, heads: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
    """A table; below `NARROW` columns each row is a list of its cells."""
    if console.width < NARROW:
        for row in rows:
            line(console, (row[0][0], "bold"), "  ", row[1])
            for head, (text, style) in zip(heads[2:], row[2:], strict=True):
                if text:
                    body = Text(f"  {head}: ")
                    body.append(shown(text), style)
                    console.print(body, highlight=False)
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for head in heads:
        table.add_column(head, overflow="fold")
    for row in rows:
        table.add_row(*[Text(shown(text), style) for text, style in row])
    console.print(table)


def _cell(value: object) -> Cell:
    return ("" if value is None else str(value)), ""


def _behind(events: int | None, seconds: float | None) -> str | None:
    if events is None or seconds is None:
        return None
    return "nothing" if events == 0 else f"{events} positions, {_span(seconds)}"


def _ago(moment: datetime, now: datetime) -> str:
    return f"{_span((now - moment).total_seconds())} ago"


def _span(seconds: float) -> str:
    """Roughly, in the largest unit that fits."""
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if abs(seconds) >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _bytes(size: int | None) -> str:
    if size is None:
        return "no file"
    for power, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if size >= 1 << power:
            return f"{size / (1 << power):.1f} {unit}"
    return f"{size} bytes"
