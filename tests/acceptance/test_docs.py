"""Every Python block in the documentation is run: a page's blocks, in order, are one program.

A block whose first line is a comment with a file name (`# shop.py`) goes into that file instead;
files named `test_….py` are run by pytest, after the page's program. What a tutorial shows as text
is what its program says, in both runs.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    page
    for folder in ("tutorial", "how-to", "explanation")
    for page in (ROOT / "docs" / folder).glob("*.md")
)

BLOCK = re.compile(r"^```python[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TEXT = re.compile(r"^```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# (\w+\.py)\n")

PROGRAM = "program.py"


def files_of(page: Path) -> dict[str, str]:
    """What a reader has after pasting the blocks of a page, by file."""
    files: dict[str, str] = {}
    for block in BLOCK.findall(page.read_text()):
        named = FILE.match(block)
        name = named[1] if named else PROGRAM
        files[name] = f"{files[name]}\n\n{block}" if name in files else block
    return files


def said_on(page: Path) -> str:
    """What a tutorial shows as the words of its program; empty where it shows none."""
    return "".join(TEXT.findall(page.read_text())) if page.parent.name == "tutorial" else ""


def run(folder: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=90,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(folder)},
    )
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}/{page.name}")
def test_the_blocks_of_a_page_run(page: Path, tmp_path: Path) -> None:
    files = files_of(page)
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    if PROGRAM in files:
        first = run(tmp_path, PROGRAM)
        again = run(tmp_path, PROGRAM)  # a program may be run again over its own store
        if shown := said_on(page):
            assert (first, again) == (shown, shown)
    tests = sorted(name for name in files if name.startswith("test_"))
    if tests:
        quiet = ("-q", "-p", "no:cacheprovider", "-o", "asyncio_mode=auto")
        quiet += ("-o", "asyncio_default_fixture_loop_scope=function")
        run(tmp_path, "-m", "pytest", *quiet, *tests)


def test_pages_with_programs_are_found() -> None:
    assert any(PROGRAM in files_of(page) for page in PAGES)


def anchors_of(page: Path) -> set[str]:
    """The headings of a page as links name them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_link_to_a_heading_leads_to_one() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    found = 0
    for page in pages:
        for target, anchor in re.findall(r"\]\(([^)#\s]*)#([^)]+)\)", page.read_text()):
            if "://" not in target:
                found += 1
                to = page.parent / target if target else page
                assert anchor in anchors_of(to), f"{page.relative_to(ROOT)}: {target}#{anchor}"
    assert found > 5
