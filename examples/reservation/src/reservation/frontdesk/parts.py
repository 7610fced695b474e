"""The parts of the page that change by themselves: drawn with the page, and again with any news."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from diptych import Answer
from reservation.frontdesk.charts.occupancy import occupancy_chart
from reservation.frontdesk.charts.outcomes import outcomes_chart
from reservation.frontdesk.charts.revenue import revenue_chart
from reservation.frontdesk.html import EMPTY, Html, html, join
from reservation.frontdesk.snapshot import Snapshot
from reservation.frontdesk.window import Window
from reservation.frontdesk.words import count, day, freshness
from reservation.reservations.listing.read import ListedReservation

STATUS = {
    "REQUESTED": "the hotel has not answered yet",
    "ACCEPTED": "a room is held",
    "REJECTED": "the hotel said no",
    "CANCELLATION_REQUESTED": "to be cancelled",
    "CANCELLED": "the room is free again",
    "CHECKED_IN": "the guest is here",
    "CHECKED_OUT": "the guest has left",
    "NO_SHOW": "the guest did not come",
}
REASON = {"sold_out": "sold out"}


@dataclass(frozen=True)
class Opening:
    """How far the real bookings have been replayed; `total` is 0 where none were asked for."""

    what: str
    done: int
    total: int

    @property
    def over(self) -> bool:
        return self.done >= self.total


def parts(
    seen: Snapshot, rooms: Mapping[str, int], window: Window, today: date, opening: Opening
) -> dict[str, Html]:
    """By the id of the element that holds each."""
    hotels = list(rooms)
    return {
        "opening": opening_part(opening, today),
        "reservations": join([row(each) for each in seen.listing.value]),
        "reservations-fresh": _fresh(seen.listing, opening),
        "occupancy": occupancy_chart(seen.nights.value, rooms, window, today),
        "occupancy-fresh": _fresh(seen.nights, opening),
        "revenue": revenue_chart(seen.revenue.value, window.months),
        "revenue-fresh": _fresh(seen.revenue, opening),
        "outcomes": outcomes_chart(seen.outcomes.value, hotels),
        "outcomes-fresh": _fresh(seen.outcomes, opening),
    }


def opening_part(opening: Opening, today: date) -> Html:
    if not opening.over:
        return html(
            '<label for="opening-bar">Replaying {what}: {done} of {total} commands</label> '
            '<progress id="opening-bar" value="{value}" max="{max}"></progress>',
            what=opening.what,
            done=f"{opening.done:,}",
            total=f"{opening.total:,}",
            value=opening.done,
            max=opening.total,
        )
    replayed = html("{what} was replayed from real bookings; ", what=opening.what)
    return html(
        "{replayed}in this house it is <b>{today}</b>",
        replayed=replayed if opening.what else EMPTY,
        today=day(today),
    )


def row(reservation: ListedReservation) -> Html:
    """`data-changed` tells the page whether the row it has is older than this one."""
    return html(
        """<tr role="row" id="r-{id}" data-changed="{changed}">
<td role="cell" class="who"><b>{guest}</b><small>{id}</small></td>
<td role="cell" data-label="Hotel">{hotel}</td>
<td role="cell" data-label="Arrival"><time datetime="{arrival}">{arrival_day}</time></td>
<td role="cell" data-label="Stay">{stay}<small>{guests}</small></td>
<td role="cell" data-label="Status">\
<span class="status {kind}" title="{meaning}">{status}</span>{reason}</td>
<td role="cell" class="do">{cancel}</td>
</tr>""",
        id=reservation.reservation_id,
        changed=reservation.changed,
        guest=reservation.guest,
        hotel=reservation.hotel,
        arrival=reservation.arrival.isoformat(),
        arrival_day=day(reservation.arrival),
        stay=count(reservation.nights, "night") if reservation.nights else "day use",
        guests=count(reservation.guests, "guest"),
        status=reservation.status.replace("_", " "),
        kind=reservation.status.lower().replace("_", "-"),
        meaning=STATUS.get(reservation.status, ""),
        reason=_reason(reservation.reason),
        cancel=_cancel(reservation) if reservation.status == "ACCEPTED" else EMPTY,
    )


def _reason(reason: str) -> Html:
    return html("<small>{why}</small>", why=REASON.get(reason, reason)) if reason else EMPTY


def _cancel(reservation: ListedReservation) -> Html:
    return html(
        '<form method="post" action="/reservations/{id}/cancellation" data-cancel>'
        '<button class="quiet" aria-label="Cancel the reservation of {guest}, {id}">Cancel</button>'
        "</form>",
        id=reservation.reservation_id,
        guest=reservation.guest,
    )


def _fresh(answer: Answer[object], opening: Opening) -> Html:
    return html(
        '<span class="{kind}">{words}</span>',
        kind="behind" if answer.stale else "fresh",
        words=freshness(answer, replaying=not opening.over),
    )
