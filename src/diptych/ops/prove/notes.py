"""What the processes of a proof write down: a line of JSON each, in one write, so that a process that
is killed leaves a history that ends where it ended. Nothing of the engine is in here."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Notes:
    """The file of one process."""

    def __init__(self, file: Path) -> None:
        self._descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def say(self, line: object) -> None:
        """Writes something down."""
        os.write(self._descriptor, json.dumps(line, separators=(",", ":")).encode() + b"\n")


def read(file: Path) -> Iterator[Any]:
    """What was written down so far; a line cut short by a kill is left out."""
    if not file.exists():
        return
    with file.open("rb") as lines:
        for text in lines:
            if text.endswith(b"\n"):
                yield json.loads(text)


def last(file: Path) -> Any:
    """The last whole line; None where there is none."""
    if not file.exists():
        return None
    with file.open("rb") as opened:
        opened.seek(max(0, file.stat().st_size - 4096))
        lines = opened.read().split(b"\n")[:-1]
    return json.loads(lines[-1]) if lines and lines[-1] else None
