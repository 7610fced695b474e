"""A power cut at every write, on the SQL that the SQLite adapter issues.

Plain commands, handlers, joins in a user's own session, an inline view and an asynchronous one.

Three processes: one records (sqlite3), one replays and cuts (apsw), this one reads their words.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.faults.evidence import LONG, keep
from tests.faults.processes import ROOT, replay_line

pytestmark = [
    pytest.mark.faults,
    pytest.mark.timeout(1500 if LONG else 300),
    pytest.mark.skipif(
        importlib.util.find_spec("apsw") is None,
        reason="SKIPPED LOUDLY: no power is cut without apsw (uv run --group faults pytest)",
    ),
]

SEED = int(os.environ.get("DIPTYCH_FAULT_SEED", "1"))


class Broken(Exception):
    """A cut showed what may not be; raised, not asserted, so that -O cannot drop it."""


def run(module: str, *arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, "-m", f"tests.faults.powercut.{module}", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=1400 if LONG else 280,
    )
    if done.returncode:
        raise Broken(f"{module} failed:\n{done.stderr[-2000:]}")
    return done.stdout


def cut(script: Path, *options: object) -> dict[str, Any]:
    tears = ("--tears", 6 if LONG else 2)
    return dict(json.loads(run("replay", script, "--seed", SEED, *tears, *options)))


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("power") / "script.jsonl"
    run("record", path, "--commands", 400 if LONG else 120)
    return path


@pytest.mark.parametrize("checkpoint", [0, 15], ids=["as it is", "with many checkpoints"])
def test_no_cut_loses_an_acknowledged_commit_or_corrupts(script: Path, checkpoint: int) -> None:
    found = cut(script, "--checkpoint", checkpoint)
    keep(f"power-cut-full-{checkpoint or 'default'}", **found)
    if found["commits"] < 20 or found["acknowledged"] < 50 or found["cuts"] < 400:
        raise Broken(f"too little was cut to mean anything: {found}")
    if found["judged"] < found["commits"] / 2:
        raise Broken(f"hardly a commit was judged: {found}")
    if checkpoint and found["checkpointed"] < 50:
        raise Broken(f"hardly a checkpoint was cut: {found}")
    names = ("lost", "corrupt", "torn_commit", "early_acknowledgements", "apart")
    bad = {name: found[name] for name in names}
    if any(bad.values()):
        raise Broken(f"{bad} in {found['cuts']} cuts: {found['first']}\n"
                     f"replay: {replay_line('test_power_cut', SEED)}")  # fmt: skip


def test_with_synchronous_normal_the_same_check_finds_losses(script: Path) -> None:
    found = cut(script, "--synchronous", "NORMAL")
    keep("power-cut-normal", **found)
    if not found["lost"] or found["corrupt"]:
        raise Broken(f"NORMAL must lose and not corrupt: {found}")


def test_an_fsync_that_lies_is_caught(script: Path) -> None:
    found = cut(script, "--lying-fsync", "--checkpoint", 15)
    keep("power-cut-lying-fsync", **found)
    if not found["lost"] or not found["corrupt"]:
        raise Broken(f"a lying fsync must lose and corrupt: {found}")


def test_an_acknowledgement_before_its_commit_is_caught(script: Path, tmp_path: Path) -> None:
    """Planted: the same script with one answer moved to before the transaction it tells of."""
    lines = script.read_text().splitlines()
    ack = next(n for n, line in enumerate(lines) if "ack" in json.loads(line) and n > 60)
    begin = max(
        n
        for n in range(ack)
        if json.loads(lines[n]).get("sql", "").lower().startswith("begin")
        and "insert" in "".join(lines[n:ack]).lower()
    )
    moved = [*lines[:begin], lines[ack], *lines[begin:ack], *lines[ack + 1 :]]
    planted = tmp_path / "planted.jsonl"
    planted.write_text("\n".join(moved) + "\n")
    found = cut(planted, "--every", 50)
    if not found["early_acknowledgements"]:
        raise Broken(f"an early acknowledgement was not seen: {found}")


def test_rows_and_events_in_two_commits_are_caught(tmp_path: Path) -> None:
    """Planted: an engine after whose cut the rows of a handler may stand without its events."""
    planted = tmp_path / "planted.jsonl"
    run("record", planted, "--commands", 40, "--bug", "two commits")
    found = cut(planted, "--every", 1000)
    if not found["apart"]:
        raise Broken(f"rows without their events were not seen: {found}")
