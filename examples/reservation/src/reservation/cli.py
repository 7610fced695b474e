"""The `reservation` program. Its three commands show, prove and strain the same application."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from cyclopts import App, Parameter
from cyclopts.validators import Number
from rich.console import Console

from diptych import StoreFault
from reservation.entrypoints.stores import Unusable

app = App(name="reservation", help="The example of diptych: two hotels' reservations.")

Store = Annotated[
    str,
    Parameter(help="The SQLite file that holds everything, or postgresql://user:password@host/db."),
]
Positive = Annotated[int, Parameter(validator=Number(gte=1))]


@app.command
def demo(
    *,
    host: str = "127.0.0.1",
    port: Annotated[int, Parameter(validator=Number(gte=0, lte=65535))] = 8000,
    store: Store = "reservation-demo.db",
    fresh: bool = False,
    bookings: str = "2015-07",
    pause: Annotated[float, Parameter(validator=Number(gte=0, lte=60))] = 0.7,
) -> int:
    """The web page, with a month of real bookings replayed behind it.

    Args:
        host: Where to listen. The page asks nobody who they are: keep it to this machine.
        port: 0 takes any free one.
        fresh: Throw the store away first.
        bookings: The month that is replayed, such as 2015-07, or `none`.
        pause: Seconds that the hotel takes to answer, so that an eye can follow.
    """
    from reservation.entrypoints import demo as entry

    asked = entry.Demo(host, port, store, fresh, bookings, pause)
    return _run(lambda console: entry.run(asked, console))


@app.command
def replay(*, store: Store = "reservation-replay.db", limit: Positive | None = None) -> int:
    """All real bookings in the order in which things happened, held to the oracle.

    The exit status is 1 if any total differs. A second run over the same store changes nothing.

    Args:
        limit: Only the first rows of the file, held to the same facts of those rows.
    """
    from reservation.entrypoints import replay as entry

    return _run(lambda console: entry.run(store, limit, console))


@app.command
def race(
    *,
    processes: Positive = 4,
    guests: Positive = 500,
    rooms: Positive = 10,
    store: Store | None = None,
) -> int:
    """Guests ask for the last rooms of one night at once, through several processes on one store.

    The exit status is 1 unless every room is given away once and everybody else is told no.

    Args:
        store: An empty one; by default a file that is thrown away.
    """
    from reservation.entrypoints import race as entry

    async def run(console: Console) -> int:
        return await asyncio.to_thread(entry.run, processes, guests, rooms, store, console)

    return _run(run)


def _run(command: Callable[[Console], Coroutine[Any, Any, int]]) -> int:
    console = Console()
    try:
        return asyncio.run(command(console))
    except KeyboardInterrupt:
        return 130
    except (Unusable, StoreFault) as error:
        return _tell(error)
    except ExceptionGroup as group:
        expected, others = group.split((Unusable, StoreFault))
        if expected is None or others is not None:
            raise
        return _tell(expected.exceptions[0])


def _tell(error: Exception) -> int:
    console = Console(stderr=True)
    console.print(str(error), style="bold red", markup=False, highlight=False, soft_wrap=True)
    return 2


def main() -> None:
    sys.exit(app(result_action="return_value"))
