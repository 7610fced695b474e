"""`reservation demo`: the page at once, and a month of real bookings replayed behind it."""

import asyncio
import signal
import socket
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from types import FrameType

import uvicorn
from rich.console import Console

from diptych import App
from reservation.bookings.file import BookingRow, bookings
from reservation.bookings.replaying import replay
from reservation.bookings.timeline import Step, timeline
from reservation.composition import reservations
from reservation.entrypoints.progress import bar
from reservation.entrypoints.stores import Unusable, remove, url
from reservation.frontdesk.desk import Desk, House
from reservation.frontdesk.parts import Opening
from reservation.frontdesk.site import FrontDesk
from reservation.house import RATES, ROOMS, HouseClock, clock_at
from reservation.reservations.carrying_out.worker import Worker
from reservation.reservations.listing.read import LastMoment

LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Demo:
    """`pause`: seconds before the hotel answers, so that a person sees what was asked."""

    host: str
    port: int
    store: str
    fresh: bool
    bookings: str
    pause: float


class Server(uvicorn.Server):
    """Ends the open pages' streams when it is told to end; it would wait for them."""

    def __init__(self, config: uvicorn.Config, desk: FrontDesk) -> None:
        super().__init__(config)
        self._desk = desk

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._desk.live.close()
        super().handle_exit(sig, frame)


async def run(demo: Demo, console: Console) -> int:
    steps, opening, after = month(demo.bookings)
    listening = listen(demo.host, demo.port)
    if demo.fresh:
        remove(demo.store)
    clock = clock_at(steps[0].day if steps else date.min)
    async with reservations(url(demo.store), clock=clock) as app:
        position = await _go_on_from_last_time(app, clock)
        opens = after or clock.today()
        house = House(ROOMS, RATES, clock, opens)
        worker = Worker(app, pause=demo.pause)
        desk = FrontDesk(app, Desk(app, worker, house), house)
        desk.opened(opening)
        hosts = [*LOOPBACK, demo.host] if demo.host in LOOPBACK else ["*"]
        server = Server(_config(desk, hosts), desk)
        address = f"http://{demo.host}:{listening.getsockname()[1]}"
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(_serve(server, listening))
            others = [
                tasks.create_task(desk.live.follow(position)),
                tasks.create_task(_open(app, clock, steps, opens, desk, worker, address, console)),
            ]
            await serving
            for task in others:
                task.cancel()
    return 0


def month(text: str) -> tuple[list[Step], Opening, date | None]:
    """What happened until the end of a month to its bookings and those of the month after: the
    one is history then, the other on the books; and the day after, on which visitors come.
    """
    if text == "none":
        return [], Opening("", 0, 0), None
    rows = bookings()
    try:
        first = date.fromisoformat(f"{text}-01")
    except ValueError:
        raise Unusable(f"--bookings {text}: give a month, such as 2015-07, or none.") from None
    after = _month_after(first)
    chosen = [row for row in rows if first <= row.stay.arrival < _month_after(after)]
    steps = timeline(chosen, until=after - timedelta(days=1))
    if not any(_in(first, row) for row in rows):
        arrivals = [row.stay.arrival for row in rows]
        known = f"{min(arrivals):%Y-%m} to {max(arrivals):%Y-%m}"
        raise Unusable(f"--bookings {text}: the file has arrivals from {known}.")
    return steps, Opening(f"{first:%B %Y}", 0, len(steps)), after


def listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen()  # from now on a visitor waits for us, and is not turned away
    except OSError as error:
        listening.close()
        raise Unusable(
            f"Cannot listen on {host}:{port}: {error.strerror}. "
            f"Stop what uses the port, or choose another: reservation demo --port {port + 1}"
        ) from error
    return listening


async def _open(
    app: App,
    clock: HouseClock,
    steps: list[Step],
    opens: date,
    desk: FrontDesk,
    worker: Worker,
    address: str,
    console: Console,
) -> None:
    """Replays, then works off whatever visitors have asked for, now and earlier."""
    console.print(f"The front desk is at [bold link={address}]{address}[/]  (Ctrl+C ends it)")
    what = desk.opening.what
    if steps:
        with bar(console) as progress:
            task = progress.add_task(f"Replaying {what}", total=len(steps))

            def show(done: int) -> None:
                progress.update(task, completed=done)
                desk.opened(Opening(what, done, len(steps)))

            replayed = await replay(app, clock, steps, progress=show)
        clock.reach(opens)
        others = {code: n for code, n in replayed.refusals.items() if code != "no_guest"}
        if others:
            console.print(f"Refused, because visitors or another month came before: {others}")
    desk.opened(Opening(what, len(steps), len(steps)))
    console.print(f"In this house it is {clock.today():%d %B %Y}. Ask for a stay.")
    await worker.run()


async def _go_on_from_last_time(app: App, clock: HouseClock) -> int:
    """Sets the clock to when something last happened here; the position at which that is known."""
    last = await app.answer(LastMoment())
    if last.value is not None and last.value > clock.now():
        clock.set(last.value)
    elif clock.today() == date.min:
        clock.set(datetime.now(UTC))
    return last.position


async def _serve(server: Server, listening: socket.socket) -> None:
    # uvicorn raises the signal again when it has ended; then it is ours to end in order
    for each in (signal.SIGINT, signal.SIGTERM):
        with suppress(ValueError):  # only the main thread may
            signal.signal(each, _ended)
    await server.serve(sockets=[listening])


def _ended(sig: int, frame: FrameType | None) -> None:
    """The server has heard it already."""


def _config(desk: FrontDesk, hosts: list[str]) -> uvicorn.Config:
    return uvicorn.Config(
        desk.site(hosts),
        log_level="warning",
        timeout_graceful_shutdown=3,
        lifespan="off",
        server_header=False,
    )


def _month_after(first: date) -> date:
    return (first + timedelta(days=31)).replace(day=1)


def _in(first: date, row: BookingRow) -> bool:
    return first <= row.stay.arrival < _month_after(first)
