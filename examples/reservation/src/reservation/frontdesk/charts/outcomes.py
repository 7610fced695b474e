"""What became of each hotel's reservations: the cancellation rate, and one bar that adds up."""

from collections.abc import Sequence
from dataclasses import dataclass

from reservation.frontdesk.html import Html, html, join
from reservation.frontdesk.words import percent
from reservation.reservations.outcomes.read import HotelMonth


@dataclass(frozen=True)
class Share:
    kind: str
    label: str
    count: int


def outcomes_chart(rows: Sequence[HotelMonth], hotels: Sequence[str]) -> Html:
    return join([_hotel(hotel, [row for row in rows if row.hotel == hotel]) for hotel in hotels])


def _hotel(hotel: str, rows: Sequence[HotelMonth]) -> Html:
    accepted = sum(row.accepted for row in rows)
    cancelled = sum(row.cancelled for row in rows)
    shares = _shares(rows)
    bar, x = list[Html](), 0.0
    whole = sum(share.count for share in shares) or 1
    for share in shares:
        width = 100 * share.count / whole
        bar.append(
            html(
                '<rect class="{kind}" x="{x}" width="{width}" height="10">'
                "<title>{label}: {count}</title></rect>",
                kind=share.kind,
                x=f"{x:.3f}",
                width=f"{width:.3f}",
                label=share.label,
                count=share.count,
            )
        )
        x += width
    return html(
        """<figure class="ends">
<figcaption><b>{hotel}</b> <strong class="rate">{rate}</strong> <span>cancelled, \
{cancelled} of {accepted} accepted</span></figcaption>
<svg class="whole" viewBox="0 0 100 10" preserveAspectRatio="none" role="img" \
aria-label="{hotel}: {summary}">{bar}</svg>
<ul class="legend">{legend}</ul>
</figure>""",
        hotel=hotel,
        rate=percent(cancelled, accepted),
        cancelled=f"{cancelled:,}",
        accepted=f"{accepted:,}",
        summary=", ".join(f"{share.label} {share.count}" for share in shares) or "nothing yet",
        bar=join(bar, ""),
        legend=join([_key(share) for share in shares], ""),
    )


def _shares(rows: Sequence[HotelMonth]) -> list[Share]:
    accepted = sum(row.accepted for row in rows)
    arrived = sum(row.checked_in for row in rows)
    left = sum(row.checked_out for row in rows)
    cancelled = sum(row.cancelled for row in rows)
    absent = sum(row.no_shows for row in rows)
    shares = [
        Share("left", "stayed", left),
        Share("here", "in the house", arrived - left),
        Share("expected", "expected", accepted - arrived - cancelled - absent),
        Share("cancelled", "cancelled", cancelled),
        Share("absent", "did not show", absent),
        Share("rejected", "rejected", sum(row.rejected for row in rows)),
    ]
    return [share for share in shares if share.count > 0]


def _key(share: Share) -> Html:
    return html(
        '<li><svg class="key" viewBox="0 0 10 10" aria-hidden="true">'
        '<rect class="{kind}" width="10" height="10" rx="2"/></svg>{label} <b>{count}</b></li>',
        kind=share.kind,
        label=share.label,
        count=f"{share.count:,}",
    )
