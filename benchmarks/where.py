"""Where the time of a command goes: `python -m benchmarks.where`, raw results into docs/evidence.

Instruments around the engine's own reading, writing and hops between threads, while a row of the
benchmarks runs. They cost about a microsecond each; what is left over is the loop's.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.durability import durability
from benchmarks.environment import environment
from benchmarks.measuring import Settings
from benchmarks.rows import OURS, ROWS

MEASURED = ("warm", "cold", "boundary")
SECONDS = 1.5


def main() -> None:
    if len(sys.argv) > 1:
        print(json.dumps(instrumented(sys.argv[1])))
        return
    parts: dict[str, Any] = {}
    for row in MEASURED:  # a process each, as in the benchmarks
        words = [sys.executable, "-m", "benchmarks.where", row]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        parts[row] = json.loads(done.stdout.strip().splitlines()[-1])
        print(row, parts[row])
    target = Path(__file__).parents[1] / "docs" / "evidence" / "where.json"
    about = environment(Path.cwd())
    target.write_text(json.dumps({**about, "seconds": SECONDS, "us": parts}, indent=2) + "\n")


def instrumented(row: str) -> dict[str, float]:
    """Microseconds: of a command where `_us`, of a hop between threads where `_hop_us`."""
    from diptych.adapters import worker
    from diptych.adapters.sqlite import store, writer

    spent: dict[str, float] = defaultdict(float)
    count: dict[str, int] = defaultdict(int)

    def timed(part: str, work: Callable[..., Any], size: Callable[..., int]) -> Callable[..., Any]:
        def run(*given: Any) -> Any:
            begun = time.perf_counter()
            result = work(*given)
            spent[part] += time.perf_counter() - begun
            count[part] += size(*given)
            return result

        return run

    store.read_pages = timed("read", store.read_pages, lambda _, asked: len(asked))
    store.read_tagged = timed("read", store.read_tagged, lambda _, asked: len(asked))
    writer.Writer.write = timed("write", writer.Writer.write, lambda _, group: len(group))  # type: ignore[method-assign]
    writer.Writer._commit = timed("commit", writer.Writer._commit, lambda _: 1)  # type: ignore[method-assign]
    begin = worker.Worker.begin

    def hop(self: Any, work: Callable[[], Any], done: Callable[..., None]) -> None:
        sent = time.perf_counter()
        ended = sent

        def there() -> Any:
            nonlocal ended
            spent["there_hop"] += time.perf_counter() - sent
            count["there_hop"] += 1
            try:
                return work()
            finally:
                ended = time.perf_counter()

        def back(*answer: Any) -> None:
            spent["back_hop"] += time.perf_counter() - ended
            count["back_hop"] += 1
            done(*answer)

        begin(self, there, back)

    durability.install()
    worker.Worker.begin = hop  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        settings = Settings(SECONDS, Path(folder), False, "asyncio")
        rate = ROWS[row].variants[OURS].load()(settings).value
    of_commands = {"commit": count["write"]}
    parts = {
        f"{part}_us": round(spent[part] / of_commands.get(part, count[part]) * 1e6, 1)
        for part in sorted(spent)
    }
    return {"command_us": round(1e6 / rate, 1), **parts}


if __name__ == "__main__":
    main()
