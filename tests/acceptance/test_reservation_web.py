"""The page over real HTTP: what a visitor can do, and what nobody can do to it."""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from uuid import uuid4

import httpx
import pytest
import uvicorn

from diptych import App
from reservation.bookings.file import CITY, RESORT
from reservation.composition import reservations
from reservation.frontdesk.desk import Desk, House
from reservation.frontdesk.site import FrontDesk
from reservation.house import RATES, HouseClock, clock_at
from reservation.reservations.carrying_out.worker import Worker
from reservation.reservations.listing.read import LastReservations, ListedReservation

TODAY = date(2015, 8, 1)
GOOD = {
    "guest": "Ana Lopes",
    "hotel": CITY,
    "arrival": "2015-08-10",
    "nights": "2",
    "adults": "2",
    "children": "0",
    "babies": "0",
}
JSON = {"accept": "application/json"}


@dataclass
class Site:
    app: App
    client: httpx.AsyncClient
    worker: Worker
    desk: FrontDesk
    clock: HouseClock

    async def recorded(self) -> int:
        return len([each async for each in self.app.log.read(after=0)])

    async def last(self) -> ListedReservation:
        await self.app.settled(timeout=10)
        return (await self.app.ask(LastReservations(1)))[0]


class Server(uvicorn.Server):
    """Leaves the signals to the tests."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


@asynccontextmanager
async def opened(*, rooms: int = 5, working: bool = True) -> AsyncGenerator[Site]:
    clock = clock_at(TODAY)
    sizes = {CITY: rooms, RESORT: rooms}
    async with reservations("memory://", clock=clock, rooms=sizes) as app:
        worker = Worker(app)
        house = House(sizes, RATES, clock, TODAY)
        desk = FrontDesk(app, Desk(app, worker, house), house)
        config = uvicorn.Config(
            desk.site(["127.0.0.1"]),
            port=0,
            log_level="warning",
            lifespan="off",
            timeout_graceful_shutdown=3,
        )
        server = Server(config)
        tasks = [asyncio.create_task(desk.live.follow(0))]
        if working:
            tasks.append(asyncio.create_task(worker.run()))
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            yield Site(app, client, worker, desk, clock)
        desk.live.close()
        server.should_exit = True
        await serving
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with opened() as site:
        yield site


async def eventually(site: Site, status: str) -> ListedReservation:
    async with asyncio.timeout(10):
        while (row := await site.last()).status != status:
            await asyncio.sleep(0.02)
    return row


@asynccontextmanager
async def news(
    site: Site, last_id: str = ""
) -> AsyncGenerator[AsyncIterator[tuple[str, str, str]]]:
    """The page's events: id, name, data."""
    headers = {"last-event-id": last_id} if last_id else {}

    async def events(response: httpx.Response) -> AsyncIterator[tuple[str, str, str]]:
        fields: dict[str, str] = {}
        async for line in response.aiter_lines():
            if not line:
                if "data" in fields:
                    yield fields.get("id", ""), fields.get("event", ""), fields["data"]
                fields = {}
            elif not line.startswith(":"):
                name, _, value = line.partition(": ")
                fields[name] = value

    async with site.client.stream("GET", "/live", headers=headers, timeout=20) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        yield events(response)


# ---- a visitor asks


async def test_a_request_is_answered_at_once_and_decided_later() -> None:
    async with opened(working=False) as site:
        response = await site.client.post("/reservations", data=GOOD, headers=JSON)
        assert response.status_code == 202
        answer = response.json()
        assert answer["status"] == "REQUESTED"
        assert "REQUESTED" in answer["row"]
        found = await site.client.get(response.headers["location"])
        assert found.json()["status"] == "REQUESTED"
        await site.worker.work_off()
        await site.app.settled(timeout=10)
        found = await site.client.get(response.headers["location"])
        assert found.json()["status"] == "ACCEPTED"


async def test_a_request_can_be_json(site: Site) -> None:
    body = {**GOOD, "nights": 3, "adults": 1}
    response = await site.client.post("/reservations", json=body)
    assert response.status_code == 202
    row = await eventually(site, "ACCEPTED")
    assert (row.guest, row.nights, row.guests) == ("Ana Lopes", 3, 1)


async def test_a_form_works_without_a_script(site: Site) -> None:
    response = await site.client.post("/reservations", data=GOOD)
    assert response.status_code == 202
    assert response.text.startswith("<!doctype html>")
    assert "Asked for." in response.text
    assert re.search(r"Ana Lopes.*REQUESTED", response.text, re.DOTALL)


async def test_a_full_house_rejects_and_says_why() -> None:
    async with opened(rooms=0) as site:
        await site.client.post("/reservations", data=GOOD)
        row = await eventually(site, "REJECTED")
        assert row.reason == "sold_out"
        assert "sold out" in (await site.client.get("/")).text


async def test_a_held_room_can_be_given_back(site: Site) -> None:
    await site.client.post("/reservations", data=GOOD)
    row = await eventually(site, "ACCEPTED")
    cancel = f"/reservations/{row.reservation_id}/cancellation"
    assert cancel in (await site.client.get("/")).text
    response = await site.client.post(cancel, headers=JSON)
    assert response.status_code == 202
    assert response.json()["status"] == "CANCELLATION_REQUESTED"
    await eventually(site, "CANCELLED")
    assert cancel not in (await site.client.get("/")).text
    again = await site.client.post(cancel, headers=JSON)
    assert again.status_code == 202
    assert (await site.last()).status == "CANCELLED"


async def test_the_same_ticket_asks_once(site: Site) -> None:
    asked = {**GOOD, "ticket": str(uuid4())}
    first = await site.client.post("/reservations", data=asked, headers=JSON)
    again = await site.client.post("/reservations", data=asked, headers=JSON)
    assert first.status_code == again.status_code == 202
    assert first.json()["reservation_id"] == again.json()["reservation_id"]
    other = {**asked, "guest": "Somebody Else"}
    third = await site.client.post("/reservations", data=other, headers=JSON)
    assert third.status_code == 409
    assert len(await site.app.ask(LastReservations())) == 1


async def test_what_was_asked_before_a_stop_is_finished_on_start(tmp_path: object) -> None:
    clock = clock_at(TODAY)
    store = f"sqlite:///{tmp_path}/desk.db"
    async with reservations(store, clock=clock) as app:
        desk = Desk(app, Worker(app), House({CITY: 1, RESORT: 1}, RATES, clock, TODAY))
        from reservation.frontdesk.forms import StayForm

        form = StayForm("Ana Lopes", CITY, TODAY, 2, 1, 0, 0)
        taken = await desk.request(form, uuid4())
        assert taken.row is not None
        assert taken.row.status == "REQUESTED"
    async with reservations(store, clock=clock) as app:
        worker = Worker(app)
        assert await worker.work_off() == 1
        await app.settled(timeout=10)
        assert (await app.ask(LastReservations()))[0].status == "ACCEPTED"
        assert await worker.work_off() == 0


# ---- what nobody gets past the desk

BAD: list[tuple[str, dict[str, object], str]] = [
    ("no name", {"guest": "  "}, "guest"),
    ("a huge name", {"guest": "x" * 50_000}, "guest"),
    ("a name with a bell", {"guest": "Ana\x07"}, "guest"),
    ("a name that turns text around", {"guest": "Ana\u202e"}, "guest"),
    ("another hotel", {"hotel": "Grand Hotel"}, "hotel"),
    ("no date", {"arrival": ""}, "arrival"),
    ("a malformed date", {"arrival": "2015-02-30"}, "arrival"),
    ("a week date", {"arrival": "2015-W31-4"}, "arrival"),
    ("a date that has passed", {"arrival": "2015-07-31"}, "arrival"),
    ("a date far away", {"arrival": "2117-08-01"}, "arrival"),
    ("negative nights", {"nights": "-1"}, "nights"),
    ("a million digits", {"nights": "9" * 40_000}, "nights"),
    ("half a night", {"nights": "1.5"}, "nights"),
    ("digits of another script", {"nights": "٣"}, "nights"),
    ("too long a stay", {"nights": "57"}, "nights"),
    ("nobody", {"adults": "0"}, "adults"),
    ("a crowd", {"children": "999"}, "children"),
    ("words for a number", {"babies": "two"}, "babies"),
    ("a field that is not there", {"rate": "0"}, "rate"),
]


@pytest.mark.parametrize(("change", "field"), [(c, f) for _, c, f in BAD], ids=[n for n, *_ in BAD])
async def test_bad_input_is_answered_at_its_field_and_nothing_is_recorded(
    site: Site, change: dict[str, object], field: str
) -> None:
    sent = {**GOOD, **change}
    as_json = await site.client.post("/reservations", json=sent)
    as_form = await site.client.post("/reservations", data=sent, headers=JSON)
    as_page = await site.client.post("/reservations", data=sent)
    assert as_json.status_code == as_form.status_code == as_page.status_code == 422
    assert as_json.json()["errors"].keys() == as_form.json()["errors"].keys() == {field}
    if field in GOOD:
        message = re.search(rf'id="{field}-error">([^<]*)</p>', as_page.text)
        assert message
        assert message[1]
        assert 'aria-invalid="true"' in as_page.text
    assert await site.recorded() == 0


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{", "application/json", 422),
        (b"[]", "application/json", 422),
        (b'"x"', "application/json", 422),
        (b"[" * 60_000, "application/json", 422),
        (b'{"guest": "\\ud800"}', "application/json", 422),
        (b"\xff\xfe", "application/json", 422),
        (b'{"guest": null, "nights": true, "adults": [1]}', "application/json", 422),
        (b"guest=%ff%fe", "application/x-www-form-urlencoded", 422),
        (b"guest=a&guest=b", "application/x-www-form-urlencoded", 422),
        (b"a=1&" * 200, "application/x-www-form-urlencoded", 422),
        (b"", "application/x-www-form-urlencoded", 422),
        (b"<xml/>", "application/xml", 415),
        (b"guest=a", "", 415),
        (b"x" * 200_000, "application/json", 413),
    ],
)
async def test_a_body_that_is_no_form_is_refused_and_nothing_is_recorded(
    site: Site, body: bytes, kind: str, status: int
) -> None:
    headers = {**JSON, "content-type": kind}
    response = await site.client.post("/reservations", content=body, headers=headers)
    assert response.status_code == status, response.text
    assert response.json()["errors"]
    assert await site.recorded() == 0


async def test_a_ticket_that_is_no_uuid_is_refused(site: Site) -> None:
    sent = {**GOOD, "ticket": "'; DROP TABLE events"}
    response = await site.client.post("/reservations", data=sent, headers=JSON)
    assert response.status_code == 422
    assert await site.recorded() == 0


HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "{guest} {0.__class__} %s ${x}",
    "</tr></table><form action=//evil.example>",
    "Robert'); DROP TABLE students;--",
]


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_name_is_shown_as_text_wherever_it_is_shown(site: Site, name: str) -> None:
    from html import escape

    response = await site.client.post("/reservations", data={**GOOD, "guest": name}, headers=JSON)
    assert response.status_code == 202
    row = await eventually(site, "ACCEPTED")
    assert row.guest == name
    page = (await site.client.get("/")).text
    async with news(site) as events:
        _, _, data = await anext(events)
    for markup in (page, response.json()["row"], json.loads(data)["reservations"]):
        assert escape(name, quote=True) in markup
        assert name not in markup or name == escape(name, quote=True)
    back = await site.client.post("/reservations", data={**GOOD, "guest": name, "nights": "x"})
    assert back.status_code == 422
    assert escape(name, quote=True) in back.text
    assert f'value="{name}"' not in back.text or name == escape(name, quote=True)


async def test_hostile_addresses_do_no_harm(site: Site) -> None:
    for start in ("<script>", "9999-99-99", "0001-01-01", "2015-08-03" * 900, "%00"):
        response = await site.client.get("/", params={"from": start})
        assert response.status_code == 200
        assert "<script>" not in response.text
    for path in ("/reservations/nope", "/reservations/%2e%2e%2fetc", "/static/../site.py", "/x"):
        assert (await site.client.get(path)).status_code == 404
    nobody = await site.client.post("/reservations/nope/cancellation", headers=JSON)
    assert nobody.status_code == 404
    assert await site.recorded() == 0


async def test_another_sites_form_is_turned_away(site: Site) -> None:
    for headers in (
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site", "origin": "http://127.0.0.1:9"},
    ):
        response = await site.client.post("/reservations", data=GOOD, headers=headers)
        assert response.status_code == 403
    other_name = await site.client.get("/", headers={"host": "evil.example"})
    assert other_name.status_code == 400
    assert await site.recorded() == 0


async def test_every_response_has_a_policy_that_lets_no_foreign_script_run(site: Site) -> None:
    for path in ("/", "/static/desk.js", "/static/desk.css", "/reservations/nope", "/nowhere"):
        headers = (await site.client.get(path)).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
    page = (await site.client.get("/")).text
    assert not re.search(r"(?:src|href|action)=\"(?:https?:)?//", page)
    assert " style=" not in page
    assert not re.search(r"<script(?![^>]*src=\"/static/)", page)


# ---- the page stays right by itself


async def test_news_arrive_without_asking(site: Site) -> None:
    async with news(site) as events:
        _, name, data = await anext(events)
        assert name == "parts"
        whole = json.loads(data)
        assert {"reservations", "occupancy", "revenue", "outcomes", "opening"} <= whole.keys()
        await site.client.post("/reservations", data=GOOD, headers=JSON)
        async with asyncio.timeout(10):
            async for _, _, data in events:
                if "ACCEPTED" in json.loads(data).get("reservations", ""):
                    break
        changed = json.loads(data)
        assert "Ana Lopes" in changed["reservations"]
        assert "1 room of 5" in changed["occupancy"]


async def test_a_page_that_comes_back_up_to_date_is_told_nothing_and_else_everything(
    site: Site,
) -> None:
    async with news(site) as events:
        last_id, _, _ = await anext(events)
    async with news(site, last_id) as events:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.6):
                await anext(events)
    await site.client.post("/reservations", data=GOOD, headers=JSON)
    await eventually(site, "ACCEPTED")
    async with news(site, last_id) as events:
        _, _, data = await anext(events)
        assert "ACCEPTED" in json.loads(data)["reservations"]
    async with news(site, "deadbeef-7") as events:
        _, _, data = await anext(events)
        assert "occupancy" in json.loads(data)


async def test_a_burst_of_events_is_drawn_a_few_times_only(site: Site) -> None:
    async with news(site) as events:
        await anext(events)
        posts = [site.client.post("/reservations", data=GOOD, headers=JSON) for _ in range(40)]
        await asyncio.gather(*posts)
        async with asyncio.timeout(10):  # which of them get the rooms, nobody has promised
            while await site.recorded() < 80:
                await asyncio.sleep(0.02)
        drawn = 0
        with suppress(TimeoutError):
            async with asyncio.timeout(1.5):
                async for _ in events:
                    drawn += 1
    assert 1 <= drawn <= 15
    assert await site.recorded() == 80


async def test_the_page_says_how_fresh_each_answer_is(site: Site) -> None:
    assert (await site.client.get("/")).text.count("Nothing has happened yet") == 4
    await site.client.post("/reservations", data=GOOD)
    await eventually(site, "ACCEPTED")
    page = (await site.client.get("/")).text
    assert page.count("As of event 2, nothing newer is waiting") == 4
