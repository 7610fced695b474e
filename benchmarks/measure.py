"""The process of one measurement: `python -m benchmarks.measure ROW VARIANT`, one JSON line out.

A process each, so that no variant inherits another's heap, threads or connections, and one that
hangs can be ended without the run.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from benchmarks.durability import durability
from benchmarks.measuring import STORE, Settings
from benchmarks.rows import REFERENCE, ROWS


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("row")
    parser.add_argument("variant")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--loop", default="asyncio")
    parser.add_argument("--smoke", action="store_true")
    asked = parser.parse_args()
    variant = {**ROWS[asked.row].variants, "reference": REFERENCE}[asked.variant]
    store = os.environ.get(STORE, "")
    seconds = asked.seconds * variant.share
    settings = Settings(seconds, asked.data, asked.smoke, asked.loop, store)
    durability.install(postgres=bool(settings.postgres))
    measured = variant.load()(settings)
    print(json.dumps({"value": measured.value, **measured.more}))


if __name__ == "__main__":
    main()
