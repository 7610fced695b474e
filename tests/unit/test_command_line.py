"""The program: what it says, where it says it, and how it ends."""

from __future__ import annotations

import asyncio
import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from diptych.cli import start
from diptych.ops.verbs import VERBS
from tests.unit.shops import shop

SCHEMA = Path(__file__).parents[2] / "docs" / "reference" / "cli-envelope.schema.json"
NUMBERS = count()


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A shop in the current directory, under a module name that was never imported."""
    name = f"shop_{next(NUMBERS)}"
    shop(tmp_path, module=name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield name
    sys.modules.pop(name, None)


def envelopes(text: str) -> list[dict[str, Any]]:
    """What was answered, held to the published schema."""
    validator = Draft202012Validator(json.loads(SCHEMA.read_text()))
    found = [json.loads(line) for line in text.splitlines()]
    for one in found:
        validator.validate(one)
    return found


def test_the_schema_refuses_what_is_no_envelope() -> None:
    validator = Draft202012Validator(json.loads(SCHEMA.read_text()))
    assert not validator.is_valid({"verb": "status"})
    assert not validator.is_valid({**_envelope("status"), "more": 1})
    assert not validator.is_valid(_envelope("stat"))
    assert validator.is_valid(_envelope("status"))


def _envelope(verb: str) -> dict[str, Any]:
    return {
        "verb": verb,
        "app": None,
        "time": "2026-07-01T12:00:00Z",
        "exit": 3,
        "result": None,
        "error": {"type": "StoreUnavailable", "message": "no"},
        "diptych": 1,
    }


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["status", "--help"], ["events"]])
def test_help_is_no_error(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert start(words) == 0
    assert capsys.readouterr().out.startswith("Usage: diptych ")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["statsu"], "there is no command 'statsu'. Did you mean 'status'?"),
        (["views", "lits"], "Did you mean 'views list'?"),
        (["tail"], "Did you mean 'events tail'?"),
        (["qqq"], "there is no command 'qqq'. See diptych --help."),
        (["--nothing"], "there is no option '--nothing' by itself"),
        (["events", "tail", "--limt", "3"], "Did you mean --limit?"),
        (["events", "tail", "--limit", "many"], "--limit"),
        (["events", "tail", "--limit", "0"], "--limit: Expected `int` >= 1"),
        (["events", "tail", "--after", "-1"], "--after"),
        (["status", "--interval", "0"], "--interval"),
        (["status", "extra"], "'extra' is too much"),
        (["run", "--role", "relay"], "come later"),
        (["--completion", "tcsh"], "no completion for 'tcsh'"),
    ],
)
def test_a_command_line_that_makes_no_sense_is_told_why(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert start(words) == 2
    told = capsys.readouterr()
    assert said in told.err
    assert told.out == ""


def test_programs_are_told_in_json_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert start(["statsu", "--json"]) == 2
    (envelope,) = envelopes(capsys.readouterr().out)
    assert (envelope["verb"], envelope["exit"], envelope["error"]["type"]) == (None, 2, "Usage")


def test_options_of_every_command_may_stand_before_it(
    module: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert start(["--json", "--app", f"{module}:app", "run", "--dry-run"]) == 0
    (envelope,) = envelopes(capsys.readouterr().out)
    assert (envelope["app"], envelope["result"]["state"]) == (f"{module}:app", "planned")


@pytest.mark.parametrize("verb", [verb.name for verb in VERBS])
def test_every_command_answers_in_the_published_form(
    verb: str, module: str, capsys: pytest.CaptureFixture[str]
) -> None:
    more = {
        "run": ["--dry-run"],
        "views pause": ["placed-orders", "--reason", "trying"],
        "views resume": ["placed-orders"],
        "prove": ["postgresql://127.0.0.1:1/none"],
    }.get(verb, [])
    status = start([*verb.split(), *more, "--json"])
    (envelope,) = envelopes(capsys.readouterr().out)
    assert envelope["verb"] == verb
    assert envelope["app"] == f"{module}:app"
    assert envelope["exit"] == status
    assert (envelope["result"] is None) != (envelope["error"] is None)


@pytest.mark.parametrize(
    "verb",
    [
        "status",
        "views list",
        "events tail",
        "views pause placed-orders --reason x",
        "views resume placed-orders",
        "views resume placed-orders --dry-run",
    ],
)
def test_a_missing_store_is_told_as_such_and_not_made(
    verb: str, module: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert start(verb.split()) == 3
    assert f"{tmp_path}/shop.db: there is no such file" in capsys.readouterr().err
    assert not (tmp_path / "shop.db").exists()


def test_a_store_in_memory_is_unknown_from_outside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, url in enumerate(("memory://", "sqlite://")):
        name = f"memory_shop_{number}"
        shop(tmp_path, module=name, store=url)
        monkeypatch.chdir(tmp_path)
        monkeypatch.syspath_prepend(tmp_path)
        assert start(["status", "--json"]) == 3
        (envelope,) = envelopes(capsys.readouterr().out)
        assert [view["state"] for view in envelope["result"]["views"]] == ["unknown"]
        assert start(["events", "tail"]) == 3


def test_no_app_at_all_is_told_with_both_remedies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert start(["status"]) == 2
    told = capsys.readouterr().err
    assert "[tool.diptych]" in told
    assert "--app" in told


async def _order(module: str) -> None:
    code = importlib.import_module(module)
    async with code.app as app:
        await app.execute(code.PlaceOrder("1"))
        await app.settled()


@pytest.mark.parametrize("columns", [20, 40, 70, 100, 200])
def test_every_width_shows_everything(
    columns: int,
    module: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    asyncio.run(_order(module))
    monkeypatch.setenv("COLUMNS", str(columns))
    seen: dict[str, str] = {}
    for words in (["status"], ["views", "list"], ["doctor"], ["check"], ["events", "tail"]):
        assert start(words) == 0
        seen[" ".join(words)] = "".join(capsys.readouterr().out.split())
    assert "placed-orders@1" in seen["status"]
    assert "nothing" in seen["status"]
    assert "order-placed" in seen["views list"]
    assert '{"order":"1"}' in seen["events tail"]


def test_an_unforeseen_error_is_a_bug_with_its_traceback(
    module: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def broken(*_: object) -> object:
        raise LookupError("nobody foresaw this")

    monkeypatch.setattr("diptych.ops.status.status", broken)
    assert start(["status", "--json"]) == 70
    told = capsys.readouterr()
    assert envelopes(told.out)[0]["error"]["type"] == "LookupError"
    assert "Traceback" in told.err


def test_completion_knows_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    for shell in ("bash", "zsh", "fish"):
        assert start(["--completion", shell]) == 0
        script = capsys.readouterr().out
        words = {word for verb in VERBS for word in verb.name.split()}
        assert [word for word in words if word not in script] == []


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert start(["--version"]) == 0
    assert capsys.readouterr().out.startswith("0.")


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )


def test_a_missing_extra_is_named_with_the_command_that_installs_it() -> None:
    for missing in ("cyclopts", "rich"):
        done = python(
            f"import sys; sys.modules[{missing!r}] = None\n"
            "from diptych.cli import start; sys.exit(start(['status']))"
        )
        assert done.returncode == 2
        assert done.stderr.endswith("Install it: pip install 'diptych[cli]'\n")


def test_help_needs_no_extra_and_loads_nothing_heavy() -> None:
    done = python(
        "import sys; sys.modules['cyclopts'] = sys.modules['rich'] = None\n"
        "from diptych.cli import start; status = start(['--help'])\n"
        "heavy = {'asyncio', 'sqlalchemy', 'sqlite3', 'diptych.app', 'diptych.wiring'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr); sys.exit(status)"
    )
    assert (done.returncode, done.stderr) == (0, "[]\n")
    assert "events tail" in done.stdout
