"""`python -m scripts.ladder` writes the programs and differences of docs/tutorial/ladder.md.

In the page, a comment names what follows it: `<!-- rung_1.py -->` a whole program,
`<!-- rung_1.py -> rung_2.py -->` what changes from one to the other. The blocks are `py`, not
`python`: the programs are run where they lie, by tests/acceptance/test_ladder.py.
"""

from __future__ import annotations

import re
from difflib import unified_diff
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "tutorial" / "ladder.md"
PROGRAMS = ROOT / "examples" / "ladder"

SHOWN = re.compile(
    r"^<!-- (?P<from>\w+\.py)(?: -> (?P<to>\w+\.py))? -->\n\n```\w+\n(?:.*?\n)??```$",
    re.MULTILINE | re.DOTALL,
)


def main() -> None:
    PAGE.write_text(refreshed(PAGE.read_text()))
    print(f"wrote {PAGE.relative_to(ROOT)}")


def refreshed(page: str) -> str:
    """The page with its programs and differences as the files are now."""
    return SHOWN.sub(_block, page)


def _block(found: re.Match[str]) -> str:
    before, after = found["from"], found["to"]
    if after is None:
        return f"<!-- {before} -->\n\n```py\n{text(before)}```"
    return f"<!-- {before} -> {after} -->\n\n```diff\n{difference(before, after)}```"


def text(name: str) -> str:
    return (PROGRAMS / name).read_text()


def difference(before: str, after: str) -> str:
    """What changes from one program to another, but for the sentence that each begins with."""
    old, new = (text(name).splitlines(keepends=True)[1:] for name in (before, after))
    lines = list(unified_diff(old, new, n=2))[2:]
    return "".join("@@\n" if line.startswith("@@ ") else line for line in lines)


if __name__ == "__main__":
    main()
