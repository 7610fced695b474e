"""What a judge asks of PostgreSQL, read in few statements for a whole group, under the lock.

Where nobody else has written since this process did, what it remembers is what is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from diptych.adapters.judge import Judge, Tip, matches
from diptych.adapters.postgres.connection import Executes
from diptych.adapters.postgres.reading import flat, has_single_tags, single_tags
from diptych.adapters.postgres.rows import RowTables
from diptych.adapters.postgres.schema import Statements
from diptych.log.commit import Commit, NewEvent, Refusal, Settled, StateRow, Tagged
from diptych.message import Position

_decode_refusal = msgspec.json.Decoder(Refusal).decode


class Unknown(Exception):
    """The judge asks for what this process does not remember."""


STREAMS = 200_000
"""Streams whose tips a process remembers."""

EVENTS = 20_000
"""Tags of events that it remembers."""


class Remembered:
    """A ledger out of what this process knows: true as long as nobody else has written.

    Of a command id that somebody gave it assumes that it is new: the database refuses it where it is
    not.

    Attributes:
        writes: By which it is seen that somebody else has written.
        head: Of the log.
    """

    def __init__(self, head: Position, writes: int) -> None:
        self.head = head
        self.writes = writes
        self._tips: dict[tuple[str, str], Tip] = {}
        self._since = head
        """The events after this position are remembered by their tags."""
        self._under: dict[tuple[str, str], list[tuple[Position, str, NewEvent]]] = {}
        self._tags = 0

    def learn(self, tenant: str, stream: str, version: int) -> None:
        """Somebody has read a stream."""
        self._tips.setdefault((tenant, stream), (version, None))

    def take(self, judge: Judge) -> None:
        """A group was judged, and written unless there was nothing to be written."""
        self.head = judge.head
        self.writes += not judge.empty
        for stream, tip in judge.tips.items():
            if tip[1] is not None or stream not in self._tips:
                self._tips[stream] = tip
        if len(self._tips) > STREAMS:
            self._tips.clear()
        for stored, event in judge.events:
            for tag in event.tags:
                under = self._under.setdefault((stored.tenant, tag), [])
                under.append((stored.position, stored.causation, event))
                self._tags += 1
        if self._tags > EVENTS:
            self._under.clear()
            self._tags, self._since = 0, self.head

    def settled(self, tenant: str, id: str) -> Settled | None:
        return None

    def version(self, tenant: str, stream: str) -> int:
        tip = self._tips.get((tenant, stream))
        if tip is None:
            raise Unknown
        return tip[0]

    def causation(self, tenant: str, stream: str, version: int) -> str | None:
        tip = self._tips.get((tenant, stream))
        if tip is None or tip[0] != version or tip[1] is None:
            raise Unknown
        return tip[1]

    def causes(self, tenant: str, query: Tagged, after: Position) -> set[str]:
        if after < self._since:
            raise Unknown
        return {
            cause
            for item in query.items
            for position, cause, event in self._under.get((tenant, item[0]), ())
            if position > after and matches(query, event)
        }

    def checkpoint(self, name: str) -> Position:
        raise Unknown

    def stands(self, row: StateRow) -> bool:
        raise Unknown


class Read:
    """A ledger that was read for one group.

    Attributes:
        head: Of the log.
        writes: By which others see that something was written.
    """

    def __init__(self) -> None:
        self.head: Position = 0
        self.writes = 0
        self._versions: dict[tuple[str, str], int] = {}
        self._outcomes: dict[tuple[str, str], Settled] = {}
        self._causations: dict[tuple[str, str, int], str] = {}
        self._causes: dict[tuple[str, Tagged, Position], list[str]] = {}
        self._checkpoints: dict[str, Position] = {}
        self._stands: dict[int, bool] = {}

    @classmethod
    async def of(
        cls,
        connection: Executes,
        sql: Statements,
        commits: Sequence[Commit],
        rows: RowTables,
        checkpoints: Sequence[str] = (),
    ) -> Read:
        """Reads what these commits make a judge ask for.

        Args:
            checkpoints: Others that will be asked for.
        """
        ledger = cls()
        await ledger._read_streams(connection, sql, commits)
        await ledger._read_outcomes(connection, sql, commits)
        names = {one.checkpoint for commit in commits for one in commit.advance} | {*checkpoints}
        if names:
            found = await connection.fetch(sql.select_checkpoints, sorted(names))
            ledger._checkpoints = {row[0]: row[1] for row in found}
        await ledger._read_causes(connection, sql, commits)
        states = [a.row for c in commits for a in c.appends if a.row is not None]
        compared = [row for row in states if not row.trusted]
        if compared:
            wrong = await rows.differing(connection, compared)
            ledger._stands = {id(row): at not in wrong for at, row in enumerate(compared)}
        return ledger

    async def _read_streams(
        self, connection: Executes, sql: Statements, commits: Sequence[Commit]
    ) -> None:
        streams = list({(c.tenant, append.stream) for c in commits for append in c.appends})
        tenants, names = [s[0] for s in streams], [s[1] for s in streams]
        ((self.head, self.writes, versions),) = await connection.fetch(
            sql.select_state, tenants, names
        )
        self._versions = {s: at or 0 for s, at in zip(streams, versions, strict=True)}
        upon = {
            (commit.tenant, append.stream, append.expected)
            for commit in commits
            for append in commit.appends
            if append.upon is not None and append.expected is not None
        }
        if upon:
            rows = await connection.fetch(
                sql.select_causations,
                [one[0] for one in upon],
                [one[1] for one in upon],
                [one[2] for one in upon],
            )
            self._causations = {(row[0], row[1], row[2]): row[3] for row in rows}

    async def _read_outcomes(
        self, connection: Executes, sql: Statements, commits: Sequence[Commit]
    ) -> None:
        ids = [
            (commit.tenant, commit.cause.id)
            for commit in commits
            if commit.cause is not None and commit.outcome is not None and not commit.outcome.drawn
        ]
        if ids:
            rows = await connection.fetch(
                sql.select_outcomes, [one[0] for one in ids], [one[1] for one in ids]
            )
            self._outcomes = {(row[0], row[1]): settled_of(row) for row in rows}

    async def _read_causes(
        self, connection: Executes, sql: Statements, commits: Sequence[Commit]
    ) -> None:
        asked = {
            (commit.tenant, commit.condition.query, commit.condition.after): None
            for commit in commits
            if commit.condition is not None and commit.condition.after < self.head
        }
        self._causes = {one: [] for one in asked}
        single = [one for one in asked if has_single_tags(one[1])]
        if single:
            wanted = single_tags((place, *one) for place, one in enumerate(single))
            for place, cause, name in await connection.fetch(sql.select_single_causes, *wanted):
                one = single[int(place)]
                if name in one[1].names:
                    self._causes[one].append(cause)
        for one in asked.keys() - single:
            tenant, query, after = one
            rows = await connection.fetch(
                sql.select_causes(query.items), tenant, after, list(query.names), *flat(query)
            )
            self._causes[one] = [row[0] for row in rows]

    def settled(self, tenant: str, id: str) -> Settled | None:
        return self._outcomes.get((tenant, id))

    def version(self, tenant: str, stream: str) -> int:
        return self._versions[(tenant, stream)]

    def causation(self, tenant: str, stream: str, version: int) -> str | None:
        return self._causations.get((tenant, stream, version))

    def causes(self, tenant: str, query: Tagged, after: Position) -> Sequence[str]:
        return self._causes[(tenant, query, after)] if after < self.head else ()

    def checkpoint(self, name: str) -> Position:
        return self._checkpoints.get(name, 0)

    def stands(self, row: StateRow) -> bool:
        return self._stands[id(row)]


def settled_of(row: Sequence[Any]) -> Settled:
    """An outcome from its row."""
    _, id, fingerprint, position, stream, version, count, refusal = row
    return Settled(
        id,
        bytes(fingerprint),
        position,
        stream,
        version,
        count,
        None if refusal is None else _decode_refusal(refusal),
    )
