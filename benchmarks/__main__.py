"""`python -m benchmarks`: run the rows, keep the raw results, write the report.

Every round runs the variants of a row one after the other (limit, ours, peer, limit …), each in a
process of its own; a ratio is taken within its round, because a shared machine drifts between
rounds.
"""

from __future__ import annotations

import argparse
import datetime
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.environment import environment
from benchmarks.report import write_report
from benchmarks.rows import ROWS, Row

ROOT = Path(__file__).parent.parent
EVIDENCE = ROOT / "docs" / "evidence"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="everything once, briefly; no report")
    parser.add_argument("--only", action="append", choices=list(ROWS), metavar="ROW",
                        help=f"one of {', '.join(ROWS)}; may be given again")  # fmt: skip
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.5, help="of each measurement")
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], default="asyncio")
    parser.add_argument("--data", type=Path, help="folder on the disk under test (default: here)")
    parser.add_argument("--report", type=Path, metavar="JSONL", help="only write the report of it")
    asked = parser.parse_args()
    if asked.report:
        write_report(asked.report)
        return 0
    if asked.smoke:
        asked.rounds, asked.seconds = 1, 0.15
    # beside the code rather than in the system's temporary folder, which may be memory
    with tempfile.TemporaryDirectory(
        prefix=".bench-", dir=asked.data or ROOT / "benchmarks"
    ) as data:
        return _run(asked, Path(data))


def _run(asked: argparse.Namespace, data: Path) -> int:
    rows = {name: ROWS[name] for name in asked.only or ROWS}
    settings = {"rounds": asked.rounds, "seconds": asked.seconds, "loop": asked.loop,
                "smoke": asked.smoke}  # fmt: skip
    about = environment(data)
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
                failures += _round(name, row, turn, asked, data, keep)
    if asked.smoke:
        print(f"smoke: {failures} failed")
    else:
        print(write_report(target))
    return 1 if failures else 0


def _round(name: str, row: Row, turn: int, asked: argparse.Namespace, data: Path, keep: Any) -> int:
    failures = 0
    for place, variant in enumerate(("reference", *row.order)):
        started = time.time()
        line: dict[str, Any] = {"kind": "value", "row": name, "variant": variant, "round": turn,
                                "place": place, "at": round(started, 1)}  # fmt: skip
        try:
            line |= _measured(name, variant, asked, data)
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


def _measured(name: str, variant: str, asked: argparse.Namespace, data: Path) -> dict[str, Any]:
    words = [sys.executable, "-m", "benchmarks.measure", name, variant, "--data", str(data),
             "--seconds", str(asked.seconds), "--loop", asked.loop]  # fmt: skip
    if asked.smoke:
        words.append("--smoke")
    try:
        done = subprocess.run(
            words, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
        )
    except subprocess.TimeoutExpired:
        raise _Failed("no result within 120 s") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no message"]
        raise _Failed(lines[-1].replace(str(ROOT), "."))
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


if __name__ == "__main__":
    sys.exit(main())
