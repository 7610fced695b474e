"""`reservation demo` as a process: it starts, starts again, ends in order, names what is wrong."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import closing, contextmanager
from datetime import date
from pathlib import Path

import httpx
import pytest

from reservation.composition import reservations
from reservation.entrypoints.demo import month
from reservation.entrypoints.stores import Unusable, remove
from reservation.house import HouseClock, clock_at

# the last month of the file is its smallest: 21 bookings
MONTH = "2017-02"
COMMAND = [sys.executable, "-m", "reservation", "demo"]


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(store: Path, *options: str) -> Generator[tuple[httpx.Client, "subprocess.Popen[str]"]]:
    port = free_port()
    asked = ["--port", str(port), "--store", str(store), "--bookings", MONTH, "--pause", "0"]
    process = subprocess.Popen(
        [*COMMAND, *asked, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    with process, httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        try:
            for line in process.stdout:
                if "In this house it is" in line:
                    break
            yield client, process
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=15) == 0, process.stdout.read()


def status_of(client: httpx.Client, where: str) -> str:
    deadline = time.monotonic() + 10
    while (status := str(client.get(where).json()["status"])) == "REQUESTED":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return status


async def recorded(store: Path) -> list[tuple[int, object]]:
    clock = clock_at(date(2017, 3, 1))
    async with reservations(f"sqlite:///{store}", clock=clock) as app:
        return [(each.position, each.event) async for each in app.log.read(after=0)]


async def test_a_second_start_over_the_same_store_works_and_changes_nothing(
    tmp_path: Path,
) -> None:
    store = tmp_path / "demo.db"
    with running(store) as (client, _):
        page = client.get("/")
        assert page.status_code == 200
        assert "row-" in page.text
        form = {"guest": "Ana Lopes", "hotel": "City Hotel", "arrival": "2017-03-05"}
        numbers = {"nights": "1", "adults": "1", "children": "0", "babies": "0"}
        asked = client.post("/reservations", json=form | numbers)
        assert asked.status_code == 202
        assert status_of(client, asked.headers["location"]) == "ACCEPTED"
    before = await recorded(store)
    with running(store) as (client, _):
        assert status_of(client, asked.headers["location"]) == "ACCEPTED"
        assert "Ana Lopes" in client.get("/").text
    assert await recorded(store) == before
    with running(store, "--fresh") as (client, _):
        assert client.get(asked.headers["location"]).status_code == 404


def test_a_port_in_use_is_a_clear_error_with_a_remedy(tmp_path: Path) -> None:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(
            [*COMMAND, "--port", str(port), "--store", str(tmp_path / "demo.db")],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert done.returncode == 2
    assert f"Cannot listen on 127.0.0.1:{port}: Address already in use." in done.stderr
    assert f"--port {port + 1}" in done.stderr
    assert not (tmp_path / "demo.db").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--store", "demo.db", "--bookings", "2011-01"], "from 2015-07 to 2017-02"),
        (["--store", "demo.db", "--bookings", "July"], "such as 2015-07"),
        (["--store", "/nonexistent/demo.db"], "/nonexistent is no directory"),
    ],
)
def test_a_wrong_option_is_a_clear_error(options: list[str], said: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "--port", "0", *options],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2, done.stdout
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "demo.db").exists()


def test_fresh_deletes_a_store_and_nothing_else(tmp_path: Path) -> None:
    letter = tmp_path / "letter.txt"
    letter.write_text("Dear Ana")
    with pytest.raises(Unusable, match="no SQLite file"):
        remove(str(letter))
    assert letter.read_text() == "Dear Ana"
    remove(str(tmp_path / "not there.db"))


def test_the_month_is_history_and_the_next_is_on_the_books() -> None:
    steps, opening, opens = month("2015-07")
    assert opening.total == len(steps) > 5000
    assert steps[-1].day == date(2015, 7, 31)
    assert opens == date(2015, 8, 1)
    assert month("none")[0] == []


def test_the_houses_clock_never_goes_back() -> None:
    clock: HouseClock = clock_at(date(2015, 8, 1))
    clock.reach(date(2015, 7, 1))
    assert clock.today() == date(2015, 8, 1)
    clock.reach(date(2015, 8, 3))
    assert clock.today() == date(2015, 8, 3)
    first, second = clock.now(), clock.now()
    assert first <= second
