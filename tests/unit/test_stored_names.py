"""What a sample app writes into its store about itself: a change here breaks somebody's file.

Where a change is meant, write the new file with `python -m tests.unit.test_stored_names` and say
in the commit how old files are still read.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from diptych import App
from diptych.log.messages import MessageType
from tests.integration.pots import (
    Added,
    AllTotals,
    Book,
    Booked,
    Look,
    Put,
    Removed,
    Take,
    TotalOf,
    all_totals,
    nights,
    pots,
    total_of,
    totals,
)

GOLDEN = Path(__file__).parent / "golden" / "bank.json"

MESSAGES: list[Any] = [
    Put("a", 1),
    Take("ä", 2),
    Look("a"),
    Book("b1", (1, 2)),
    Added("a", 1, 2, "x", "y"),
    Removed("a", 1),
    Booked("b1", (1, 2), {"1": ["b0"]}),
    TotalOf("a"),
    AllTotals(),
]


def stamps() -> list[dict[str, Any]]:
    """All that the app asks a store to remember, in one order."""
    app = App(
        "bank",
        store="memory://",
        write=[pots, nights],
        read=[totals],
        answer=[total_of, all_totals],
        names={"pot.added": Added},
    )
    found: list[dict[str, Any]] = msgspec.to_builtins(app.wiring.stamps())
    return sorted(found, key=lambda stamp: (stamp["kind"], stamp["name"]))


def encoded() -> list[dict[str, str]]:
    """The bytes of each message, and the fingerprint that a command with an id leaves behind."""
    found: list[dict[str, str]] = []
    for message in MESSAGES:
        kind = MessageType(type(message), type(message).__name__.lower())
        _, data = kind.check(message)
        found.append(
            {
                "class": type(message).__name__,
                "data": data.decode(),
                "fingerprint": kind.fingerprint(data).hex(),
            }
        )
    return found


def today() -> dict[str, Any]:
    """What is compared."""
    return {"stamps": stamps(), "messages": encoded()}


def test_names_shapes_and_fingerprints_are_as_they_were() -> None:
    assert today() == json.loads(GOLDEN.read_text())


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(today(), indent=2, ensure_ascii=False) + "\n")
