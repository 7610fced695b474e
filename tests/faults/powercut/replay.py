"""`python -m tests.faults.powercut.replay SCRIPT`: run it once, cut the power at every write.

A process of its own, the only one with apsw. The script is JSON lines: a head, then `sql` and
`ack` in the order in which they happened. Prints one JSON object with what was found.

The check of a cut knows nothing of the tables: the database must be sound and hold exactly what
stood after some commit, and that commit may not be older than the last acknowledged one. What may
not be found after any commit (rows, events and views that tell different stories) stands as SQL in
the script's head.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import apsw

from tests.faults.powercut.disk import (
    Acknowledged,
    Disk,
    MemoryVFS,
    Mode,
    Platter,
    Truncate,
    Write,
)
from tests.faults.powercut.fingerprint import fingerprint

FILE = "/power.db"


class ScriptBroken(Exception):
    """The script cannot be what the adapter did: the rig, not the adapter, is at fault."""


@dataclass
class Findings:
    """Counts over all cuts; a cut is one write and one way in which the disk forgot."""

    commits: int = 0
    acknowledged: int = 0
    writes: int = 0
    checkpointed: int = 0
    cuts: int = 0
    lost: int = 0
    corrupt: int = 0
    torn_commit: int = 0
    early_acknowledgements: int = 0
    judged: int = 0
    apart: int = 0
    first: list[str] = field(default_factory=list[str])

    def note(self, what: str) -> None:
        if len(self.first) < 5:
            self.first.append(what)


def _open(disk: Disk, name: str) -> tuple[Any, MemoryVFS]:
    vfs = MemoryVFS(name, disk)
    connection: Any = apsw.Connection(FILE, vfs=name)
    connection.execute("pragma locking_mode = exclusive")
    return connection, vfs


def _execute(connection: Any, sql: str, synchronous: str | None, checkpoint: int) -> None:
    text = " ".join(sql.lower().split())
    if synchronous and text.startswith("pragma synchronous"):
        sql = f"pragma synchronous = {synchronous}"
    connection.execute(sql).fetchall()
    if checkpoint and text.startswith(("pragma journal_mode", "pragma wal_autocheckpoint")):
        connection.execute(f"pragma wal_autocheckpoint = {checkpoint}").fetchall()


def run_script(
    script: Path, disk: Disk, findings: Findings, *, synchronous: str | None, checkpoint: int
) -> list[str]:
    """Runs the script on the disk; returns the fingerprint of the state after each commit."""
    lines = [json.loads(line) for line in script.read_text().splitlines()]
    head = lines.pop(0)
    connection, vfs = _open(disk, "recording")
    states = [fingerprint(connection)]
    for line in lines:
        if "reopen" in line:
            connection.close()
            vfs.unregister()
            connection, vfs = _open(disk, "recording")
        elif "end" in line:
            if fingerprint(connection) != line["end"]:
                raise ScriptBroken("the script does not lead to what the adapter left")
        elif "sql" in line:
            _execute(connection, line["sql"], synchronous, checkpoint)
            if not connection.in_transaction:
                state = fingerprint(connection)
                if state != states[-1]:
                    states.append(state)
                    findings.commits += 1
                    _judge(connection, head["apart"], findings)
        else:
            findings.acknowledged += 1
            disk.took(Acknowledged(len(states) - 1))
            ((top,),) = connection.execute(head["position"]).fetchall()
            if connection.in_transaction or (top or 0) < line["ack"]:
                findings.early_acknowledgements += 1
                findings.note(f"position {line['ack']} acknowledged while the log ends at {top}")
    mode = connection.execute("pragma journal_mode").fetchall()[0][0]
    level = connection.execute("pragma synchronous").fetchall()[0][0]
    if mode != "wal" or (level < 2) is not (synchronous == "NORMAL"):
        raise ScriptBroken(f"journal_mode is {mode} and synchronous is {level}")
    connection.close()
    vfs.unregister()
    return states


def _judge(connection: Any, apart: Sequence[str], findings: Findings) -> None:
    """What the commit left must agree with itself, as soon as all of its tables are there."""
    try:
        bad = [sql for sql in apart if connection.execute(sql).fetchall()]
    except apsw.SQLError:
        return
    findings.judged += 1
    if bad:
        findings.apart += 1
        findings.note(f"after commit {findings.commits}: {bad[0]}")


def check_cut(files: dict[str, bytearray], states: list[str], acknowledged: int) -> str:
    """'' if all is well, else 'lost', 'corrupt' or 'torn commit'."""
    disk = Disk(files=files)
    vfs = MemoryVFS("recovered", disk)
    try:
        connection: Any = apsw.Connection(FILE, vfs="recovered")
        try:
            connection.execute("pragma locking_mode = exclusive")
            if connection.execute("pragma integrity_check").fetchall() != [("ok",)]:
                return "corrupt"
            state = fingerprint(connection)
        finally:
            connection.close()
    except (apsw.CorruptError, apsw.NotADBError, apsw.IOError, apsw.SQLError):
        return "corrupt"
    finally:
        vfs.unregister()
    if state not in states:
        return "torn commit"
    # the newest match: two commits may leave the same rows
    newest = len(states) - 1 - states[::-1].index(state)
    return "" if newest >= acknowledged else "lost"


def cut_everywhere(
    disk: Disk, states: list[str], findings: Findings, *, seed: int, tears: int, every: int
) -> None:
    platter, acknowledged = Platter(), 0
    for number, step in enumerate(disk.steps):
        platter.advance(step)
        if isinstance(step, Acknowledged):
            acknowledged = step.state
        if not isinstance(step, Write | Truncate):
            continue
        findings.writes += 1
        findings.checkpointed += step.file == FILE
        if findings.writes % every:
            continue
        torn: list[tuple[Mode, int]] = [("tear", n) for n in range(tears)]
        modes: list[tuple[Mode, int]] = [("keep", 0), ("drop", 0), *torn]
        for mode, turn in modes:
            chance = random.Random(f"{seed}:{number}:{turn}")
            verdict = check_cut(platter.after_a_cut(mode, chance), states, acknowledged)
            findings.cuts += 1
            if verdict:
                match verdict:
                    case "lost":
                        findings.lost += 1
                    case "corrupt":
                        findings.corrupt += 1
                    case _:
                        findings.torn_commit += 1
                findings.note(f"step {number}, {mode} {turn}, seed {seed}: {verdict}")


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser()
    parser.add_argument("script", type=Path)
    parser.add_argument("--synchronous", help="instead of what the script sets")
    parser.add_argument("--lying-fsync", action="store_true")
    parser.add_argument("--checkpoint", type=int, default=0, help="pages, instead of 1000")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tears", type=int, default=2, help="torn variants of each cut")
    parser.add_argument("--every", type=int, default=1, help="cut only at each n-th write")
    asked = parser.parse_args(arguments)
    if "sqlite3" in sys.modules:
        raise ScriptBroken("sqlite3 is loaded: two SQLite libraries in one process")
    disk, findings = Disk(lies=asked.lying_fsync), Findings()
    states = run_script(
        asked.script,
        disk,
        findings,
        synchronous=asked.synchronous,
        checkpoint=asked.checkpoint,
    )
    cut_everywhere(disk, states, findings, seed=asked.seed, tears=asked.tears, every=asked.every)
    return asdict(findings)


if __name__ == "__main__":
    print(json.dumps(main()))
