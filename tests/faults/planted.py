"""Bugs for the engine to have, so that the checkers can show that they catch them."""

from __future__ import annotations


def plant(bug: str) -> None:
    """Changes this process's engine."""
    if bug:
        raise LookupError(bug)
