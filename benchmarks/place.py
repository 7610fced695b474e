"""Where a store under test lies: in a new SQLite file, or in the measurement's own database."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.durability import durability
from benchmarks.measuring import Settings


@dataclass(frozen=True)
class Place:
    """A store's URL, and the proof that what it acknowledges is on disk."""

    url: str

    async def assert_durable(self) -> None:
        """Raises unless every open connection that can write waits for the disk."""
        if self.url.startswith("postgresql://"):
            await durability.assert_synchronous()
        else:
            durability.assert_full()


def new_place(settings: Settings) -> Place:
    """The one that is given, else a new file."""
    return Place(settings.store or f"sqlite:///{settings.fresh('ours') / 'bench.db'}")
