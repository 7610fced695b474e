"""Starts the processes of a fault test and reads the history they leave."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tests.faults.history import Operation, Outcome
from tests.faults.ledger import command_of

ROOT = Path(__file__).parents[2]


def module(
    name: str, *arguments: object, out: IO[bytes] | int | None = None, before: Sequence[str] = ()
) -> subprocess.Popen[bytes]:
    """`python -m name arguments…` from the repository's root, after the words of `before`."""
    words = [*before, sys.executable, "-m", name, *map(str, arguments)]
    return subprocess.Popen(words, cwd=ROOT, stdout=out, stderr=subprocess.PIPE)


def finish(processes: Sequence[subprocess.Popen[bytes]], *, seconds: float) -> None:
    """Waits until all have ended well; those of a failed round are not left running."""
    try:
        for process in processes:
            _, errors = process.communicate(timeout=seconds)
            if process.returncode:
                raise RuntimeError(f"it ended with {process.returncode}:\n{errors.decode()}")
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
                process.communicate()


def commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True
    )
    return done.stdout.strip() or "unknown"


def replay_line(test: str, seed: int | str) -> str:
    """What to type to see a failure again."""
    node = os.environ.get("PYTEST_CURRENT_TEST", test).split(" ")[0]
    return f"seed={seed} commit={commit()} command: DIPTYCH_FAULT_SEED={seed} pytest {node!r}"


@dataclass(frozen=True)
class Told:
    """What one writer said about one command.

    Attributes:
        waited: Commits of anybody between the call and its turn to write.
    """

    id: str
    called: float
    returned: float | None = None
    position: int | None = None
    version: int | None = None
    refused: str | None = None
    fault: str | None = None
    message: str = ""
    stream: str = ""
    kind: str = ""
    waited: int | None = None

    @property
    def outcome(self) -> Outcome:
        if self.position is not None:
            return "ok"
        if self.refused or self.fault == "StreamConflict":
            return "failed"  # both promise that nothing happened
        return "unknown"


def told(lines: Iterable[str | bytes]) -> list[Told]:
    """The history in the lines of a writer; a last line cut short by a kill is left out."""
    calls: dict[str, dict[str, Any]] = {}
    for text in lines:
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if "id" in line:
            calls.setdefault(line["id"], {}).update(line)
    return [Told(**call) for call in calls.values()]


def operations(history: Iterable[Told], ledgers: int) -> list[Operation]:
    """One operation per event that a command should leave, named entry#line."""
    found: list[Operation] = []
    for call in history:
        message = command_of(call.id, ledgers)
        for line in range(max(message.lines, 1)):
            found.append(
                Operation(
                    f"{call.id}#{line}",
                    call.called,
                    call.returned,
                    call.outcome,
                    f"ledger:{message.ledger}",
                )
            )
    return found
