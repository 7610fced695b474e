"""What `diptych prove` tells people, and how it ends."""

from __future__ import annotations

import subprocess
import sys
from io import StringIO

import pytest
from msgspec.structs import replace
from rich.console import Console

from diptych.cli.rendering import render
from diptych.ops.findings import Exit
from diptych.ops.prove.proof import Broken, Proof, Written

PROVED = Proof(
    state="proved",
    server="postgresql://db:5432/shop",
    version="PostgreSQL 18.4",
    schema="diptych_prove_1",
    seconds=60,
    writers=12,
    processes=4,
    readers=3,
    elapsed=60,
    events=4711,
    written=(Written(path="join", accepted=7, refused=1, failed=2, unknown=1),),
    reader_stall=0.25,
    writer_stall=1.5,
    machine_stall=0.01,
    disturbances=("9 connections of writers ended by the server",),
    omitted=("the open transaction in another database: no other one",),
)

REFUTED = replace(
    PROVED,
    state="refuted",
    lost=2,
    out_of_order=1,
    broken=3,
    violations=(Broken(kind="lost", about="reader 0: position 12, account:1 version 3"),),
)


def told(proof: Proof, *, width: int = 120, terminal: bool = False) -> str:
    file = StringIO()
    render(proof, Console(file=file, width=width, force_terminal=terminal, color_system=None))
    return file.getvalue()


@pytest.mark.parametrize("width", [40, 120])
def test_the_verdict_has_its_figures_and_what_was_left_out(width: int) -> None:
    text = told(PROVED, width=width)
    assert text.startswith("proved: 0 lost, 0 doubled, 0 out of order among 4711 events\n")
    assert "a reader stood still for 0.25 s at most" in text
    assert "a writer stood still for 1.50 s at most" in text
    assert "done to it: 9 connections" in text
    assert "left out: the open transaction" in text
    assert "join" in text


def test_a_refuted_one_shows_the_first_events_that_are_wrong() -> None:
    text = told(REFUTED)
    assert text.startswith("refuted: 2 lost, 0 doubled, 1 out of order")
    assert "lost: reader 0: position 12, account:1 version 3\nand 2 more\n" in text


def test_progress_is_for_terminals_only() -> None:
    running = replace(PROVED, state="running", elapsed=7.2)
    assert told(running) == ""
    assert "7 of 60 s, 4711 events" in told(running, terminal=True)


def test_what_would_be_done_is_told() -> None:
    assert "will do: 12 writers in 4 processes" in told(replace(PROVED, state="planned"))


def test_only_a_refuted_one_is_a_finding() -> None:
    assert PROVED.exit is Exit.OK
    assert REFUTED.exit is Exit.FINDINGS


def test_a_missing_driver_is_named_with_the_command_that_installs_it() -> None:
    code = (
        "import sys; sys.modules['asyncpg'] = None\n"
        "from diptych.cli import start; sys.exit(start(['prove', 'postgresql://127.0.0.1:1/x']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 3
    assert "pip install 'diptych[postgres]'" in done.stderr
