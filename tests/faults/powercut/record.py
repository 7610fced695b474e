"""`python -m tests.faults.powercut.record SCRIPT`: write down the SQL that the adapter issues.

Runs an app on a real file and follows every connection through sqlite3's trace callback; the
values of parameters are in the text. Transactions are written down when their COMMIT is issued,
so that those of several connections stand in the order in which SQLite let them through. An `ack`
is written where `execute` handed a receipt to its caller: if that were before its COMMIT, the
replay would see it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sqlite3
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.faults.powercut.fingerprint import fingerprint

_READS = (
    "select",
    "explain",
    "values",
    "pragma data_version",
    "pragma table_",
    "pragma query_only",
)
_PRAGMAS_WITH_EFFECT = re.compile(
    r"pragma\s+(journal_mode|synchronous|page_size|auto_vacuum|application_id|user_version"
    r"|foreign_keys|journal_size_limit|wal_autocheckpoint|cache_spill|wal_checkpoint)\b"
)


TAKEN = "select json_extract(data, '$.note') from diptych_events where name = 'taken'"

APART = (
    f"select note from takings except {TAKEN}",
    f"{TAKEN} except select note from takings",
    """
    select sku from shelves s where stock is not (
        select sum(case name when 'filled' then json_extract(data, '$.quantity')
                             when 'taken' then -1 else 0 end)
        from diptych_events where json_extract(data, '$.sku') = s.sku)
    """,
    """
    select sku from view_tally_1 v where (taken, remarks) is not (
        select sum(name = 'taken'), sum(name = 'remarked')
        from diptych_events where json_extract(data, '$.sku') = v.sku)
    """,
    """
    select position from diptych_checkpoints where name = 'tally@1'
    and position is not (select coalesce(max(position), 0) from diptych_events)
    """,
    """
    select id from diptych_outcomes o where count is not (
        select count(*) from diptych_events where causation = o.id)
    """,
)
"""What must give nothing after every commit: rows, events, outcomes and the inline view agree."""


class Script:
    """What happened, in order, as JSON lines."""

    def __init__(self, position: str, apart: Sequence[str]) -> None:
        self.lines: list[dict[str, Any]] = [{"position": position, "apart": list(apart)}]

    def follow(self) -> Callable[[str], None]:
        """A trace callback for one connection: whole transactions go into the script."""
        inside: list[str] | None = None

        def traced(sql: str) -> None:
            nonlocal inside
            lines = [line for line in sql.splitlines() if not line.lstrip().startswith("--")]
            text = " ".join(" ".join(lines).lower().split())
            if not text:
                return  # a trigger's name: what it does, it will do again by itself
            if text.startswith("begin"):
                inside = [sql]
            elif text.startswith(("commit", "end")):
                if inside and len(inside) > 1:
                    self.lines += [{"sql": line} for line in (*inside, sql)]
                inside = None
            elif text.startswith("rollback") and " to " not in text:
                inside = None
            elif text.startswith("pragma"):
                if _PRAGMAS_WITH_EFFECT.match(text):
                    self._keep(sql, inside)
            elif not text.startswith(_READS) and not _only_reads(text):
                self._keep(sql, inside)

        return traced

    def _keep(self, sql: str, inside: list[str] | None) -> None:
        if inside is None:
            self.lines.append({"sql": sql})
        else:
            inside.append(sql)

    def acknowledged(self, position: int) -> None:
        self.lines.append({"ack": position})

    def reopened(self) -> None:
        self.lines.append({"reopen": True})


def _only_reads(text: str) -> bool:
    """A common table expression may lead a SELECT or a write."""
    return text.startswith("with ") and not re.search(r"\b(insert|update|delete|replace)\b", text)


def follow_all(script: Script) -> None:
    """From now on each new connection of this process is followed, from its first statement."""
    connect = sqlite3.connect

    def followed(database: Any, *arguments: Any, **named: Any) -> sqlite3.Connection:
        connection = connect(database, *arguments, **named)
        if "mode=ro" not in str(database) and ":memory:" not in str(database):
            connection.set_trace_callback(script.follow())
        return connection

    sqlite3.connect = followed  # type: ignore[assignment]


KINDS = ("handler", "plain", "join", "refusal", "plain", "handler")


async def work(script: Script, file: Path, calls: int) -> None:
    """Calls of each kind, one by one, and four at a time after a restart.

    An inline view and an asynchronous one go along; joins are the user's own connections.
    """
    # after follow_all, so that nothing of the adapter can keep the connect of before
    from diptych import Refused
    from tests.faults.depot import SKUS, depot, fill_shelves, own_sessions
    from tests.faults.depot_script import call

    numbers = iter(range(calls))

    async def caller(app: Any, sessions: Any, count: int) -> None:
        for _ in range(count):
            number = next(numbers, None)
            if number is None:
                return
            kind = KINDS[number % len(KINDS)]
            note, sku = f"p-{kind}-{number}", SKUS[number // len(KINDS) % len(SKUS)]
            try:
                receipt = await call(app, sessions, kind, note, sku)
            except Refused:
                continue
            script.acknowledged(receipt.position)

    async with depot(file) as app, own_sessions(file) as sessions:
        await fill_shelves(app)
        await caller(app, sessions, calls // 4)
        await app.settled(timeout=30)
    script.reopened()
    async with depot(file) as app, own_sessions(file) as sessions:
        await asyncio.gather(*(caller(app, sessions, calls) for _ in range(4)))
        await app.settled(timeout=30)


def left_by_the_adapter(file: Path) -> str:
    connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
    try:
        return fingerprint(connection)
    finally:
        connection.close()


def refuse_a_broken_round(file: Path) -> None:
    """What is cut must be right as long as nothing is cut."""
    from tests.faults.depot_check import check_depot
    from tests.faults.history import demand_none

    demand_none(check_depot(file), "python -m tests.faults.powercut.record SCRIPT")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("script", type=Path)
    parser.add_argument("--commands", type=int, default=120)
    parser.add_argument("--bug", default="", help="of tests.faults.planted")
    asked = parser.parse_args()
    script = Script("select max(position) from diptych_events", APART)
    follow_all(script)
    from tests.faults.planted import plant

    plant(asked.bug)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "depot.db"
        asyncio.run(work(script, file, asked.commands))
        refuse_a_broken_round(file)
        script.lines.append({"end": left_by_the_adapter(file)})
    asked.script.write_text("".join(json.dumps(line) + "\n" for line in script.lines))


if __name__ == "__main__":
    main()
