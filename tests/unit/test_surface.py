"""The public names are few, sorted, written down, and each is really there."""

import inspect
import re
from pathlib import Path

import diptych
import diptych.blocking
import diptych.testing
from diptych import errors

DOCS = Path(__file__).resolve().parents[2] / "docs" / "reference"


def rows(page: str, heading: str | None = None) -> list[str]:
    """The names in the first column of a page's tables, in the order of the page."""
    text = (DOCS / page).read_text()
    if heading is not None:
        text = text.split(f"## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"^\| `(\w+)`", text, re.MULTILINE)


def test_all_is_sorted_and_short() -> None:
    assert list(diptych.__all__) == sorted(diptych.__all__)
    assert len(set(diptych.__all__)) == len(diptych.__all__) <= 40


def test_every_name_in_all_exists() -> None:
    missing = [name for name in diptych.__all__ if not hasattr(diptych, name)]
    assert missing == []


def test_the_surface_page_lists_exactly_what_is_exported() -> None:
    assert rows("surface.md", "diptych") == list(diptych.__all__)


def test_the_surface_page_lists_exactly_what_the_test_kit_exports() -> None:
    assert rows("surface.md", "diptych.testing") == list(diptych.testing.__all__)


def test_the_surface_page_lists_exactly_what_the_blocking_module_exports() -> None:
    assert rows("surface.md", "diptych.blocking") == list(diptych.blocking.__all__)


def errors_defined() -> dict[str, type[Exception]]:
    return {
        name: value
        for name, value in vars(errors).items()
        if inspect.isclass(value)
        and issubclass(value, Exception)
        and value.__module__ == errors.__name__
        and not name.startswith("_")
    }


def test_the_errors_page_has_a_remedy_for_every_error() -> None:
    assert sorted(rows("errors.md")) == sorted(errors_defined())


def drawn(text: str) -> dict[str, str]:
    """The parent of each name in a tree that is drawn with ├── and └──."""
    parents: dict[str, str] = {}
    branch: list[tuple[int, str]] = []
    for line in text.splitlines():
        found = re.match(r"^([ │├└─]*)([A-Z]\w+)(?: {2,}|$)", line)
        if not found:
            continue
        depth, name = len(found[1]), found[2]
        while branch and branch[-1][0] >= depth:
            branch.pop()
        if branch:
            parents[name] = branch[-1][1]
        branch.append((depth, name))
    return parents


def real_parents() -> dict[str, str]:
    known = errors_defined()
    pairs = [(name, error.__mro__[1].__name__) for name, error in known.items()]
    return {name: parent for name, parent in pairs if parent in known}


def test_the_tree_in_the_module_is_drawn_as_it_is() -> None:
    assert drawn(str(errors.__doc__)) == real_parents()


def test_the_tree_on_the_errors_page_is_drawn_as_it_is() -> None:
    page = (DOCS / "errors.md").read_text()
    assert drawn(page.split("```text\n")[1].split("```")[0]) == real_parents()


def test_every_test_that_the_guarantees_name_exists() -> None:
    root = DOCS.parents[1]
    page = (root / "docs" / "explanation" / "guarantees.md").read_text()
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page)
    missing = [
        f"{path}::{name}"
        for path, name in named
        if not (root / path).exists()
        or not re.search(rf"\bdef {name}\(|^{name} = ", (root / path).read_text(), re.MULTILINE)
    ]
    assert len(named) > 30
    assert missing == []
