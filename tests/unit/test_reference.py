"""The reference is what the docstrings say, and the docstrings speak of what is there."""

from __future__ import annotations

import ast
import re

import pytest

from scripts import reference

SECTIONS = re.split(r"^#{3,4} ", reference.page(), flags=re.MULTILINE)[1:]


def test_the_page_is_what_the_docstrings_say() -> None:
    assert reference.PAGE.read_text() == reference.page(), (
        "docs/reference/api.md is behind the docstrings. Refresh it: just reference "
        "(or: uv run python -m scripts.reference)."
    )


@pytest.mark.parametrize("package", reference.PACKAGES)
def test_every_public_name_is_described(package: str) -> None:
    for name in reference.names_of(package):
        (section,) = [one for one in SECTIONS if one.startswith(f"{name}\n")]
        assert re.sub(r"```python.*?```", "", section, flags=re.DOTALL).split("\n", 1)[1].strip()


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.split("\n", 1)[0])
def test_what_a_docstring_says_of_a_parameter_is_in_the_signature(section: str) -> None:
    shown = section.split("```python\n", 1)[1].split("```")[0]
    for line in section.partition("Takes:\n\n")[2].split("\n\n")[0].splitlines():
        for name in re.findall(r"`(\w+)`", line.split(": ", 1)[0]):
            assert re.search(rf"\b{name}\b[:=]", shown), f"{name} is not in\n{shown}"


def test_a_signature_reads_as_it_is_written() -> None:
    module = ast.parse(
        "def f(a, /, b: str = 'x', *rest: int, c: int, d=1, **more: str) -> None: ..."
    )
    (function,) = module.body
    assert isinstance(function, ast.FunctionDef)
    assert reference.code(reference.signature(function)) == (
        '```python\ndef f(a, /, b: str = "x", *rest: int, c: int, d=1, **more: str) -> None\n```\n'
    )


def test_the_glossary_is_in_order_and_says_each_word_once() -> None:
    page = (reference.PAGE.parent / "glossary.md").read_text()
    words = re.findall(r"^\| ([^|]+) \|", page, flags=re.MULTILINE)[1:]
    assert len(words) > 50
    assert words == sorted(words, key=str.lower)
    assert len(words) == len(set(words))
