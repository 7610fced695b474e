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
from collections.abc import Callable
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


class Script:
    """What happened, in order, as JSON lines."""

    def __init__(self, position: str) -> None:
        self.lines: list[dict[str, Any]] = [{"position": position}]

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


async def book(script: Script, file: Path, commands: int) -> None:
    # after follow_all, so that nothing of the adapter can keep the connect of before
    from diptych import Refused
    from tests.faults.ledger import app, command

    numbers = iter(range(commands))

    async def caller(ledger_app: Any, count: int) -> None:
        for _ in range(count):
            number = next(numbers, None)
            if number is None:
                return
            id, message = command("p", number, 5)
            try:
                receipt = await ledger_app.execute(message, id=id)
            except Refused:
                continue
            script.acknowledged(receipt.position)

    async with app(file, view=True) as ledger_app:
        await caller(ledger_app, commands // 4)
        await ledger_app.settled(timeout=30)
    script.reopened()
    async with app(file, view=True) as ledger_app:
        await asyncio.gather(*(caller(ledger_app, commands) for _ in range(4)))
        await ledger_app.settled(timeout=30)


def left_by_the_adapter(file: Path) -> str:
    connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
    try:
        return fingerprint(connection)
    finally:
        connection.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("script", type=Path)
    parser.add_argument("--commands", type=int, default=120)
    asked = parser.parse_args()
    script = Script("select max(position) from diptych_events")
    follow_all(script)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "ledger.db"
        asyncio.run(book(script, file, asked.commands))
        script.lines.append({"end": left_by_the_adapter(file)})
    asked.script.write_text("".join(json.dumps(line) + "\n" for line in script.lines))


if __name__ == "__main__":
    main()
