"""An operator's day on PostgreSQL, with the real program; and no answer shows the password."""

from __future__ import annotations

import json
import signal
from functools import partial
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import pytest

from diptych.cli.options import options_of
from diptych.ops.verbs import VERBS, AnyVerb
from tests.acceptance.test_operating import answered, diptych, order, until, view
from tests.acceptance.test_operating import running as running_on
from tests.unit.shops import shop

SECRET = "hush-hush/9"

running = partial(running_on, store=r"postgresql://127\.0\.0\.1:\d+/\w+")


@pytest.fixture
def here(tmp_path: Path, postgres: str) -> Path:
    """A directory with an app, whose store is a database."""
    return shop(tmp_path, module="shop", store=postgres)


def test_a_day_in_the_life_of_an_app(here: Path, postgres: str) -> None:
    assert diptych(here, "status").returncode == 3
    assert answered(here, "migrate")["result"]["done"] == "migrated"
    assert view(here)["state"] == "stopped"
    with running(here) as process:
        until(lambda: view(here)["state"] == "running")
        order(here, "1", "2", "3")
        until(lambda: view(here)["position"] == 3)
        status = answered(here, "status")["result"]
        assert (status["context"], status["head"]) == ("shop", 3)
        assert status["size"] > 0
        assert process.pid in [one["pid"] for one in status["processes"]]
        paused = answered(here, "views", "pause", "placed-orders", "--reason", "a migration")
        assert paused["result"]["done"] == "paused"
        until(lambda: view(here)["state"] == "paused")
        assert answered(here, "views", "resume", "placed-orders")["result"]["done"] == "resumed"
        until(lambda: view(here)["state"] == "running")
        assert [one["name"] for one in answered(here, "views", "list")["result"]["views"]] == [
            "placed-orders"
        ]
        tail = answered(here, "events", "tail", "--limit", "2")["result"]["events"]
        assert [event["stream"] for event in tail] == ["order:2", "order:3"]
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
        assert (process.returncode, out, err) == (0, "shop has stopped\n", "")
    assert view(here)["state"] == "stopped"


def test_a_killed_process_orphans_its_views_until_another_runs_them(here: Path) -> None:
    with running(here) as process:
        until(lambda: view(here)["state"] == "running")
        process.kill()
        process.wait()
        orphaned = view(here)
        assert orphaned["state"] == "orphaned"
        assert "vanished" in orphaned["reason"]
    with running(here):
        until(lambda: view(here)["state"] == "running")


def test_the_sql_goes_into_a_pipe_and_nothing_else(here: Path) -> None:
    told = diptych(here, "migrate", "--sql").stdout
    assert told.startswith("BEGIN;\n")
    assert told.endswith("COMMIT;\n")
    assert told == json.loads(diptych(here, "migrate", "--sql", "--json").stdout)["result"]["sql"]
    assert diptych(here, "migrate", "--sql", "--since", "0").stdout == told


def test_the_doctor_finds_what_the_server_of_the_tests_lacks(here: Path) -> None:
    diptych(here, "migrate")
    done = answered(here, "doctor")
    found = {one["code"]: one["severity"] for one in done["result"]["findings"]}
    assert found["durability"] == "error"  # it is fast because a crash may damage it
    assert (found["server"], found["isolation"], found["store"]) == ("ok", "ok", "ok")
    assert "wal" not in found
    assert "sqlite" not in found


def words(verb: AnyVerb) -> list[str]:
    found = verb.name.split()
    for option in options_of(verb):
        if option.required:
            value = "placed-orders" if option.name == "view" else "x"
            found += [value] if option.positional else [option.flag, value]
    return found


APP_VERBS = [verb for verb in VERBS if verb.name != "prove"]


@pytest.mark.parametrize("verb", APP_VERBS, ids=lambda verb: verb.name)
@pytest.mark.parametrize("password", ["right", "wrong", "malformed"])
def test_no_answer_shows_the_password(
    here: Path, tmp_path: Path, postgres: str, verb: AnyVerb, password: str
) -> None:
    split = urlsplit(postgres)
    secret = split.password if password == "right" else SECRET
    assert secret
    written = quote(secret, safe="") if password != "malformed" else secret
    netloc = f"{split.username}:{written}@{split.hostname}:{split.port}"
    shop(tmp_path, module="shop", store=urlunsplit(split._replace(netloc=netloc)))
    for more in ([], ["--json"]):
        asked = [*words(verb), *more, *(["--dry-run"] if verb.name == "run" else [])]
        done = diptych(here, *asked)
        assert done.stdout + done.stderr
        for shown in (secret, written):
            assert shown not in done.stdout
            assert shown not in done.stderr
        assert "Traceback" not in done.stderr
