"""The front desk's doors: the page, its news, and what a visitor may ask for."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from uuid import UUID, uuid4

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from diptych import App, BadMessage, Overloaded, Refused
from reservation.frontdesk.bodies import BadBody, Sent, read_body
from reservation.frontdesk.desk import Desk, House, Taken
from reservation.frontdesk.forms import FIELDS, StayForm, read_stay, read_ticket
from reservation.frontdesk.guard import Guard
from reservation.frontdesk.html import Html
from reservation.frontdesk.live import Live
from reservation.frontdesk.page import Filled, page
from reservation.frontdesk.parts import Opening, parts, row
from reservation.frontdesk.snapshot import snapshot
from reservation.frontdesk.window import Window, chosen

AT_FIELD = {"no_guest": "adults", "arrival_passed": "arrival"}
"""Where on the form a refusal belongs."""


class FrontDesk:
    def __init__(self, app: App, desk: Desk, house: House) -> None:
        self._app = app
        self._desk = desk
        self._house = house
        self.opening = Opening("", 0, 0)
        self.live = Live(app, self._draw)

    def site(self, hosts: list[str]) -> Starlette:
        """`hosts`: the names under which it may be called; no other name can be pointed here."""
        return Starlette(
            routes=[
                Route("/", self.show),
                Route("/live", self.news),
                Route("/reservations", self.request, methods=["POST"]),
                Route("/reservations/{reservation_id}", self.find),
                Route("/reservations/{reservation_id}/cancellation", self.cancel, methods=["POST"]),
                Mount("/static", StaticFiles(directory=Path(__file__).with_name("static"))),
            ],
            middleware=[
                Middleware(Guard),
                Middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False),
            ],
        )

    def opened(self, opening: Opening) -> None:
        """The replay has come this far."""
        self.opening = opening
        self.live.changed()

    async def show(self, request: Request) -> Response:
        window = chosen(request.query_params.get("from"), self._house.today)
        return await self._page(window, Filled(uuid4()))

    async def news(self, request: Request) -> Response:
        window = chosen(request.query_params.get("from"), self._house.today)
        stream = self.live.stream(window, request.headers.get("last-event-id", ""))
        return StreamingResponse(
            stream, media_type="text/event-stream", headers={"x-accel-buffering": "no"}
        )

    async def request(self, request: Request) -> Response:
        """202: taken down, not decided. Bad input is answered at its field and changes nothing."""
        try:
            sent = await read_body(request)
        except BadBody as bad:
            return await self._refuse(request, bad.status, {"form": bad.message}, {})
        ticket = read_ticket(sent["ticket"]) if "ticket" in sent else uuid4()
        if ticket is None:
            wrong = {"form": "The ticket is not a UUID. Open the page anew."}
            return await self._refuse(request, 422, wrong, sent)
        today = self._house.today
        form = read_stay(sent, hotels=self._house.rooms, today=today)
        if not isinstance(form, StayForm):
            return await self._refuse(request, 422, form, sent, ticket)
        try:
            taken = await self._desk.request(form, ticket)
        except Refused as refused:
            at = AT_FIELD.get(refused.code)
            status = 422 if at else 409
            return await self._refuse(request, status, {at or "form": refused.message}, sent)
        except BadMessage as bad:
            return await self._refuse(request, 409, {"form": str(bad)}, sent)
        except Overloaded:
            return await self._busy(request, sent)
        return await self._taken(request, taken, "Asked for. The hotel answers in a moment.")

    async def cancel(self, request: Request) -> Response:
        try:
            taken = await self._desk.cancel(request.path_params["reservation_id"])
        except Refused as refused:
            status = 404 if refused.code == "unknown_reservation" else 409
            return await self._refuse(request, status, {"form": refused.message}, {})
        except Overloaded:
            return await self._busy(request, {})
        return await self._taken(request, taken, "The cancellation is on its way.")

    async def find(self, request: Request) -> Response:
        found = await self._desk.find(request.path_params["reservation_id"])
        if found is None:
            return JSONResponse({"message": "There is no such reservation."}, status_code=404)
        seen = asdict(found)
        return JSONResponse(
            {name: seen[name] for name in ("reservation_id", "hotel", "nights", "status", "reason")}
            | {"arrival": found.arrival.isoformat(), "asked": found.asked, "changed": found.changed}
        )

    async def _draw(self, window: Window, after: int) -> Mapping[str, Html]:
        seen = await snapshot(self._app, window, after)
        today = self._house.today
        return parts(seen, self._house.rooms, window, today, self.opening)

    async def _page(
        self, window: Window, form: Filled, status: int = 200, after: int = 0
    ) -> Response:
        shown = await self._draw(window, after)
        today = self._house.today
        whole = page(shown, form, self._house.rooms, window, today)
        return HTMLResponse(whole.markup, status_code=status)

    async def _taken(self, request: Request, taken: Taken, notice: str) -> Response:
        where = f"/reservations/{taken.reservation_id}"
        if _wants_json(request):
            answer = {
                "reservation_id": taken.reservation_id,
                "position": taken.position,
                "status": taken.row.status if taken.row else "",
                "row": row(taken.row).markup if taken.row else "",
                "notice": notice,
                "ticket": str(uuid4()),
            }
            return JSONResponse(answer, status_code=202, headers={"location": where})
        window = chosen(None, self._house.today)
        shown = await self._page(window, Filled(uuid4(), notice=notice), 202, taken.position)
        shown.headers["location"] = where
        return shown

    async def _refuse(
        self,
        request: Request,
        status: int,
        errors: Mapping[str, str],
        sent: Sent,
        ticket: UUID | None = None,
    ) -> Response:
        if _wants_json(request):
            message = "Nothing was recorded."
            return JSONResponse({"message": message, "errors": errors}, status_code=status)
        window = chosen(None, self._house.today)
        values = {name: str(sent[name])[:200] for name in FIELDS if name in sent}
        filled = Filled(ticket or uuid4(), values, errors, errors.get("form", ""))
        return await self._page(window, filled, status)

    async def _busy(self, request: Request, sent: Sent) -> Response:
        wrong = {"form": "Too many are asking at once. Please try again in a moment."}
        answer = await self._refuse(request, 503, wrong, sent)
        answer.headers["retry-after"] = "1"
        return answer


def _wants_json(request: Request) -> bool:
    sent = request.headers.get("content-type", "")
    return "application/json" in request.headers.get("accept", "") or "json" in sent
