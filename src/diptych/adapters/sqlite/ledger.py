"""What a judge asks of SQLite, read in few statements for a whole group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from diptych.adapters.sqlite import schema
from diptych.adapters.sqlite.connection import Executes
from diptych.adapters.sqlite.reading import tagged
from diptych.adapters.sqlite.rows import differing
from diptych.log.commit import Commit, Refusal, Settled, StateRow, Tagged
from diptych.message import Position

_encode = msgspec.json.encode
_decode_refusal = msgspec.json.Decoder(Refusal).decode
_decode_causes = msgspec.json.Decoder(list[tuple[int, str, str]]).decode
_decode_ids = msgspec.json.Decoder(list[str]).decode
_decode_versions = msgspec.json.Decoder(list[int | None]).decode


class Ledger:
    """A ledger that has read in two statements what a group is going to ask for.

    Args:
        versions: Of streams, as far as they are known for certain.
        head: Of the log; after it there is nothing to be found.
    """

    def __init__(
        self,
        connection: Executes,
        commits: Sequence[Commit],
        versions: Mapping[tuple[str, str], int],
        head: Position,
    ) -> None:
        self._connection = connection
        self._outcomes: dict[tuple[str, str], Settled] = {}
        ids = [
            (commit.tenant, commit.cause.id)
            for commit in commits
            if commit.cause is not None and commit.outcome is not None and not commit.outcome.drawn
        ]
        if ids:
            for tenant, *row in connection.execute(
                schema.SELECT_OUTCOMES, (_encode(ids).decode(),)
            ):
                self._outcomes[(tenant, row[0])] = settled_of(row)
        streams = {
            (commit.tenant, append.stream) for commit in commits for append in commit.appends
        }
        unknown = [stream for stream in streams if stream not in versions]
        self._versions = versions
        if unknown:
            row = connection.execute(schema.SELECT_VERSIONS, (_encode(unknown).decode(),))
            found = _decode_versions(row.fetchone()[0])
            self._versions = {
                **{stream: versions[stream] for stream in streams if stream in versions},
                **{stream: at or 0 for stream, at in zip(unknown, found, strict=True)},
            }

        self._head = head
        self._causes: dict[tuple[str, Tagged, Position], list[str]] = {}
        conditions = [
            (commit.tenant, commit.condition.query, commit.condition.after)
            for commit in commits
            if commit.condition is not None
            and commit.condition.after < head
            and all(len(item) == 1 for item in commit.condition.query.items)
        ]
        if conditions:
            self._find_causes(conditions)
        self._stands: dict[int, bool] = {}
        rows = _first_rows(commits)
        if rows:
            self._compare(rows)

    def _compare(self, rows: Sequence[StateRow]) -> None:
        wrong = differing(self._connection, rows)
        for place, row in enumerate(rows):
            self._stands[id(row)] = place not in wrong

    def _find_causes(self, conditions: Sequence[tuple[str, Tagged, Position]]) -> None:
        wanted = [
            (place, tenant, item[0], after)
            for place, (tenant, query, after) in enumerate(conditions)
            for item in query.items
        ]
        row = self._connection.execute(schema.SELECT_CAUSES, (_encode(wanted).decode(),))
        self._causes = {condition: [] for condition in conditions}
        for place, cause, name in _decode_causes(row.fetchone()[0]):
            condition = conditions[place]
            if name in condition[1].names:
                self._causes[condition].append(cause)

    def settled(self, tenant: str, id: str) -> Settled | None:
        return self._outcomes.get((tenant, id))

    def version(self, tenant: str, stream: str) -> int:
        return self._versions[(tenant, stream)]

    def causation(self, tenant: str, stream: str, version: int) -> str | None:
        row = self._connection.execute(
            schema.SELECT_CAUSATION, (tenant, stream, version)
        ).fetchone()
        return None if row is None else row[0]

    def causes(self, tenant: str, query: Tagged, after: Position) -> Sequence[str]:
        if after >= self._head:
            return ()
        found_already = self._causes.get((tenant, query, after))
        if found_already is not None:
            return found_already
        where, values = tagged(tenant, query, after)
        found = self._connection.execute(
            f"SELECT json_group_array(causation) FROM diptych_events WHERE {where}", values
        )
        return _decode_ids(found.fetchone()[0])

    def checkpoint(self, name: str) -> Position:
        row = self._connection.execute(schema.SELECT_CHECKPOINT, (name,)).fetchone()
        return 0 if row is None else row[0]

    def stands(self, row: StateRow) -> bool:
        if id(row) not in self._stands:  # one before it fell out
            self._compare([row])
        return self._stands[id(row)]


def _first_rows(commits: Sequence[Commit]) -> list[StateRow]:
    """Of each row, what the first commit of a group says of it; the next ones stand on that."""
    found: dict[tuple[str, Any], StateRow] = {}
    for commit in commits:
        for append in commit.appends:
            row = append.row
            if row is not None and not row.trusted:
                found.setdefault((row.table.name, row.key), row)
    return list(found.values())


def settled_of(row: Sequence[Any]) -> Settled:
    """An outcome from its row, without the tenant."""
    id, fingerprint, position, stream, version, count, refusal = row
    return Settled(
        id,
        fingerprint,
        position,
        stream,
        version,
        count,
        None if refusal is None else _decode_refusal(refusal),
    )
