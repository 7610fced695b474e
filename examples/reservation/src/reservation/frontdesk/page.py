"""The page: complete as it comes from the server, so that it can be used without any script."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date
from uuid import UUID

from reservation.frontdesk.forms import AHEAD, LONGEST_NAME, LONGEST_STAY
from reservation.frontdesk.html import EMPTY, Html, html, join
from reservation.frontdesk.window import Window
from reservation.frontdesk.words import short_day

DEFAULTS = {"nights": "2", "adults": "2", "children": "0", "babies": "0"}


def _nothing() -> dict[str, str]:
    return {}


@dataclass(frozen=True)
class Filled:
    """The form as it is shown: what was typed, what was wrong with it, and what came of it."""

    ticket: UUID
    values: Mapping[str, str] = field(default_factory=_nothing)
    errors: Mapping[str, str] = field(default_factory=_nothing)
    notice: str = ""


def page(
    shown: Mapping[str, Html],
    form: Filled,
    hotels: Collection[str],
    window: Window,
    today: date,
) -> Html:
    return html(
        """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Reservations</title>
<link rel="icon" href="/static/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/static/desk.css">
<script src="/static/desk.js" defer></script>
</head>
<body data-live="/live?from={start}">
<a class="skip" href="#list">Skip to the reservations</a>
<header>
<h1><img src="/static/icon.svg" alt="" width="28" height="28"> Reservations</h1>
<p id="opening">{opening}</p>
<p id="link" class="link" role="status"><span>not live</span></p>
</header>
<main>
<section class="card ask" aria-labelledby="ask-title">
<h2 id="ask-title">Ask for a stay</h2>
{form}
<ol class="story">
<li>Your request is in the list at once, REQUESTED.</li>
<li>The hotel answers: ACCEPTED, or REJECTED with the reason.</li>
<li>The row turns by itself, and the charts follow.</li>
</ol>
</section>
<section class="card list" aria-labelledby="list" >
<h2 id="list" tabindex="-1">The last 50</h2>
<div class="scroll tall" tabindex="0" role="region" aria-labelledby="list">
<table role="table">
<thead role="rowgroup"><tr role="row"><th scope="col">Guest</th><th scope="col">Hotel</th>\
<th scope="col">Arrival</th><th scope="col">Stay</th><th scope="col">Status</th>\
<th scope="col"><span class="unseen">Action</span></th></tr></thead>
<tbody role="rowgroup" id="reservations">{reservations}</tbody>
</table>
</div>
<footer id="reservations-fresh">{reservations_fresh}</footer>
</section>
<nav class="window" aria-label="Nights and months shown">
<a href="/?from={earlier}" rel="prev" aria-label="Four weeks earlier">&larr;</a>
<h2>{first} &ndash; {last}</h2>
<a href="/?from={later}" rel="next" aria-label="Four weeks later">&rarr;</a>
</nav>
<section class="card wide" aria-labelledby="occupancy-title">
<h2 id="occupancy-title">Rooms taken, night by night</h2>
<div id="occupancy">{occupancy}</div>
<footer id="occupancy-fresh">{occupancy_fresh}</footer>
</section>
<section class="card" aria-labelledby="revenue-title">
<h2 id="revenue-title">Revenue by market segment and month</h2>
<div id="revenue">{revenue}</div>
<footer id="revenue-fresh">{revenue_fresh}</footer>
</section>
<section class="card" aria-labelledby="outcomes-title">
<h2 id="outcomes-title">How reservations end</h2>
<div id="outcomes">{outcomes}</div>
<footer id="outcomes-fresh">{outcomes_fresh}</footer>
</section>
</main>
<footer class="colophon">
<p>Real bookings: N. Antonio, A. de Almeida, L. Nunes, <cite>Hotel booking demand datasets</cite>, \
Data in Brief 22 (2019), CC BY 4.0. The guests are made up. Stays count to the month of their \
arrival.</p>
</footer>
<div id="said" class="unseen" role="status" aria-live="polite"></div>
</body>
</html>
""",
        start=window.start,
        earlier=window.earlier().start,
        later=window.later().start,
        first=short_day(window.start),
        last=f"{short_day(window.last)} {window.last.year}",
        form=ask_form(form, hotels, today),
        **{name.replace("-", "_"): part for name, part in shown.items()},
    )


def ask_form(form: Filled, hotels: Collection[str], today: date) -> Html:
    values = {**DEFAULTS, "arrival": today.isoformat(), **form.values}
    return html(
        """<form method="post" action="/reservations" id="ask" novalidate>
<input type="hidden" name="ticket" value="{ticket}">
{guest}
{hotel}
<div class="pair">{arrival}{nights}</div>
<div class="triple">{adults}{children}{babies}</div>
<button class="main">Ask for this stay</button>
<p id="notice" class="notice" role="status">{notice}</p>
</form>""",
        ticket=form.ticket,
        guest=_input(
            "guest",
            "Guest",
            "text",
            values,
            form.errors,
            html('autocomplete="name" maxlength="{most}" required', most=LONGEST_NAME),
        ),
        hotel=_hotels(hotels, values, form.errors),
        arrival=_input(
            "arrival",
            "Arrival",
            "date",
            values,
            form.errors,
            html('min="{first}" max="{last}" required', first=today, last=today + AHEAD),
        ),
        nights=_number("nights", "Nights", LONGEST_STAY, values, form.errors),
        adults=_number("adults", "Adults", 20, values, form.errors),
        children=_number("children", "Children", 10, values, form.errors),
        babies=_number("babies", "Babies", 10, values, form.errors),
        notice=form.notice,
    )


def _number(
    name: str, label: str, most: int, values: Mapping[str, str], errors: Mapping[str, str]
) -> Html:
    more = html('min="0" max="{most}" step="1" inputmode="numeric" required', most=most)
    return _input(name, label, "number", values, errors, more)


def _input(
    name: str,
    label: str,
    kind: str,
    values: Mapping[str, str],
    errors: Mapping[str, str],
    more: Html,
) -> Html:
    control = html(
        '<input id="{name}" name="{name}" type="{kind}" value="{value}" '
        'aria-describedby="{name}-error"{invalid} {more}>',
        name=name,
        kind=kind,
        value=values.get(name, ""),
        invalid=_invalid(name, errors),
        more=more,
    )
    return _field(name, label, control, errors)


def _hotels(hotels: Collection[str], values: Mapping[str, str], errors: Mapping[str, str]) -> Html:
    options = [
        html(
            "<option{selected}>{hotel}</option>",
            selected=html(" selected") if hotel == values.get("hotel") else EMPTY,
            hotel=hotel,
        )
        for hotel in hotels
    ]
    control = html(
        '<select id="hotel" name="hotel" aria-describedby="hotel-error"{invalid}>'
        "{options}</select>",
        invalid=_invalid("hotel", errors),
        options=join(options, ""),
    )
    return _field("hotel", "Hotel", control, errors)


def _field(name: str, label: str, control: Html, errors: Mapping[str, str]) -> Html:
    return html(
        '<div class="field"><label for="{name}">{label}</label>{control}'
        '<p class="error" id="{name}-error">{error}</p></div>',
        name=name,
        label=label,
        control=control,
        error=errors.get(name, ""),
    )


def _invalid(name: str, errors: Mapping[str, str]) -> Html:
    return html(' aria-invalid="true"') if name in errors else EMPTY
