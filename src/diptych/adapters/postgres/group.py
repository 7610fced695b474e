"""Judging and writing a group of commits, in a transaction that holds the store's lock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import msgspec

from diptych.adapters.inline import InlineView as InlineViewOf
from diptych.adapters.inline import Kept, judge_group
from diptych.adapters.judge import Judge
from diptych.adapters.postgres.connection import Executes
from diptych.adapters.postgres.ledger import Read
from diptych.adapters.postgres.reading import events_of
from diptych.adapters.postgres.rows import RowTables
from diptych.adapters.postgres.schema import Statements
from diptych.adapters.postgres.tables import ViewTable, write_rows
from diptych.log.commit import Cause, Commit, Committed, NewEvent, Rows
from diptych.log.inline import Key
from diptych.log.port import Batch, StoredEvent
from diptych.message import Position

_encode = msgspec.json.encode


InlineView: TypeAlias = InlineViewOf[ViewTable]
"""In this database."""


class KeptTable:
    """An inline view in a table, with all that a group may ask of it read before.

    Which rows a group touches is told by its events alone, so they are read in one statement.
    """

    def __init__(self, view: InlineView, at: Position, missed: Sequence[StoredEvent]) -> None:
        self._view = view
        self._at = at
        self._missed = missed
        self._rows: Mapping[Key, Any] = {}
        self.checkpoint = view.checkpoint
        self.fold = view.fold

    @classmethod
    async def of(
        cls,
        view: InlineView,
        connection: Executes,
        sql: Statements,
        commits: Sequence[Commit],
        ledger: Read,
    ) -> KeptTable:
        """Reads what was missed, and the rows that are touched by it or by the commits."""
        at, missed = ledger.checkpoint(view.checkpoint), []
        if at < ledger.head:
            rows = await connection.fetch(sql.select_named, at, 2**31 - 1, ledger.head, view.names)
            missed = events_of(rows)
        kept = cls(view, at, missed)
        names = view.fold.names
        keys: dict[Key, None] = {}
        for stored in (*missed, *_provisional(commits)):
            if stored.name in names:
                try:
                    keys.update(dict.fromkeys(step[0] for step in view.fold.steps(stored)))
                except Exception:
                    continue  # folding says so, of the right commit
        kept._rows = await view.table.read(connection, list(keys))
        return kept

    def position(self) -> Position:
        return self._at

    def missed(self, after: Position, limit: int) -> Batch:
        events = [stored for stored in self._missed if stored.position > after]
        if len(events) > limit:
            return Batch(events[:limit], events[limit - 1].position)
        return Batch(events, 2**63 - 1)

    def read(self, keys: Sequence[Key]) -> Mapping[Key, Any]:
        return {key: self._rows[key] for key in keys if key in self._rows}

    def encode(self, upserts: Sequence[Any], deletes: Sequence[Key]) -> Rows:
        return self._view.table.rows(upserts, deletes)


def _provisional(commits: Sequence[Commit]) -> list[StoredEvent]:
    """The events as they may be stored; their positions and versions are not known yet."""
    found: list[StoredEvent] = []
    for commit in commits:
        cause = commit.cause
        if cause is not None:
            for append in commit.appends:
                found += [_stored(event, append.stream, cause) for event in append.events]
    return found


def _stored(event: NewEvent, stream: str, cause: Cause) -> StoredEvent:
    return StoredEvent(
        0,
        cause.tenant,
        stream,
        0,
        event.name,
        event.schema,
        event.data,
        cause.time,
        cause.id,
        cause.correlation,
        cause.principal,
    )


class ExecutesStatements(Protocol):
    """Who executes SQLAlchemy's statements in the same transaction."""

    async def __call__(self, statements: Sequence[Any]) -> None: ...


async def no_statements(statements: Sequence[Any]) -> None:
    """Where a session executes its own."""
    assert not statements


async def write_group(
    connection: Executes,
    sql: Statements,
    commits: Sequence[Commit],
    *,
    rows: RowTables,
    inline: Sequence[InlineView],
    execute: ExecutesStatements = no_statements,
    writer: str | None = None,
    group: str | None = None,
) -> tuple[Read, Judge, list[Committed | BaseException]]:
    """Judges the commits in order and writes what may happen; the lock is held.

    Args:
        rows: Tables that keep states.
        inline: Views to be kept with them.
        execute: Executes SQLAlchemy's statements in this transaction.
        writer: Who writes, where `group` is to be found again as the last thing written by it.

    Returns:
        What was there before, the judge, and the answers.
    """
    ledger = await Read.of(connection, sql, commits, rows, [view.checkpoint for view in inline])
    kept: list[Kept] = [
        await KeptTable.of(view, connection, sql, commits, ledger) for view in inline
    ]
    judge, answers = judge_group(commits, lambda: Judge(ledger, ledger.head), kept)
    if not judge.empty:
        for of_view in judge.rows:
            await write_rows(connection, sql.schema, of_view)
        await rows.write(connection, judge.states.changes())
        if judge.statements:
            await execute(judge.statements)
        values = written(judge, ledger.head)
        await connection.fetch(sql.write, None, writer, group, *values)
    return ledger, judge, answers


def written(judge: Judge, head: Position) -> tuple[list[Any], ...]:
    """What a judge has collected, as columns for `diptych_write`.

    Args:
        head: Of the log, before.
    """
    events = [stored for stored, _ in judge.events]
    outcomes = judge.outcomes
    tags = [
        (stored.position - head, tag)
        for stored, new in judge.events
        if new.tags
        for tag in new.tags
    ]
    return (
        [event.tenant for event in events],
        [event.stream for event in events],
        [event.version for event in events],
        [event.name for event in events],
        [event.schema for event in events],
        [event.data for event in events],
        [event.time for event in events],
        [event.causation for event in events],
        [None if e.correlation == e.causation else e.correlation for e in events],
        [event.principal for event in events],
        [place for place, _ in tags],
        [tag for _, tag in tags],
        [tenant for tenant, _ in outcomes],
        [settled.id for _, settled in outcomes],
        [settled.fingerprint for _, settled in outcomes],
        [settled.position - head for _, settled in outcomes],
        [settled.stream for _, settled in outcomes],
        [settled.version for _, settled in outcomes],
        [settled.count for _, settled in outcomes],
        [s.refusal and _encode(s.refusal).decode() for _, s in outcomes],
        [advance.checkpoint for advance in judge.advances],
        [advance.position for advance in judge.advances],
    )
