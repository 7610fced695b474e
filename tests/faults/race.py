"""`python -m tests.faults.race STORE`: racers for the last places, whom a rule must hold apart.

A seat is taken in two rooms at once, and no room may have more than it has seats. Each line on
standard input is a round: its racers all go at once, and what each was told is one JSON line.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from dataclasses import dataclass

from msgspec.structs import replace

from diptych import App, Boundary, Decider, Limits, Refused
from tests.faults.ledger import url
from tests.faults.work import say

SEATS = 3


@dataclass(frozen=True)
class TakeSeats:
    rooms: tuple[str, str]
    guest: str


@dataclass(frozen=True)
class SeatsTaken:
    """`before`: how many were taken in each room, as the decision knew it."""

    rooms: tuple[str, str]
    guest: str
    before: tuple[int, int]


Taken = tuple[str, ...]


def tags(message: TakeSeats | SeatsTaken) -> list[str]:
    return [f"room:{room}" for room in message.rooms]


def decide(command: TakeSeats, taken: Taken) -> list[SeatsTaken]:
    before = (taken.count(command.rooms[0]), taken.count(command.rooms[1]))
    if max(before) >= SEATS:
        raise Refused("full", f"{before} are taken")
    return [SeatsTaken(command.rooms, command.guest, before)]


def evolve(taken: Taken, event: SeatsTaken) -> Taken:
    return (*taken, *event.rooms)


nobody: Taken = ()
seats = Boundary("seats", Decider(nobody, decide, evolve), reads=tags, tags=tags)


def app(store: str, *, limits: Limits | None = None) -> App:
    return App("race", store=url(store), write=[seats], limits=limits or Limits())


def rooms_of(round: int, racer: int) -> tuple[str, str]:
    """Of four rooms of each round: every two racers have one in common, or both, or none."""
    first = racer % 4
    return f"{round}-{first}", f"{round}-{(first + 1 + racer // 4 % 2) % 4}"


async def race(app: App, round: int, racers: range) -> None:
    async def take(racer: int) -> None:
        guest, rooms = f"{round}-{racer}", rooms_of(round, racer)
        try:
            receipt = await app.execute(TakeSeats(rooms, guest), id=guest)
        except Refused as refused:
            say(guest=guest, rooms=rooms, refused=refused.position)
        except Exception as fault:  # what happened is for the test to judge
            say(guest=guest, rooms=rooms, fault=f"{type(fault).__name__}: {fault}")
        else:
            say(guest=guest, rooms=rooms, position=receipt.position)

    await asyncio.gather(*(take(racer) for racer in racers))
    say(done=round)


def ignore_conditions(app: App) -> None:
    """The bug of the control: whatever a decision stood on, it is committed."""
    store = app._opened.store
    commit = store.commit
    store.commit = lambda given: commit(replace(given, condition=None))


async def main(asked: argparse.Namespace) -> None:
    racers = range(asked.first, asked.first + asked.racers)
    async with app(asked.store) as opened:
        if asked.bug:
            ignore_conditions(opened)
        say(open=True)
        for line in iter(sys.stdin.readline, ""):
            await race(opened, json.loads(line), racers)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("store")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--racers", type=int, default=2)
    parser.add_argument("--bug", action="store_true")
    asyncio.run(main(parser.parse_args()))
