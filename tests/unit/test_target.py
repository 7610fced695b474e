"""How the app is found, and what a stranger is told where it is not."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from diptych.errors import AppNotFound, WiringError
from diptych.ops.target import Target
from tests.unit.shops import shop

NUMBERS = count()


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A name that was never imported."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    name = f"target_{next(NUMBERS)}"
    yield name
    sys.modules.pop(name, None)


def test_the_nearest_project_upwards_names_the_app(tmp_path: Path, module: str) -> None:
    shop(tmp_path, module=module)
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    (tmp_path / "a" / "pyproject.toml").write_text("[tool.other]\nx = 1\n")
    target = Target(None, below)
    assert target.root == tmp_path
    assert target.app.name == "shop"
    assert target.app is target.app


def test_a_name_by_hand_goes_before_the_project(tmp_path: Path, module: str) -> None:
    shop(tmp_path, module=module)
    (tmp_path / "pyproject.toml").write_text('[tool.diptych]\napp = "other:app"\n')
    assert Target(f"{module}:app", tmp_path).app.name == "shop"


def test_what_a_module_prints_does_not_stand_among_the_results(
    tmp_path: Path, module: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shop(tmp_path, module=module)
    file = tmp_path / f"{module}.py"
    file.write_text(f"print('hello')\n{file.read_text()}")
    assert Target(None, tmp_path).app.name == "shop"
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "hello\n")


@pytest.mark.parametrize(
    ("project", "said"),
    [
        (None, "no app is named"),
        ("[tool.diptych]\n", "names no app"),
        ("[tool.diptych]\napp = 3\n", "3 names no app"),
        ('[tool.diptych]\napp = "shop"\n', "'shop' names no app"),
        ('[tool.diptych]\napp = "shop:"\n', "'shop:' names no app"),
        ('[tool.diptych]\napp = "../shop:app"\n', "names no app"),
        ("[tool.diptych\n", "is no TOML"),
    ],
)
def test_a_project_that_names_no_app_is_told_how(
    tmp_path: Path, project: str | None, said: str
) -> None:
    if project is not None:
        (tmp_path / "pyproject.toml").write_text(project)
    with pytest.raises(AppNotFound, match=said) as caught:
        _ = Target(None, tmp_path).app
    assert "module:attribute" in str(caught.value)


@pytest.mark.parametrize(
    ("source", "attribute", "said"),
    [
        (None, "app", "there is no module"),
        ("import nowhere_at_all", "app", "imports 'nowhere_at_all', which is not there"),
        ("1 / 0", "app", r"raised ZeroDivisionError.*line 1"),
        ("def broken(", "app", r"raised SyntaxError.*line 1"),
        ("raise SystemExit(3)", "app", "ends the program"),
        ("x = 1", "app", "has no 'app'"),
        ("x = 1", "x", "is of type int, not an App"),
        ("def app(): ...", "app", "is a function, not an App"),
        ("class app: ...", "app", "is a class, not an App"),
        ("from diptych import App\nshop = App('shop')", "app", "It has shop: write"),
        ("from diptych import App\ndef make(): return App('s')", "make", "app = create_app"),
    ],
)
def test_an_app_that_cannot_be_had_is_told_with_its_reason(
    tmp_path: Path, module: str, source: str | None, attribute: str, said: str
) -> None:
    if source is not None:
        (tmp_path / f"{module}.py").write_text(source)
    with pytest.raises(AppNotFound, match=f"(?s){said}"):
        _ = Target(f"{module}:{attribute}", tmp_path).app


def test_a_module_of_nearly_that_name_is_suggested(tmp_path: Path, module: str) -> None:
    shop(tmp_path, module=module)
    with pytest.raises(AppNotFound, match=f"Did you mean '{module}'"):
        _ = Target(f"{module}s:app", tmp_path).app


def test_an_app_inside_something_is_found(tmp_path: Path, module: str) -> None:
    shop(tmp_path, module=module)
    file = tmp_path / f"{module}.py"
    file.write_text(f"{file.read_text()}\nclass parts:\n    inner = app\n")
    assert Target(f"{module}:parts.inner", tmp_path).app.name == "shop"


def test_what_does_not_fit_together_stays_a_wiring_error(tmp_path: Path, module: str) -> None:
    (tmp_path / f"{module}.py").write_text("from diptych import App\napp = App('x', store='no')\n")
    with pytest.raises(WiringError):
        _ = Target(f"{module}:app", tmp_path).app
