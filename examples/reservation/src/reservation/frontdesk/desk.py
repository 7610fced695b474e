"""The desk: takes a visitor's wish to the context as a command, and says where to look for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from uuid import UUID

from diptych import App, Receipt
from reservation.frontdesk.forms import StayForm
from reservation.house import HouseClock
from reservation.reservations.cancelling.write import RequestCancellation
from reservation.reservations.carrying_out.worker import Worker
from reservation.reservations.listing.read import ListedReservation, OneReservation
from reservation.reservations.requesting.write import RequestReservation
from reservation.reservations.stay import Party, Stay


@dataclass(frozen=True)
class House:
    """What the page knows of the house without asking a query model.

    `opens` is the first day of which visitors are told: while older days are replayed, the page
    is about the days to come already.
    """

    rooms: Mapping[str, int]
    rates: Mapping[str, Decimal]
    clock: HouseClock
    opens: date

    @property
    def today(self) -> date:
        return max(self.clock.today(), self.opens)


@dataclass(frozen=True)
class Taken:
    """A wish that was taken down, and its row as of then."""

    reservation_id: str
    position: int
    row: ListedReservation | None


class Desk:
    def __init__(self, app: App, worker: Worker, house: House) -> None:
        self._app = app
        self._worker = worker
        self._house = house

    async def request(self, form: StayForm, ticket: UUID) -> Taken:
        """Taken down at once; the hotel's answer comes later. The same ticket asks once."""
        reservation_id = f"web-{ticket.hex[:12]}"
        command = RequestReservation(
            reservation_id,
            form.guest,
            Party(form.adults, form.children, form.babies),
            Stay(form.hotel, form.arrival, form.nights),
            "Direct",
            self._house.rates[form.hotel],
        )
        receipt = await self._app.execute(command, id=str(ticket))
        return await self._taken(reservation_id, receipt)

    async def cancel(self, reservation_id: str) -> Taken:
        receipt = await self._app.execute(RequestCancellation(reservation_id))
        return await self._taken(reservation_id, receipt)

    async def find(self, reservation_id: str) -> ListedReservation | None:
        return await self._app.ask(OneReservation(reservation_id))

    async def _taken(self, reservation_id: str, receipt: Receipt) -> Taken:
        self._worker.wake(receipt)
        seen = await self._app.answer(OneReservation(reservation_id), after=receipt)
        return Taken(reservation_id, receipt.position, seen.value)
