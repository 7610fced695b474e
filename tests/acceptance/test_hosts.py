"""One description of an app in FastAPI, in Flask and in a plain script, over one file."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import fastapi
import flask
import httpx
import pytest
import uvicorn
from fastapi.responses import JSONResponse
from werkzeug.serving import make_server

import diptych
from diptych import App, BadMessage, Refused
from diptych.blocking import BlockingApp
from tests.integration.pots import Put, Take, Total, TotalOf, bank, file_url

ROOT = Path(__file__).resolve().parents[2]

Host: TypeAlias = Callable[[App], AbstractContextManager[str]]
"""Serves an app while its context is open; gives the address."""


@dataclass(frozen=True)
class Amount:
    amount: int


def flask_site(app: BlockingApp) -> flask.Flask:
    site = flask.Flask(__name__)

    @site.post("/<pot>/put")
    def put(pot: str) -> dict[str, Any]:
        command = Put(pot, flask.request.get_json()["amount"])
        receipt = app.execute(command, id=flask.request.headers.get("idempotency-key"))
        return {"position": receipt.position}

    @site.post("/<pot>/take")
    def take(pot: str) -> dict[str, Any]:
        return {"position": app.execute(Take(pot, flask.request.get_json()["amount"])).position}

    @site.get("/<pot>")
    def show(pot: str) -> dict[str, Any]:
        after = flask.request.args.get("after", 0, int)
        return {"total": shown(app.ask(TotalOf(pot), after=after, timeout=30))}

    @site.errorhandler(Refused)
    def refused(no: Refused) -> tuple[dict[str, Any], int]:
        return {"code": no.code, **no.values}, 409

    @site.errorhandler(BadMessage)
    def bad(error: BadMessage) -> tuple[dict[str, Any], int]:
        return {"error": str(error)}, 422

    return site


def fastapi_site(app: App) -> fastapi.FastAPI:
    @asynccontextmanager
    async def lifespan(_: fastapi.FastAPI) -> AsyncIterator[None]:
        async with app:
            yield

    site = fastapi.FastAPI(lifespan=lifespan)

    @site.post("/{pot}/put")
    async def put(pot: str, body: Amount, request: fastapi.Request) -> dict[str, int]:
        receipt = await app.execute(
            Put(pot, body.amount), id=request.headers.get("idempotency-key")
        )
        return {"position": receipt.position}

    @site.post("/{pot}/take")
    async def take(pot: str, body: Amount) -> dict[str, int]:
        return {"position": (await app.execute(Take(pot, body.amount))).position}

    @site.get("/{pot}")
    async def show(pot: str, after: int = 0) -> dict[str, int | None]:
        return {"total": shown(await app.ask(TotalOf(pot), after=after, timeout=30))}

    @site.exception_handler(Refused)
    async def refused(_: fastapi.Request, no: Refused) -> JSONResponse:
        return JSONResponse({"code": no.code, **no.values}, 409)

    @site.exception_handler(BadMessage)
    async def bad(_: fastapi.Request, error: BadMessage) -> JSONResponse:
        return JSONResponse({"error": str(error)}, 422)

    return site


def shown(row: Total | None) -> int | None:
    return None if row is None else row.amount


@contextmanager
def in_flask(app: App) -> Iterator[str]:
    """Opened at the start, closed at the end; each request in a thread of its own."""
    with diptych.sync(app) as blocking:
        server = make_server("127.0.0.1", 0, flask_site(blocking), threaded=True)
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            serving.join()
            server.server_close()


class Server(uvicorn.Server):
    """Leaves the signals to the tests."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


@contextmanager
def in_fastapi(app: App) -> Iterator[str]:
    """Opened and closed by the site's lifespan."""
    config = uvicorn.Config(fastapi_site(app), port=0, log_level="warning", lifespan="on")
    server = Server(config)
    serving = threading.Thread(target=server.run)
    serving.start()
    try:
        while not server.started:
            assert serving.is_alive()
            time.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        serving.join()


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    assert [thread for thread in threading.enumerate() if "diptych" in thread.name] == []


@pytest.fixture(params=[in_flask, in_fastapi])
def host(request: pytest.FixtureRequest) -> Host:
    return request.param


@pytest.fixture(params=["memory", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "memory://" if request.param == "memory" else file_url(tmp_path / "bank.db")


def run_script(store: str) -> str:
    text = """
import sys
import diptych
from tests.integration.pots import AllTotals, Put, Refused, Take, bank

with diptych.sync(bank(sys.argv[1])) as app:
    receipt = app.execute(Put("script", 5))
    try:
        app.execute(Take("script", 5_000))
    except Refused as refused:
        print(refused.code)
    print(app.log.head(), *(total.pot for total in app.ask(AllTotals(), after=receipt, timeout=30)))
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", text, store],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def test_a_visitor_reads_what_they_wrote(host: Host, url: str) -> None:
    with host(bank(url)) as address, httpx.Client(base_url=address) as client:
        first = client.post("/a/put", json={"amount": 5}).json()
        assert client.get("/a", params={"after": first["position"]}).json() == {"total": 5}
        again = [
            client.post("/a/put", json={"amount": 7}, headers={"idempotency-key": "k"}).json()
            for _ in range(3)
        ]
        assert again == [{"position": 2}] * 3
        refused = client.post("/a/take", json={"amount": 50})
        assert (refused.status_code, refused.json()) == (409, {"code": "too_little", "there": 12})
        wrong = client.post("/a/put", json={"amount": -1})
        assert wrong.status_code == 422
        assert "amount" in wrong.json()["error"]
        assert client.get("/a", params={"after": 2}).json() == {"total": 12}
        assert client.get("/b").json() == {"total": None}


def test_many_visitors_at_once_are_all_served(host: Host, url: str) -> None:
    def visit(number: int) -> None:
        with httpx.Client(base_url=address, timeout=60) as client:
            for step in range(10):
                put = client.post(f"/p{(number + step) % 3}/put", json={"amount": 1})
                assert put.status_code == 200, put.text
                show = client.get(f"/p{number % 3}", params={"after": put.json()["position"]})
                assert show.status_code == 200, show.text

    with host(bank(url)) as address:
        with ThreadPoolExecutor(12) as pool:
            list(pool.map(visit, range(12)))
        with httpx.Client(base_url=address) as client:
            shown = [client.get(f"/p{n}", params={"after": 120}).json() for n in range(3)]
        assert sum(pot["total"] for pot in shown) == 120


def test_a_script_and_both_hosts_share_a_file(tmp_path: Path) -> None:
    store = file_url(tmp_path / "bank.db")
    assert run_script(store).splitlines() == ["too_little", "1 script"]
    with in_flask(bank(store)) as one, in_fastapi(bank(store)) as other:
        flask_client, fastapi_client = httpx.Client(base_url=one), httpx.Client(base_url=other)
        with flask_client, fastapi_client:
            put = flask_client.post("/flask/put", json={"amount": 1}).json()
            assert put == {"position": 2}
            found = fastapi_client.get("/flask", params={"after": 2})
            assert found.json() == {"total": 1}
            put = fastapi_client.post("/fastapi/put", json={"amount": 2}).json()
            assert put == {"position": 3}
            assert flask_client.get("/fastapi", params={"after": 3}).json() == {"total": 2}
            assert run_script(store).splitlines() == ["too_little", "4 fastapi flask script"]
            for client in (flask_client, fastapi_client):
                assert client.get("/script", params={"after": 4}).json() == {"total": 10}
    assert run_script(store).splitlines() == ["too_little", "5 fastapi flask script"]
