"""The bank as plain dictionaries: what every app of it, however it is treated, must agree with."""

from __future__ import annotations

from typing import Any

from tests.integration.pots import BEDS, Book, Look, Put, Take

Command = Put | Take | Look | Book
Refusal = tuple[str, dict[str, Any]]


class Dictionary:
    """One sequential bank. An accepted command is told by its events, a refused one by its code."""

    def __init__(self) -> None:
        self.log: list[tuple[str, str, int]] = []
        """Of each event: its stream, the command behind it, its version."""
        self.pots: dict[str, list[int]] = {}
        self.nights: dict[int, list[str]] = {}
        self.bookings = 0
        self.outcomes: dict[str, tuple[Command, int | Refusal]] = {}
        """By id: the command, and the version of its stream afterwards or its refusal."""

    def refusal(self, command: Command) -> Refusal | None:
        """Why it would be refused now; None if it would not."""
        match command:
            case Take(pot, amount):
                there = sum(self.pots.get(pot, ()))
                return ("too_little", {"there": there}) if amount > there else None
            case Book(nights=nights):
                full = any(len(self.nights.get(night, ())) >= BEDS for night in nights)
                return ("full", {}) if full else None
            case _:
                return None

    def accept(self, command: Command, id: str) -> int:
        """Carries it out; returns the version of its stream."""
        match command:
            case Put(pot, amount) | Take(pot, amount):
                moves = self.pots.setdefault(pot, [])
                moves.append(amount if isinstance(command, Put) else -amount)
                version = len(moves)
                self.log.append((f"pot:{pot}", id, version))
            case Look(pot):
                version = len(self.pots.get(pot, ()))
            case Book(booking, nights):
                for night in nights:
                    self.nights.setdefault(night, []).append(booking)
                self.bookings += 1
                version = self.bookings
                self.log.append(("night", id, version))
        self.outcomes[id] = (command, version)
        return version

    def totals(self) -> list[tuple[str, int, int]]:
        """What the view must show."""
        return [(pot, sum(moves), len(moves)) for pot, moves in sorted(self.pots.items())]
