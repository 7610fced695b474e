"""The verb table, and what is made from it."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from msgspec import Struct

from diptych.cli.help import EXITS, text
from diptych.cli.options import Common, Watching, options_of
from diptych.cli.parsing import Unclear, build, names, parse
from diptych.ops.envelope import schema_text
from diptych.ops.findings import Exit
from diptych.ops.verbs import VERBS, AnyVerb, Risk, verb
from scripts.cli_reference import page

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
GOLDEN = Path(__file__).parent / "golden" / "help.txt"

each_verb = pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)


def test_the_commands_are_exactly_the_verbs() -> None:
    assert names(build()) == {verb.name for verb in VERBS}


def test_names_are_unique_and_found() -> None:
    assert len({verb.name for verb in VERBS}) == len(VERBS)
    assert all(verb(one.name) is one for one in VERBS)


@each_verb
def test_a_command_is_complete_with_what_it_cannot_do_without(verb: AnyVerb) -> None:
    needed = [option for option in options_of(verb) if option.required]
    words = verb.name.split()
    for option in needed:
        words += ["x"] if option.positional else [option.flag, "x"]
    found = parse(words)
    assert found.arguments == verb.arguments(**{option.name: "x" for option in needed})
    for count in range(len(verb.name.split()), len(words)):
        with pytest.raises(Unclear, match="requires an argument"):
            parse(words[:count])


@each_verb
def test_what_changes_something_can_be_tried_dry_and_nothing_else(verb: AnyVerb) -> None:
    fields = verb.arguments.__struct_fields__
    assert ("dry_run" in fields) == (verb.risk is not Risk.READS)


@each_verb
def test_what_only_reads_can_be_watched_and_nothing_else(verb: AnyVerb) -> None:
    flags = [option.flag for option in options_of(verb)]
    assert ("--watch" in flags) == (verb.risk is Risk.READS)


@each_verb
def test_every_option_says_what_it_does_and_has_a_name_of_its_own(verb: AnyVerb) -> None:
    options = options_of(verb)
    assert [option.flag for option in options if not option.help.endswith(".")] == []
    assert len({option.flag for option in options}) == len(options)


@each_verb
def test_every_result_says_how_it_ended(verb: AnyVerb) -> None:
    assert issubclass(verb.result, Struct)
    assert isinstance(verb.result.exit, property)


@each_verb
def test_every_example_is_understood(verb: AnyVerb) -> None:
    assert verb.examples
    for example in verb.examples:
        assert parse(example.split()).verb is verb


def test_options_are_read() -> None:
    found = parse(
        "events tail --follow --after 7 --type a --type b --limit 3 --json --app x:y".split()
    )
    assert (found.arguments.follow, found.arguments.after) == (True, 7)
    assert (found.arguments.type, found.arguments.limit) == (("a", "b"), 3)
    assert found.common == Common(app="x:y", json=True)
    assert found.watching == Watching()
    assert parse(["status", "--watch", "--interval=0.5"]).watching == Watching(
        watch=True, interval=0.5
    )


def test_exit_statuses_are_what_they_always_were() -> None:
    assert {exit.name: int(exit) for exit in EXITS} == {exit.name: int(exit) for exit in Exit}
    assert {exit.name: int(exit) for exit in Exit} == {
        "OK": 0,
        "FINDINGS": 1,
        "USAGE": 2,
        "STORE": 3,
        "WARNINGS": 4,
        "BUG": 70,
        "INTERRUPTED": 130,
    }


def test_help_is_as_it_was() -> None:
    """To accept: write `told` into the golden file."""
    pages = [[], *(verb.name.split() for verb in VERBS), ["events"]]
    told = "".join(f"$ diptych {' '.join([*p, '--help'])}\n{text(p, 80)}\n" for p in pages)
    assert told == GOLDEN.read_text()


@pytest.mark.parametrize("width", [30, 40, 60, 80, 100])
def test_help_fits_the_terminal(width: int) -> None:
    for one in VERBS:
        prose = [line for line in text(one.name.split(), width).splitlines() if " " in line]
        # What cannot be broken: an option with its value, an example.
        fixed = [line for line in prose if line.strip().startswith(("--", "diptych", "Usage"))]
        assert [line for line in prose if len(line) > width and line not in fixed] == []


def test_every_command_line_in_the_documentation_is_understood() -> None:
    pages = [REFERENCE / "cli.md", REFERENCE.parent / "how-to" / "operate.md"]
    lines = [line for page in pages for line in page.read_text().splitlines()]
    commands = [line.partition("#")[0] for line in lines if line.startswith("diptych ")]
    assert len(commands) > 10
    for command in commands:
        words = shlex.split(command.partition("|")[0].partition(">")[0])[1:]
        if words[0] != "--completion":
            parse(words)


def test_the_reference_of_the_command_line_is_current() -> None:
    """To accept: uv run python -m scripts.cli_reference"""
    assert (REFERENCE / "cli.md").read_text() == page()


def test_the_published_schema_is_current() -> None:
    """To accept: uv run python -m scripts.cli_reference"""
    assert (REFERENCE / "cli-envelope.schema.json").read_text() == schema_text()
    alternatives = json.loads(schema_text())["oneOf"]
    assert len(alternatives) == len({verb.result for verb in VERBS}) + 1
