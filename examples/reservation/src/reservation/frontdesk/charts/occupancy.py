"""Rooms taken, night by night: a column a night, a row a hotel, and the same numbers as a table."""

from collections.abc import Mapping, Sequence
from datetime import date

from reservation.frontdesk.html import EMPTY, Html, html, join
from reservation.frontdesk.window import WEEKS, Window
from reservation.frontdesk.words import count, day, percent, short_day
from reservation.reservations.occupancy.read import OccupiedNight

HEIGHT = 100
COLUMN = 10
GAP = 1.5


def occupancy_chart(
    nights: Sequence[OccupiedNight], rooms: Mapping[str, int], window: Window, today: date
) -> Html:
    taken = {(row.hotel, row.night): row.rooms for row in nights}
    hotels = [
        _hotel(
            hotel, size, [taken.get((hotel, night), 0) for night in window.nights], window, today
        )
        for hotel, size in rooms.items()
    ]
    return html(
        "{hotels}{axis}{table}",
        hotels=join(hotels),
        axis=_axis(window),
        table=_table(taken, list(rooms), window),
    )


def _hotel(hotel: str, size: int, taken: Sequence[int], window: Window, today: date) -> Html:
    top = _round_up(max(*taken, 1))
    peak = max(taken)
    columns = [
        _column(n, night, rooms, size, top, hotel, past=night < today)
        for n, (night, rooms) in enumerate(zip(window.nights, taken, strict=True))
    ]
    busiest = window.nights[taken.index(peak)]
    note = (
        f"most on {day(busiest)}: {count(peak, 'room')} of {size} ({percent(peak, size)})"
        if peak
        else f"no night taken of these; {count(size, 'room')} each"
    )
    return html(
        """<figure class="nights {kind}">
<figcaption><b>{hotel}</b> <span>{note}</span></figcaption>
<div class="plot">
<span class="scale top">{top}</span><span class="scale middle">{middle}</span>
<svg viewBox="0 0 {width} {height}" preserveAspectRatio="none" role="img" \
aria-label="{hotel}, rooms taken by night from {first} to {last}: {note}">
<path class="grid" d="M0 0H{width}M0 {half}H{width}M0 {height}H{width}"/>
{columns}{today}
</svg>
</div>
</figure>""",
        kind=hotel.split()[0].lower() if hotel.isascii() else "other",
        hotel=hotel,
        note=note,
        top=top,
        middle=top // 2,
        width=len(taken) * COLUMN,
        height=HEIGHT,
        half=HEIGHT // 2,
        first=window.start,
        last=window.last,
        columns=join(columns, ""),
        today=_today(window, today),
    )


def _column(
    n: int, night: date, rooms: int, size: int, top: int, hotel: str, *, past: bool
) -> Html:
    height = HEIGHT * rooms / top
    return html(
        '<g class="night{when}"><title>{hotel}, {night}: {rooms} of {size} rooms</title>'
        '<rect class="hit" x="{x}" y="0" width="{full}" height="{height_of_plot}"/>'
        '<rect class="column" x="{inner}" y="{y}" width="{width}" height="{height}"/></g>',
        when=" past" if past else "",
        hotel=hotel,
        night=day(night),
        rooms=rooms,
        size=size,
        x=n * COLUMN,
        full=COLUMN,
        height_of_plot=HEIGHT,
        inner=n * COLUMN + GAP / 2,
        y=f"{HEIGHT - height:.2f}",
        width=COLUMN - GAP,
        height=f"{height:.2f}",
    )


def _today(window: Window, today: date) -> Html:
    if not window.start <= today < window.end:
        return EMPTY
    x = (today - window.start).days * COLUMN
    return html('<path class="today" d="M{x} 0V{height}"/>', x=x, height=HEIGHT)


def _axis(window: Window) -> Html:
    mondays = [window.nights[7 * week] for week in range(WEEKS)]
    labels = [html("<span>{label}</span>", label=short_day(monday)) for monday in mondays]
    return html('<div class="axis" aria-hidden="true">{labels}</div>', labels=join(labels, ""))


def _table(taken: Mapping[tuple[str, date], int], hotels: Sequence[str], window: Window) -> Html:
    head = join([html('<th scope="col" class="number">{hotel}</th>', hotel=h) for h in hotels], "")
    rows = [
        html(
            '<tr><th scope="row">{night}</th>{cells}</tr>',
            night=day(night),
            cells=join(
                [html('<td class="number">{n}</td>', n=taken.get((h, night), 0)) for h in hotels],
                "",
            ),
        )
        for night in window.nights
    ]
    return html(
        '<details data-keep="occupancy"><summary>The same as a table</summary>'
        '<div class="scroll" tabindex="0" role="region" aria-label="Rooms taken by night">'
        '<table><thead><tr><th scope="col">Night</th>{head}</tr></thead>'
        "<tbody>{rows}</tbody></table></div></details>",
        head=head,
        rows=join(rows, ""),
    )


def _round_up(rooms: int) -> int:
    """The next even, round number: the top of the scale."""
    for top in (10, 20, 40, 60, 80, 100, 150, 200, 250, 300, 400, 500, 600, 800, 1000):
        if rooms <= top:
            return top
    return -(-rooms // 1000) * 1000
