"""An operator's day, with the real program: run, look, stop, kill, freeze."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.unit.shops import shop

PROGRAM = Path(sys.executable).with_name("diptych")

ORDERS = """\
import asyncio, sys, shop

async def main():
    async with shop.app as app:
        for number in sys.argv[1:]:
            await app.execute(shop.PlaceOrder(number))

asyncio.run(main())
"""


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A directory with an app."""
    return shop(tmp_path, module="shop")


def diptych(here: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(PROGRAM), *words],
        cwd=here,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **environment},
    )


def answered(here: Path, *words: str) -> dict[str, Any]:
    done = diptych(here, *words, "--json")
    envelope: dict[str, Any] = json.loads(done.stdout)
    assert envelope["exit"] == done.returncode, done.stderr
    return envelope


def order(here: Path, *numbers: str) -> None:
    subprocess.run([sys.executable, "-c", ORDERS, *numbers], cwd=here, timeout=60, check=True)


@contextmanager
def running(here: Path, store: str = "sqlite:///shop.db") -> Iterator[subprocess.Popen[str]]:
    """`diptych run`, once it is ready and has said so.

    Args:
        store: What it says of its store, as a pattern.
    """
    process = subprocess.Popen(
        [str(PROGRAM), "run"], cwd=here, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        ready = process.stdout.readline()
        assert re.match(rf"shop is ready: {store}, \d views?, process \d+", ready), ready
        yield process
    finally:
        process.kill()
        process.communicate()


def view(here: Path) -> dict[str, Any]:
    found: dict[str, Any] = answered(here, "status")["result"]["views"][0]
    return found


def until(said: Callable[[], bool]) -> None:
    """Waits for what must come; the test's own limit ends it otherwise."""
    while not said():
        time.sleep(0.05)


def test_a_day_in_the_life_of_an_app(here: Path) -> None:
    assert diptych(here, "status").returncode == 3
    with running(here) as process:
        until(lambda: view(here)["state"] == "running")
        order(here, "1", "2", "3")
        until(lambda: view(here)["position"] == 3)
        status = answered(here, "status")["result"]
        assert (status["context"], status["head"]) == ("shop", 3)
        assert status["views"][0]["lag_events"] == 0
        assert process.pid in [one["pid"] for one in status["processes"]]
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
        assert (process.returncode, out, err) == (0, "shop has stopped\n", "")
    stopped = view(here)
    assert stopped["state"] == "stopped"
    assert "ended properly" in stopped["reason"]
    assert stopped["since"] is not None


def test_ctrl_c_ends_it_properly_too(here: Path) -> None:
    with running(here) as process:
        until(lambda: view(here)["state"] == "running")
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=30)
        assert (process.returncode, out) == (0, "shop has stopped\n")
    assert view(here)["state"] == "stopped"


def test_a_killed_process_orphans_its_views_until_another_runs_them(here: Path) -> None:
    with running(here) as process:
        until(lambda: view(here)["state"] == "running")
        process.kill()
        process.wait()
        orphaned = view(here)
        assert orphaned["state"] == "orphaned"
        assert f"process {process.pid} " in orphaned["reason"]
        assert "vanished" in orphaned["reason"]
        assert diptych(here, "status").returncode == 1
    with running(here):
        until(lambda: view(here)["state"] == "running")


def test_a_killed_process_that_nobody_has_buried_is_gone_all_the_same(here: Path) -> None:
    with running(here) as process:
        until(lambda: view(here)["state"] == "running")
        process.kill()  # nobody waits for it: it stays as a zombie
        until(lambda: view(here)["state"] == "orphaned")


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="only Linux says that one is frozen")
def test_a_frozen_process_is_silent_and_runs_again_when_it_thaws(here: Path) -> None:
    with running(here) as process:
        until(lambda: view(here)["state"] == "running")
        process.send_signal(signal.SIGSTOP)
        until(lambda: view(here)["state"] == "orphaned")
        status = answered(here, "status")["result"]
        assert [one["state"] for one in status["processes"]] == ["silent"]
        assert "says nothing any more" in status["views"][0]["reason"]
        process.send_signal(signal.SIGCONT)
        until(lambda: view(here)["state"] == "running")


def test_a_process_that_has_not_been_heard_for_long_is_silent(here: Path) -> None:
    """Where the system cannot say that it is frozen, the missing sign of life does."""
    with running(here) as process:
        until(lambda: view(here)["state"] == "running")
        process.send_signal(signal.SIGSTOP)
        connection = sqlite3.connect(here / "shop.db")
        connection.execute(
            "UPDATE diptych_processes SET host = 'elsewhere', seen = seen - 60000000"
        )
        connection.commit()
        connection.close()
        assert view(here)["state"] == "orphaned"
        process.send_signal(signal.SIGCONT)


def test_a_view_is_paused_and_resumed(here: Path) -> None:
    order(here, "1")
    with running(here):
        until(lambda: view(here)["state"] == "running")
        words = ("views", "pause", "placed-orders", "--minutes", "5", "--reason", "a migration")
        planned = answered(here, *words, "--dry-run")["result"]
        assert (planned["view"], planned["done"]) == ("placed-orders@1", "would be paused")
        assert view(here)["pause"] is None
        done = answered(here, *words, "--by", "ann")["result"]
        assert (done["done"], done["by"]) == ("paused", "ann")
        until(lambda: view(here)["state"] == "paused")
        order(here, "2")  # another process, which hears of it as it starts
        found = view(here)
        assert (found["state"], found["lag_events"]) == ("paused", 1)
        assert found["pause"]["reason"] == "a migration"
        assert "paused by ann: a migration" in diptych(here, "status").stdout
        assert answered(here, "views", "resume", "placed-orders")["result"]["done"] == "resumed"
        until(lambda: view(here)["position"] == 2)
        until(lambda: view(here)["state"] == "running")
        again = answered(here, "views", "resume", "placed-orders@1")["result"]
        assert again["done"] == "was not paused"
    nothing = diptych(here, "views", "pause", "placed-order", "--reason", "x")
    assert nothing.returncode == 1
    assert "Did you mean 'placed-orders'?" in nothing.stderr


def test_a_view_that_cannot_go_on_says_so_and_fails_the_status(here: Path) -> None:
    order(here, "1")
    file = here / "shop.py"
    broken = file.read_text().replace("times: int\n", "times: int\n    more: int = 0\n")
    broken = broken.replace('key="order")],', 'key="order", version=2)],')
    broken = broken.replace("return PlacedOrders(event.order,", "return 1 / 0 and PlacedOrders(")
    file.write_text(broken.replace("1 / 0 and PlacedOrders( 1", "1 / 0 and PlacedOrders('', 1"))
    with running(here):
        until(lambda: bool(_version(here, 2)["failure"]))
        assert "ZeroDivisionError" in _version(here, 2)["failure"]
        assert _version(here, 2)["state"] == "rebuilding"
        assert diptych(here, "status").returncode == 1
        older = _version(here, 1)
        assert (older["wired"], older["state"]) == (False, "stopped")


def _version(here: Path, version: int) -> dict[str, Any]:
    views = answered(here, "status")["result"]["views"]
    found: dict[str, Any] = next(one for one in views if one["version"] == version)
    return found


ELSEWHERE = """
from sqlalchemy import Column, Integer, MetaData, String, Table, insert

from diptych import Projection

lines = MetaData()
line = Table("lines", lines, Column("id", Integer, primary_key=True), Column("text", String))


def write(event: OrderPlaced):
    yield insert(line).values(text=event.order)


app = App(
    "shop",
    store="sqlite:///shop.db",
    write=[orders],
    read=[
        View(PlacedOrders, project, key="order", store="sqlite:///views.db"),
        Projection("lines", write, tables=lines),
    ],
    answer=[how_many],
)
"""


def test_views_in_other_stores_and_projections_stand_in_the_status(here: Path) -> None:
    file = here / "shop.py"
    file.write_text(file.read_text() + ELSEWHERE)
    order(here, "1", "2")

    def views() -> dict[str, Any]:
        found = answered(here, "status")["result"]["views"]
        return {f"{one['name']}@{one['version']}": one for one in found}

    with running(here):
        until(lambda: [one["position"] for one in views().values()] == [2, 2])
        found = views()
        assert list(found) == ["placed-orders@1", "lines@1"]
        assert {one["state"] for one in found.values()} == {"running"}
        assert found["placed-orders@1"]["store"].endswith("views.db")
        assert found["lines@1"]["kind"] == "projection"
    listed = answered(here, "views", "list")["result"]["views"]
    assert [one["keeps"] for one in listed] == ["PlacedOrders", "lines"]
    assert listed[1]["columns"] == {"lines.id": "INTEGER", "lines.text": "VARCHAR?"}
    assert answered(here, "check", "--accept")["result"]["schema"] == "written"
    assert answered(here, "check")["result"]["findings"] == []


def test_events_are_followed_as_they_come(here: Path) -> None:
    order(here, "1", "2")
    follower = subprocess.Popen(
        [str(PROGRAM), "events", "tail", "--follow", "--json"],
        cwd=here,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert follower.stdout is not None
        first = json.loads(follower.stdout.readline())["result"]
        assert [event["stream"] for event in first["events"]] == ["order:1", "order:2"]
        order(here, "3")
        more = json.loads(follower.stdout.readline())["result"]
        assert [event["stream"] for event in more["events"]] == ["order:3"]
        follower.send_signal(signal.SIGINT)
        assert follower.wait(timeout=30) == 130
    finally:
        follower.kill()
        follower.communicate()


def test_a_reader_that_has_seen_enough_ends_it_quietly(here: Path) -> None:
    order(here, *map(str, range(50)))
    done = subprocess.run(
        f"'{PROGRAM}' events tail --limit 10000 --json | head -c 10",
        shell=True,
        cwd=here,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (len(done.stdout), done.stderr) == (10, "")


def test_watching_shows_it_again_and_again_and_goes_on_while_there_is_no_store(
    here: Path,
) -> None:
    watcher = subprocess.Popen(
        [str(PROGRAM), "status", "--watch", "--interval", "0.1", "--json"],
        cwd=here,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert watcher.stdout is not None
        assert json.loads(watcher.stdout.readline())["error"]["type"] == "StoreUnavailable"
        order(here, "1")
        for line in watcher.stdout:
            if json.loads(line)["result"] is not None:
                break
        watcher.send_signal(signal.SIGINT)
        assert watcher.wait(timeout=30) == 130
    finally:
        watcher.kill()
        watcher.communicate()


HOSTILE = "a\x1b[31m\x07\u202e\x9b2J\u2028b"


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_no_control_character_of_the_data_reaches_the_terminal(here: Path, more: list[str]) -> None:
    order(here, HOSTILE)
    for words in (["events", "tail"], ["--app", HOSTILE, "status"], [HOSTILE]):
        done = diptych(here, *words, *more)
        seen = done.stdout + done.stderr
        assert "31m" in seen
        assert re.findall("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e]", seen) == []


def test_pipes_and_no_color_get_no_colours(here: Path) -> None:
    order(here, "1")
    plain = diptych(here, "status").stdout
    assert "\x1b" not in plain
    forced = diptych(here, "status", FORCE_COLOR="1", TERM="xterm-256color", NO_COLOR="").stdout
    assert "\x1b[32m" in forced or "\x1b[33m" in forced
    silenced = diptych(here, "status", FORCE_COLOR="1", NO_COLOR="1").stdout
    assert not re.search("\x1b\\[[0-9;]*3[0-9]", silenced)


def test_a_terminal_without_unicode_is_served(here: Path) -> None:
    order(here, "ä€")
    done = diptych(here, "events", "tail", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert "order:" in done.stdout


def test_two_contexts_in_one_file_are_told_apart(here: Path) -> None:
    order(here, "1")
    file = here / "bank.py"
    file.write_text((here / "shop.py").read_text().replace('    "shop",', '    "bank",'))
    done = diptych(here, "status", "--app", "bank:app")
    assert done.returncode == 3
    assert "belongs to context 'shop'" in done.stderr
    assert diptych(here, "doctor", "--app", "bank:app").returncode == 1
    assert diptych(here, "run", "--app", "bank:app").returncode == 3


def test_reading_leaves_no_trace(here: Path) -> None:
    order(here, "1")
    (here / "pyproject.toml").touch()

    def files() -> dict[str, bytes]:
        found = sorted(path for path in here.rglob("*") if path.is_file())
        return {str(p): p.read_bytes() for p in found if "__pycache__" not in p.parts}

    before = files()
    for words in (["status"], ["views", "list"], ["events", "tail"], ["doctor"], ["check"]):
        assert diptych(here, *words).returncode == 0
    assert files() == before
