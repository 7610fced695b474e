"""Help, written from the verb table alone: nothing heavy is imported for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from textwrap import fill

from diptych.cli.options import Option, options_of, typed
from diptych.ops.findings import Exit
from diptych.ops.verbs import VERBS, AnyVerb, Risk

PROGRAM = "diptych"

EXITS = {
    Exit.OK: "all is well",
    Exit.FINDINGS: "something is wrong with what was looked at, or it was refused",
    Exit.USAGE: "the command line makes no sense, or no app could be found",
    Exit.STORE: "the store cannot be read, or what was asked cannot be known",
    Exit.WARNINGS: "only warnings, with --strict",
    Exit.BUG: "an error that nobody foresaw: please report it",
    Exit.INTERRUPTED: "interrupted",
}
"""What the exit statuses mean."""

GENERAL = (
    ("--help, -h", "Show this, or the help of a command."),
    ("--version", "Show the version."),
    ("--completion SHELL", "Write a completion script for bash, zsh or fish."),
)


def find(words: Sequence[str]) -> tuple[AnyVerb | None, str | None]:
    """The verb that a command line begins with; and otherwise what is wrong, in words.

    Neither where the words name no command at all, or only the first of two words.
    """
    named = _leading(words)
    for count in (2, 1):
        for verb in VERBS:
            if verb.name.split() == named[:count]:
                return verb, None
    if not named or (named[0] in groups() and len(named) == 1):
        return None, None
    asked = " ".join(named[: 2 if named[0] in groups() else 1])
    near = get_close_matches(" ".join(named[:2]), [verb.name for verb in VERBS], 1)
    near = near or get_close_matches(named[0], [v.name for v in VERBS] + groups(), 1)
    near = near or [verb.name for verb in VERBS if named[0] in verb.name.split()][:1]
    hint = f"Did you mean '{near[0]}'? " if near else ""
    return None, f"there is no command {asked!r}. {hint}See {PROGRAM} --help."


def groups() -> list[str]:
    """First words of commands that have two."""
    return list(dict.fromkeys(v.name.split()[0] for v in VERBS if " " in v.name))


def text(words: Sequence[str], width: int) -> str:
    """Help on what the words name: a command, a group of them, or all."""
    verb, _ = find(words)
    if verb is not None:
        return _command(verb, width)
    named = _leading(words)
    if named and named[0] in groups():
        verbs = [one for one in VERBS if one.name.split()[0] == named[0]]
        return _page(f"Usage: {PROGRAM} {named[0]} COMMAND [OPTIONS]", verbs, width)
    return _page(f"Usage: {PROGRAM} COMMAND [OPTIONS]", VERBS, width)


def _leading(words: Sequence[str]) -> list[str]:
    named: list[str] = []
    for word in words:
        if word.startswith("-"):
            break
        named.append(word)
    return named


def _page(usage: str, verbs: Iterable[AnyVerb], width: int) -> str:
    commands = [(verb.name, f"{verb.summary}.") for verb in verbs]
    every = [(typed(option), option.help) for option in options_of(VERBS[0]) if option.common]
    intro = _wrapped(
        "Commands for an app made with diptych. The app is what [tool.diptych] in the nearest "
        'pyproject.toml names (app = "module:attribute"), or --app.',
        width,
    )
    parts = [
        usage,
        intro,
        "Commands:\n" + _table(commands, width),
        "Options of every command:\n" + _table(every, width),
        "Other options:\n" + _table(GENERAL, width),
        "Exit status:\n" + _table([(str(int(e)), f"{t}.") for e, t in EXITS.items()], width),
    ]
    return "\n\n".join(parts) + "\n"


def _command(verb: AnyVerb, width: int) -> str:
    options = options_of(verb)
    own = [(typed(one), _explained(one)) for one in options if not one.common]
    common = [(typed(one), _explained(one)) for one in options if one.common]
    parts = [
        f"Usage: {PROGRAM} {usage(verb)} [OPTIONS]",
        f"{_wrapped(f'{verb.summary}.', width)}\n\n{_wrapped(verb.details, width)}",
    ]
    if own:
        parts.append("Options:\n" + _table(own, width))
    parts.append("Options of every command:\n" + _table(common, width))
    parts.append(_wrapped(effect(verb), width))
    parts.append("Examples:\n" + "\n".join(f"  {PROGRAM} {line}" for line in verb.examples))
    return "\n\n".join(parts) + "\n"


def usage(verb: AnyVerb) -> str:
    """The command with what it cannot do without."""
    needed = [typed(option) for option in options_of(verb) if option.required]
    return " ".join([verb.name, *needed])


def effect(verb: AnyVerb) -> str:
    """What it does to the world, and who may do it."""
    does = {
        Risk.READS: "Changes nothing.",
        Risk.CHANGES: "May change something: --dry-run says what.",
        Risk.RUNS: "Runs until it is told to stop.",
    }
    return f"{does[verb.risk]} For the role {verb.role.value}, and those above."


def _explained(option: Option) -> str:
    if option.default in (None, False, "", ()):
        return option.help
    return f"{option.help} Default: {option.default}."


def _wrapped(paragraph: str, width: int) -> str:
    return fill(paragraph, max(width, 20))


def _table(rows: Iterable[tuple[str, str]], width: int) -> str:
    """Two columns; in a narrow terminal one below the other."""
    rows = list(rows)
    left = max(len(name) for name, _ in rows) + 4
    if left > 30 or width - left < 30:
        return "\n".join(
            f"  {name}\n"
            + fill(t, max(width, 20), initial_indent=" " * 6, subsequent_indent=" " * 6)
            for name, t in rows
        )
    lines: list[str] = []
    for name, explained in rows:
        body = fill(explained, width, initial_indent=" " * left, subsequent_indent=" " * left)
        lines.append(f"  {name:<{left - 2}}{body.lstrip()}")
    return "\n".join(lines)
