"""What the README shows is what the repository holds, and it runs when it is pasted."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
CINEMA = ROOT / "examples" / "cinema"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def programs() -> dict[str, str]:
    """The quick start's blocks by the file name that each is announced with."""
    shown = re.findall(
        r"^`(\w+\.py)`[^\n]*\n\n```python\n(.*?)^```$", README, re.DOTALL | re.MULTILINE
    )
    return dict(shown)


def test_there_are_exactly_two_set_up_commands() -> None:
    commands = [line for block in blocks("sh") for line in block.splitlines() if line.strip()]
    assert commands == ["pip install -q uv && uv run reservation demo", "uv run pytest"]


def test_every_python_block_is_a_program_with_a_file_name() -> None:
    assert list(programs()) == ["showing.py", "free_seats.py"]
    assert len(blocks("python")) == len(programs())


@pytest.mark.parametrize("name", ["showing.py", "free_seats.py"])
def test_the_quick_start_is_the_example_word_for_word(name: str) -> None:
    assert programs()[name] == (CINEMA / name).read_text()


def test_the_quick_start_runs_when_pasted_into_an_empty_folder(tmp_path: Path) -> None:
    said = ""
    for name, text in programs().items():
        (tmp_path / name).write_text(text)
        done = subprocess.run(
            [sys.executable, "-W", "error", name],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )
        assert done.returncode == 0, done.stderr
        said += done.stdout
    expected = blocks("text")[0].splitlines()
    assert said.splitlines()[:2] == expected[:2]


def test_every_link_into_the_repository_leads_somewhere() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    for page in pages:
        prose = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", prose):
            if "://" in target or target.startswith("mailto:"):
                continue
            assert (page.parent / target).exists(), f"{page.relative_to(ROOT)}: {target}"


def test_no_figure_of_the_benchmarks_is_copied_into_the_readme() -> None:
    assert not re.search(r"\d+[\d,.]*\s*(/s|per second|commands/s|events/s)", README)
