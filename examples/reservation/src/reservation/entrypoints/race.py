"""`reservation race`: many guests ask for one night's last rooms, through several processes."""

import asyncio
import multiprocessing
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from diptych import App, DiptychError, StreamConflict
from reservation.bookings.file import CITY
from reservation.composition import reservations
from reservation.entrypoints.stores import url
from reservation.house import RATES, HouseClock
from reservation.reservations.accepting.write import AcceptReservation
from reservation.reservations.events import ReservationAccepted, ReservationRejected
from reservation.reservations.outcomes.read import BookingOutcomes
from reservation.reservations.requesting.write import RequestReservation
from reservation.reservations.stay import Party, Stay

NIGHT = Stay(CITY, date(2026, 7, 1), nights=1)
START = datetime(2026, 6, 1, 9, tzinfo=UTC)
PATIENCE = 120.0


@dataclass(frozen=True)
class Race:
    store: str
    processes: int
    guests: int
    rooms: int


def run(processes: int, guests: int, rooms: int, store: str | None, console: Console) -> int:
    """The exit status: 0 when exactly the rooms were given away, and nothing was left undecided."""
    with TemporaryDirectory(prefix="reservation-race-") as folder:
        race = Race(store or str(Path(folder) / "race.db"), processes, guests, rooms)
        asyncio.run(_create(race))
        started = time.perf_counter()
        told = _race(race)
        seconds = time.perf_counter() - started
        seen = asyncio.run(_look(race))
    accepted = min(rooms, guests)
    expected = Counter({"accepted": accepted, "rejected sold_out": guests - accepted})
    table = Table("Answer", title=f"{guests} guests, {rooms} rooms, {processes} processes")
    for heading in ("told to guests", "in the query model", "expected"):
        table.add_column(heading, justify="right")
    for answer in sorted({*told, *seen, *expected, "conflicts left over"}):
        numbers = (told[answer], seen[answer], expected[answer])
        table.add_row(answer, *map(str, numbers))
    console.print(table)
    console.print(f"{seconds:.1f} s from the first process's start to the last answer")
    if +told == +expected and +seen == +expected:
        return 0
    console.print("[bold red]The race was not decided as it should be.")
    return 1


def _app(race: Race) -> App:
    return reservations(url(race.store), clock=HouseClock(START), rooms={CITY: race.rooms})


async def _create(race: Race) -> None:
    """So that the processes race for rooms, and not for who makes the tables."""
    async with _app(race):
        pass


def _race(race: Race) -> Counter[str]:
    # spawn: a fresh interpreter each, as if started by hand; nothing is shared but the file
    fresh = multiprocessing.get_context("spawn")
    answers: Queue[Counter[str]] = fresh.Queue()
    barrier = fresh.Barrier(race.processes)
    workers = [
        fresh.Process(target=_worker, args=(race, n, barrier, answers), daemon=True)
        for n in range(race.processes)
    ]
    for worker in workers:
        worker.start()
    told: Counter[str] = sum((answers.get(timeout=PATIENCE) for _ in workers), Counter[str]())
    for worker in workers:
        worker.join(timeout=PATIENCE)
    return told


def _worker(race: Race, number: int, barrier: Barrier, answers: "Queue[Counter[str]]") -> None:
    try:
        answers.put(asyncio.run(_ask(race, number, barrier)))
    except Exception as error:
        answers.put(Counter({f"process failed: {error}": 1}))
        raise


async def _ask(race: Race, number: int, barrier: Barrier) -> Counter[str]:
    async with _app(race) as app:
        await asyncio.to_thread(barrier.wait, PATIENCE)
        guests = range(number, race.guests, race.processes)
        return Counter(await asyncio.gather(*(_guest(app, guest) for guest in guests)))


async def _guest(app: App, guest: int) -> str:
    """Asks, and is told."""
    own = f"guest-{guest:04}"
    request = RequestReservation(own, f"Guest {guest}", Party(1), NIGHT, "Direct", RATES[CITY])
    try:
        await app.execute(request, id=f"request-{own}")
        receipt = await app.execute(AcceptReservation(own, NIGHT), id=f"accept-{own}")
    except StreamConflict:
        return "conflicts left over"
    except DiptychError as error:
        return f"failed: {type(error).__name__}: {error}"
    match receipt.events:
        case (ReservationAccepted(),):
            return "accepted"
        case (ReservationRejected(reason=reason),):
            return f"rejected {reason}"
        case events:
            return f"unexpected {events}"


async def _look(race: Race) -> Counter[str]:
    async with _app(race) as app:
        await app.settled(timeout=PATIENCE)
        rows = await app.ask(BookingOutcomes())
    return Counter(
        {
            "accepted": sum(row.accepted for row in rows),
            "rejected sold_out": sum(row.rejected for row in rows),
        }
    )
