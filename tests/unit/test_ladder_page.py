"""What the ladder's page shows is what the programs are."""

from __future__ import annotations

from itertools import pairwise

from scripts import ladder

PAGE = ladder.PAGE.read_text()


def test_the_page_shows_the_programs_as_they_are() -> None:
    assert ladder.refreshed(PAGE) == PAGE, (
        "docs/tutorial/ladder.md is behind examples/ladder. Refresh it: just ladder "
        "(or: uv run python -m scripts.ladder)."
    )


def test_the_page_shows_every_step() -> None:
    rungs = sorted(path.name for path in ladder.PROGRAMS.glob("rung_*.py"))
    assert len(rungs) == 7
    shown = [(found["from"], found["to"]) for found in ladder.SHOWN.finditer(PAGE)]
    assert shown == [(rungs[0], None), *pairwise(rungs), ("carry_over.py", None)]


def test_a_program_that_changed_is_noticed() -> None:
    behind = PAGE.replace('key="title", inline=True', 'key="title"')
    assert behind != PAGE
    assert ladder.refreshed(behind) == PAGE


def changed(before: str, after: str) -> list[str]:
    lines = ladder.difference(before, after).splitlines()
    return [line for line in lines if line[0] in "+-"]


def test_views_move_by_a_line() -> None:
    by_itself = changed("rung_3.py", "rung_4.py")
    assert by_itself[:2] == [
        '-by_title = View(Title, [one_more, one_lent, one_back], key="title", inline=True)',
        '+by_title = View(Title, [one_more, one_lent, one_back], key="title")',
    ]
    assert [line for line in by_itself[2:] if line[0] == "+"] == [
        '+        lent = await app.execute(LendCopy("c1", "ann"), id="lend-c1")',
        "+        print(await app.ask(Titles(), after=lent))",
    ]
    assert len(changed("rung_4.py", "rung_5.py")) == 2
