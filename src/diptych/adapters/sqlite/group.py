"""Judging and writing a group of commits, on a connection whose transaction holds the write lock."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

from diptych.adapters.inline import InlineView as InlineViewOf
from diptych.adapters.inline import Kept, judge_group
from diptych.adapters.judge import Judge
from diptych.adapters.sqlite import schema
from diptych.adapters.sqlite.connection import Executes
from diptych.adapters.sqlite.ledger import Ledger
from diptych.adapters.sqlite.reading import read_events
from diptych.adapters.sqlite.rows import write_changes
from diptych.adapters.sqlite.tables import ViewTable, insert_many, write_rows
from diptych.log.commit import Commit, Committed, Rows
from diptych.log.inline import Key
from diptych.log.port import Batch
from diptych.message import Position

_encode = msgspec.json.encode


InlineView: TypeAlias = InlineViewOf[ViewTable]
"""In this database."""


class KeptTable:
    """An inline view in a table, on one connection; its missed events are in the same database.

    Args:
        known: Where its checkpoint stands, if that is known for certain.
        head: Of the log.
    """

    def __init__(
        self, view: InlineView, connection: Executes, known: Position | None, head: Position
    ) -> None:
        self._view = view
        self._connection = connection
        self._known = known
        self._head = head
        self.checkpoint = view.checkpoint
        self.fold = view.fold

    def position(self) -> Position:
        if self._known is None:
            row = self._connection.execute(schema.SELECT_CHECKPOINT, (self.checkpoint,)).fetchone()
            self._known = 0 if row is None else row[0]
        return self._known

    def missed(self, after: Position, limit: int) -> Batch:
        names = self._view.names
        events, whole = read_events(
            self._connection,
            schema.select_named(len(names)),
            (after, self._head, *names),
            limit,
        )
        return Batch(events, self._head if whole else events[-1].position)

    def read(self, keys: Sequence[Key]) -> Mapping[Key, Any]:
        return self._view.table.read(self._connection, keys)

    def encode(self, upserts: Sequence[Any], deletes: Sequence[Key]) -> Rows:
        return self._view.table.rows(upserts, deletes)


class Group:
    """What a group of commits has become; written, but not yet committed."""

    def __init__(self, judge: Judge, answers: list[Committed | BaseException]) -> None:
        self.answers = answers
        self.head = judge.head
        self.versions = judge.versions
        self.empty = judge.empty
        self.statements = judge.statements
        """Of SQLAlchemy's, still to be executed."""
        self.checkpoints = {one.checkpoint: one.position for one in judge.advances}


def write_group(
    connection: Executes,
    commits: Sequence[Commit],
    *,
    head: Position,
    versions: Mapping[tuple[str, str], int],
    inline: Sequence[InlineView],
    positions: Mapping[str, Position],
) -> Group:
    """Judges the commits in order and writes what may happen.

    Args:
        head: Of the log, known for certain.
        versions: Of streams, as far as they are known for certain.
        inline: Views to be kept with them.
        positions: Of inline views, as far as they are known for certain.
    """
    ledger = Ledger(connection, commits, versions, head)
    kept: list[Kept] = [
        KeptTable(view, connection, positions.get(view.checkpoint), head) for view in inline
    ]
    judge, answers = judge_group(commits, lambda: Judge(ledger, head), kept)
    if not judge.empty:
        _put(connection, judge)
    return Group(judge, answers)


def _put(connection: Executes, judge: Judge) -> None:
    """The group's writes, each kind in one go."""
    if judge.events:
        insert_many(
            connection,
            *schema.EVENTS,
            [
                (
                    event.position,
                    event.tenant,
                    event.stream,
                    event.version,
                    event.name,
                    event.schema,
                    event.data,
                    event.time,
                    event.causation,
                    None if event.correlation == event.causation else event.correlation,
                    event.principal,
                )
                for event, _ in judge.events
            ],
        )
        tags = [
            (event.tenant, tag, event.position)
            for event, new in judge.events
            if new.tags
            for tag in new.tags
        ]
        if tags:
            insert_many(connection, *schema.TAGS, tags)
    if judge.outcomes:
        # The machine's time: an app's own clock may be years away, or leap.
        now = time.time_ns() // 1000
        insert_many(
            connection,
            *schema.OUTCOMES,
            [
                (
                    tenant,
                    settled.id,
                    settled.fingerprint,
                    settled.position,
                    settled.stream,
                    settled.version,
                    settled.count,
                    None if settled.refusal is None else _encode(settled.refusal).decode(),
                    now,
                )
                for tenant, settled in judge.outcomes
            ],
        )
    write_changes(connection, judge.states.changes())
    for rows in judge.rows:
        write_rows(connection, rows)
    for advance in judge.advances:
        connection.execute(schema.UPSERT_CHECKPOINT, (advance.checkpoint, advance.position))
