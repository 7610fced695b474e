"""Rounds of several processes on one depot, which begin together."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from tests.faults.depot import prepare
from tests.faults.processes import Told, finish, module, told


def run_together(
    folder: Path, *words: object, processes: int = 2, seconds: float = 200
) -> list[Told]:
    """What the processes said, each of which does what the words say; the file is `depot.db`.

    Args:
        seconds: After which a round is given up.
    """
    file, go = folder / "depot.db", folder / "go"
    asyncio.run(prepare(file))
    outputs = [folder / f"out{n}" for n in range(processes)]
    workers: list[subprocess.Popen[bytes]] = []
    for n, output in enumerate(outputs):
        with output.open("wb") as out:
            given = (file, f"w{n}", "--go", go, *words)
            workers.append(module("tests.faults.depot_work", *given, out=out))
    _wait_until_open(workers, outputs)
    go.touch()
    finish(workers, seconds=seconds)
    return [call for output in outputs for call in told(output.read_bytes().splitlines())]


def _wait_until_open(workers: Sequence[subprocess.Popen[bytes]], outputs: Sequence[Path]) -> None:
    """Returns when all are ready, or one has ended."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and all(worker.poll() is None for worker in workers):
        if all(b"open" in output.read_bytes() for output in outputs):
            return
        time.sleep(0.01)
