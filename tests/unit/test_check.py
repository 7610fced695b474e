"""What `check` says of an app, without starting it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from sqlalchemy import select

from diptych import App, Decider, EventSourced, Query, View, Views, WiringError
from diptych.ops.check import Check, check
from diptych.ops.naming import data_centric
from diptych.ops.reading import unread
from diptych.ops.target import Target
from tests.unit.shops import shop


@dataclass(frozen=True)
class Put:
    pot: str


@dataclass(frozen=True)
class PutIn:
    pot: str


@dataclass(frozen=True)
class Told:
    pot: str


@dataclass(frozen=True)
class Foreign:
    pot: str


def decide(command: Put, state: int) -> list[PutIn | Told]:
    return [PutIn(command.pot)]


def evolve(state: int, event: PutIn | Told) -> int:
    return state + 1


@dataclass(frozen=True)
class Row:
    pot: str


@dataclass(frozen=True)
class Other:
    pot: str


def row(before: Row | None, event: PutIn) -> Row:
    return Row(event.pot)


def other(before: Other | None, event: PutIn | Foreign) -> Other:
    return Other(event.pot)


@dataclass(frozen=True)
class Asked(Query[int]):
    pass


@dataclass(frozen=True)
class Unasked(Query[int]):
    pass


class Base(Query[int]):
    """Answered through those below it."""


@dataclass(frozen=True)
class Below(Base):
    pass


def _deeper(views: Views) -> Any:
    return select(views.table(Row))


async def by_helper(query: Asked, views: Views) -> int:
    return len(await views.all(Row, _deeper(views)))


async def by_lambda(query: Asked, views: Views) -> int:
    table: Callable[[], Any] = lambda: views.table(Row)  # noqa: E731
    return len(await views.all(Row, select(table())))


async def by_text(query: Asked, views: Views) -> int:
    from sqlalchemy import text

    return await views.scalar(int, text("SELECT count(*) FROM view_row_1"))  # type: ignore[arg-type]


async def by_nothing(query: Asked | Below, views: Views) -> int:
    return 0


pots = EventSourced("pot", Decider(0, decide, evolve), key="pot")


def codes(app: App) -> set[tuple[str, str]]:
    return {(one.code, one.subject) for one in unread(app.wiring)}


def pot_app(**more: Any) -> App:
    return App("pots", write=[pots], **more)


def test_events_that_no_view_takes_are_unread() -> None:
    assert codes(pot_app()) >= {("unread-event", "PutIn"), ("unread-event", "Told")}
    assert ("unread-event", "PutIn") not in codes(pot_app(read=[View(Row, row, key="pot")]))


def test_events_that_no_model_writes_are_told() -> None:
    app = pot_app(read=[View(Other, other, key="pot")])
    assert ("unwritten-event", "Foreign") in codes(app)


@pytest.mark.parametrize("answer", [by_helper, by_lambda, by_text])
def test_a_view_is_read_if_an_answerer_names_it_in_its_own_code_or_what_it_calls(
    answer: Any,
) -> None:
    views = [View(Row, row, key="pot"), View(Other, other, key="pot")]
    found = codes(pot_app(read=views, answer=[answer]))
    assert ("unread-view", "Other") in found
    assert ("unread-view", "Row") not in found


def test_queries_in_the_apps_own_modules_that_nobody_answers_are_told() -> None:
    found = codes(pot_app(answer=[by_nothing]))
    assert {subject for code, subject in found if code == "unanswered-query"} == {"Unasked"}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("SetStatus", "ConfirmOrder"),
        ("UpdateCustomerAddress", "MoveToAddress"),
        ("ChangePrice", "RaisePrice"),
        ("DeleteOrder", "CloseOrder"),
        ("SaveDraft", "ApproveDraft"),
    ],
)
def test_a_command_named_after_data_is_told_what_else_it_could_say(name: str, said: str) -> None:
    finding = data_centric(type(name, (), {}))
    assert finding is not None
    assert said in finding.remedy


@pytest.mark.parametrize(
    "name", ["ConfirmOrder", "SettleInvoice", "Settle", "Set", "OffsetStock", "Updates", "PutIn"]
)
def test_a_command_named_after_a_task_is_left_alone(name: str) -> None:
    assert data_centric(type(name, (), {})) is None


def checked(directory: Path, **changes: bool) -> Check:
    asked = {"accept": False, "strict": False, "dry_run": False} | changes
    return asyncio.run(check(Target(None, directory), **asked))


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(sys, "path", [*sys.path])
    name = f"checked_{tmp_path.name.replace('-', '_')}"
    shop(tmp_path, module=name)
    return name


def test_a_good_app_lacks_nothing_but_its_schema_file(module: str, tmp_path: Path) -> None:
    found = checked(tmp_path)
    assert [one.code for one in found.findings] == ["schema-file-missing"]
    assert (found.schema, found.exit) == ("missing", 0)
    assert checked(tmp_path, strict=True).exit == 4


def test_accepting_writes_the_file_and_then_nothing_is_found(module: str, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    assert checked(tmp_path, accept=True, dry_run=True).schema == "to be written"
    assert sorted(path for path in tmp_path.iterdir() if path.name != "__pycache__") == before
    assert checked(tmp_path, accept=True).schema == "written"
    written = (tmp_path / "diptych.schema.json").read_bytes()
    found = checked(tmp_path, strict=True)
    assert (found.schema, found.findings, found.exit) == ("same", (), 0)
    assert checked(tmp_path, accept=True).schema == "same"
    assert (tmp_path / "diptych.schema.json").read_bytes() == written


def test_a_changed_event_fails_until_it_is_accepted(module: str, tmp_path: Path) -> None:
    checked(tmp_path, accept=True)
    file = tmp_path / "diptych.schema.json"
    file.write_text(file.read_text().replace('"order": "str"', '"order": "int"'))
    found = checked(tmp_path)
    assert (found.schema, found.exit) == ("differs", 1)
    assert {one.code for one in found.findings} == {
        "command-changed",
        "event-changed",
        "view-changed",
    }
    accepted = checked(tmp_path, accept=True)
    assert {one.severity for one in accepted.findings} == {"note"}
    assert accepted.exit == 0
    assert checked(tmp_path).exit == 0


def test_an_app_that_does_not_fit_together_is_a_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(name: str) -> ModuleType:
        raise WiringError("two models are named 'order'. Give each a name of its own.")

    monkeypatch.setattr("diptych.ops.target.import_module", broken)
    target = Target("anything:app", tmp_path)
    found = asyncio.run(check(target, accept=False, strict=False, dry_run=False))
    assert [(one.code, one.severity) for one in found.findings] == [("wiring", "error")]
    assert found.exit == 1


def test_a_broken_schema_file_is_a_finding_and_stays_as_it_is(module: str, tmp_path: Path) -> None:
    file = tmp_path / "diptych.schema.json"
    file.write_text("{}")
    for accept in (False, True):
        found = checked(tmp_path, accept=accept)
        assert [(one.code, found.schema) for one in found.findings] == [("schema-file", "unread")]
    assert file.read_text() == "{}"
