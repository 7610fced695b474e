"""`python -m benchmarks`: run the rows, keep the raw results, write the report.

Every round runs the variants of a row one after the other (limit, ours, peer, limit …), each in a
process of its own; a ratio is taken within its round, because a shared machine drifts between
rounds. `python -m benchmarks growth` measures how throughput stands up to a long log; it takes long.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.environment import environment
from benchmarks.growth import grow
from benchmarks.measuring import STORE
from benchmarks.report import write_report
from benchmarks.rows import ROWS, Row
from benchmarks.server import Server, server

ROOT = Path(__file__).parent.parent
EVIDENCE = ROOT / "docs" / "evidence"
PATIENCE = 300

Keep = Callable[[dict[str, Any]], None]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("part", nargs="?", choices=["rows", "growth"], default="rows")
    parser.add_argument("--smoke", action="store_true", help="everything once, briefly; no report")
    parser.add_argument("--only", action="append", choices=list(ROWS), metavar="ROW",
                        help=f"one of {', '.join(ROWS)}; may be given again")  # fmt: skip
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.5, help="of each measurement")
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], default="asyncio")
    parser.add_argument("--data", type=Path, help="folder on the disk under test (default: here)")
    parser.add_argument("--postgres", metavar="DSN",
                        help="another server; its role creates databases")  # fmt: skip
    parser.add_argument("--events", type=int, action="append",
                        help="growth: a size of the log; may be given again")  # fmt: skip
    parser.add_argument("--report", type=Path, metavar="JSONL", help="only write the report of it")
    asked = parser.parse_args()
    if asked.report:
        write_report(asked.report)
        return 0
    if asked.smoke:
        asked.rounds, asked.seconds = 1, 0.15
    run = grow if asked.part == "growth" else _run
    # beside the code rather than in the system's temporary folder, which may be memory
    with tempfile.TemporaryDirectory(
        prefix=".bench-", dir=asked.data or ROOT / "benchmarks"
    ) as data:
        return run(asked, Path(data))


def _run(asked: argparse.Namespace, data: Path) -> int:
    rows = {name: ROWS[name] for name in asked.only or ROWS}
    if not any(row.postgres for row in rows.values()):
        return _measure(rows, asked, data, None)
    with server(asked.postgres, smoke=asked.smoke) as postgres:
        return _measure(rows, asked, data, postgres)


def _measure(
    rows: dict[str, Row], asked: argparse.Namespace, data: Path, postgres: Server | None
) -> int:
    settings = {"rounds": asked.rounds, "seconds": asked.seconds, "loop": asked.loop,
                "smoke": asked.smoke}  # fmt: skip
    about = environment(data)
    if postgres is not None:
        about["postgres"] = postgres.about
    stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%d-%H%M%S")
    target = data / "smoke.jsonl"
    if not asked.smoke:
        EVIDENCE.mkdir(parents=True, exist_ok=True)
        target = EVIDENCE / f"bench-{stamp}.jsonl"
    failures = 0
    with target.open("w") as results:

        def keep(line: dict[str, Any]) -> None:
            results.write(json.dumps(line) + "\n")
            results.flush()

        keep({"kind": "run", "started": stamp, **about, "settings": settings})
        for turn in range(asked.rounds):  # rows inside rounds: a busy minute meets all of them
            for name, row in rows.items():
                if not (row.once and turn):
                    failures += _round(name, row, turn, asked, data, postgres, keep)
    if asked.smoke:
        print(f"smoke: {failures} failed")
    else:
        print(write_report(target))
    return 1 if failures else 0


def _round(
    name: str,
    row: Row,
    turn: int,
    asked: argparse.Namespace,
    data: Path,
    postgres: Server | None,
    keep: Keep,
) -> int:
    failures = 0
    order: tuple[str, ...] = ("reference", *row.order)
    if asked.smoke:
        order = tuple(dict.fromkeys(row.order))
    for place, variant in enumerate(order):
        started = time.time()
        line: dict[str, Any] = {"kind": "value", "row": name, "variant": variant, "round": turn,
                                "place": place, "at": round(started, 1)}  # fmt: skip
        try:
            if postgres is None or not row.postgres or variant == "reference":
                line |= _measured(name, variant, asked, data)
            else:
                with postgres.database() as database:
                    line |= _measured(name, variant, asked, data, database)
        except _Failed as failed:
            failures += 1
            line["error"] = str(failed)
            print(f"FAILED {name} {variant}: {failed}", file=sys.stderr, flush=True)
        else:
            unit = "/s" if variant == "reference" else row.unit
            print(f"{name:12s} r{turn} {variant:14s} {line['value']:12,.2f}{unit}", flush=True)
        keep(line)
    return failures


class _Failed(Exception):
    """One measurement gave nothing; the run goes on and says so."""


def _measured(
    name: str, variant: str, asked: argparse.Namespace, data: Path, database: str = ""
) -> dict[str, Any]:
    words = [sys.executable, "-m", "benchmarks.measure", name, variant, "--data", str(data),
             "--seconds", str(asked.seconds), "--loop", asked.loop]  # fmt: skip
    if asked.smoke:
        words.append("--smoke")
    try:
        done = subprocess.run(
            words,
            cwd=ROOT,
            env={**os.environ, STORE: database},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _Failed(f"no result within {PATIENCE} s") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no message"]
        raise _Failed(lines[-1].replace(str(ROOT), "."))
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


if __name__ == "__main__":
    sys.exit(main())
