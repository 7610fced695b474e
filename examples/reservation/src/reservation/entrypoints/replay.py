"""`reservation replay`: the whole file as it happened, and its totals held to the oracle."""

import time
from dataclasses import dataclass
from decimal import Decimal

from rich.console import Console
from rich.table import Table

from diptych import App
from reservation.bookings.file import CITY, RESORT, BookingRow, Ending, bookings
from reservation.bookings.oracle import WHOLE_FILE, Totals, counted
from reservation.bookings.replaying import Replayed, replay
from reservation.bookings.timeline import timeline
from reservation.composition import reservations
from reservation.entrypoints.progress import bar
from reservation.entrypoints.stores import url
from reservation.house import clock_at
from reservation.reservations.outcomes.read import BookingOutcomes
from reservation.reservations.revenue.read import RevenueBySegment

CATCH_UP = 300.0
"""Seconds that the query models may take to follow, after the last command."""


@dataclass(frozen=True)
class Measured:
    """What a replay did, and what the query models said in the end."""

    replayed: Replayed
    totals: Totals
    before: int
    after: int
    seconds: float
    caught_up: float


async def run(store: str, limit: int | None, console: Console) -> int:
    """The exit status: 0 when every total is the oracle's."""
    rows = bookings(limit)
    measured = await measure(store, rows, console)
    expected = WHOLE_FILE if limit is None or limit >= WHOLE_FILE.requests else counted(rows)
    _report(measured, console)
    _list_early(rows, console)
    differences = compare(measured.totals, expected)
    _table(measured.totals, expected, console)
    if differences:
        console.print(f"[bold red]{len(differences)} totals differ: {', '.join(differences)}")
        return 1
    console.print("[bold green]Every total of the query models is the oracle's.")
    return 0


async def measure(store: str, rows: list[BookingRow], console: Console) -> Measured:
    steps = timeline(rows)
    clock = clock_at(steps[0].day)
    async with reservations(url(store), clock=clock) as app:
        await app.settled(timeout=CATCH_UP)
        before = await _head(app)
        started = time.perf_counter()
        with bar(console) as progress:
            task = progress.add_task("Replaying", total=len(steps))
            replayed = await replay(
                app, clock, steps, progress=lambda done: progress.update(task, completed=done)
            )
        seconds = time.perf_counter() - started
        await app.settled(timeout=CATCH_UP)
        caught_up = time.perf_counter() - started - seconds
        totals = await ask_totals(app, refused=replayed.refusals["no_guest"])
        return Measured(replayed, totals, before, await _head(app), seconds, caught_up)


async def ask_totals(app: App, *, refused: int) -> Totals:
    """What the query models say. A refused request left no event, so its count is the shell's."""
    outcomes = await app.ask(BookingOutcomes())
    revenue = await app.ask(RevenueBySegment())
    nights = {
        hotel: sum(row.room_nights for row in outcomes if row.hotel == hotel)
        for hotel in (CITY, RESORT)
    }
    return Totals(
        requests=sum(row.requested for row in outcomes) + refused,
        refused=refused,
        accepted=sum(row.accepted for row in outcomes),
        rejected=sum(row.rejected for row in outcomes),
        cancelled=sum(row.cancelled for row in outcomes),
        checked_out=sum(row.checked_out for row in outcomes),
        no_shows=sum(row.no_shows for row in outcomes),
        city_room_nights=nights[CITY],
        resort_room_nights=nights[RESORT],
        revenue=sum((row.revenue for row in revenue), Decimal(0)),
    )


def compare(totals: Totals, expected: Totals) -> list[str]:
    """The names of the facts that differ."""
    mine, oracle = totals.facts(), expected.facts()
    return [name for name in oracle if mine[name] != oracle[name]]


async def _head(app: App) -> int:
    return (await app.answer(BookingOutcomes())).position


def _report(measured: Measured, console: Console) -> None:
    replayed, recorded = measured.replayed, measured.after - measured.before
    console.print(
        f"{replayed.commands:,} commands in {measured.seconds:.1f} s: "
        f"[bold]{replayed.commands / measured.seconds:,.0f} commands/s[/]; "
        f"query models caught up {measured.caught_up:.2f} s later"
    )
    if recorded:
        console.print(f"{recorded:,} positions of the log are new, up to {measured.after:,}")
    else:
        console.print(f"Nothing is new: all of it was recorded before, up to {measured.after:,}")
    other = {code: n for code, n in replayed.refusals.items() if code != "no_guest"}
    if other:
        console.print(f"[yellow]also refused: {other}")


def _list_early(rows: list[BookingRow], console: Console) -> None:
    for row in rows:
        if row.ending is Ending.NO_SHOW and row.before_arrival > 0:
            console.print(
                f"Taken as it is: row {row.row}, a no-show dated {row.ended}, "
                f"{row.before_arrival} days before its arrival on {row.stay.arrival}"
            )


def _table(totals: Totals, expected: Totals, console: Console) -> None:
    mine, oracle = totals.facts(), expected.facts()
    table = Table("Fact", title="Query models and oracle")
    for heading in ("query models", "oracle", ""):
        table.add_column(heading, justify="right")
    for name in oracle:
        same = mine[name] == oracle[name]
        mark = "[green]same" if same else "[bold red]DIFFERS"
        table.add_row(name.replace("_", " "), f"{mine[name]:,}", f"{oracle[name]:,}", mark)
    console.print(table)
