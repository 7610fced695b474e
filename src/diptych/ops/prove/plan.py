"""What a proof is to do, told to each of its processes through its standard input: the URL may hold a
password."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

EVENTS = ("events", "boundary", "bulk")
"""Paths on which the engine's own committer writes."""

ROWS = ("state", "handler", "join")
"""Paths on which rows of the user's are written with the events."""

HELD = "diptych prove, held open"
"""How the server knows the transaction that is held open: its connection is not ended."""


class Plan(Struct, frozen=True, kw_only=True):
    """The same for all processes of a proof.

    Attributes:
        url: Of the store, with its schema.
        seconds: For which it is written.
        writers: In all processes together.
        folder: Of the notes.
        seed: Of what is left to chance.
    """

    url: str
    schema: str
    seconds: float
    writers: int
    processes: int
    readers: int
    folder: str
    seed: int
    paths: tuple[str, ...]

    @property
    def hold(self) -> float:
        """For how many seconds one transaction is held open."""
        return self.seconds / 3

    @property
    def stop(self) -> float:
        """For how many seconds a process is stopped."""
        return min(3.0, max(1.5, self.seconds / 20))

    @property
    def go(self) -> Path:
        """The file that all wait for, so that they begin together."""
        return Path(self.folder) / "go"

    @property
    def errors(self) -> Path:
        """What the processes say where they cannot go on."""
        return Path(self.folder) / "errors"

    def stopped(self, process: int) -> Path:
        """The file by which a process says that it is about to be stopped."""
        return Path(self.folder) / f"stopped-{process}"

    def written(self, process: int) -> Path:
        """The notes of a writing process."""
        return Path(self.folder) / f"writer-{process}"

    def read(self, reader: int) -> Path:
        """The notes of a reader."""
        return Path(self.folder) / f"reader-{reader}"


class Task(Struct, frozen=True, kw_only=True):
    """What one process is to do of it."""

    plan: Plan
    number: int
