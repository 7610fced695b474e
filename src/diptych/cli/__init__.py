"""The program `diptych`. Help needs nothing but the verb table, so it is there at once."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from io import TextIOWrapper

INSTALL = "pip install 'diptych[cli]'"


def main() -> None:
    """The console script."""
    sys.exit(start(sys.argv[1:]))


def start(words: Sequence[str]) -> int:
    """Carries out a command line; returns the exit status."""
    from diptych.cli.help import find, text
    from diptych.ops.findings import Exit

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a terminal without Unicode is no reason to fail
            stream.reconfigure(errors="backslashreplace")
    words = _verb_first(words)
    verb, problem = find(words)
    if problem is not None:
        return _unclear(problem, words)
    if words and words[0] == "--version":
        from importlib.metadata import version

        print_line(version("diptych"))
        return Exit.OK
    if words and words[0].partition("=")[0] == "--completion":
        return _complete(words)
    if _asks_for_help(words) or (verb is None and not any(w.startswith("-") for w in words)):
        sys.stdout.write(text(words, _width()))
        return Exit.OK
    if verb is None:
        return _unclear(f"there is no option {words[0]!r} by itself. See diptych --help.", words)
    try:
        from diptych.cli.carrying_out import carry_out
        from diptych.cli.parsing import Unclear, parse
    except ImportError as error:
        return _missing(error)
    try:
        invocation = parse(words)
    except Unclear as error:
        return _unclear(str(error), words)
    return carry_out(invocation)


def print_line(text: str) -> None:
    """To standard output."""
    sys.stdout.write(f"{text}\n")


def _verb_first(words: Sequence[str]) -> list[str]:
    """`diptych --app a:b status` means `diptych status --app a:b`."""
    before: list[str] = []
    rest = list(words)
    while rest and (rest[0] == "--json" or rest[0].partition("=")[0] == "--app"):
        before.append(rest.pop(0))
        if before[-1] == "--app" and rest:
            before.append(rest.pop(0))
    return [*rest, *before]


def _asks_for_help(words: Sequence[str]) -> bool:
    return any(word in ("--help", "-h") for word in words)


def _width() -> int:
    from shutil import get_terminal_size

    return min(get_terminal_size((100, 24)).columns, 100)


def _unclear(problem: str, words: Sequence[str]) -> int:
    from diptych.ops.envelope import Problem, enclose, shown
    from diptych.ops.findings import Exit

    if "--json" in words:
        error = Problem(type="Usage", message=problem)
        print_line(enclose(None, None, exit=Exit.USAGE, error=error))
    else:
        sys.stderr.write(f"diptych: {shown(problem)}\n")
    return Exit.USAGE


def _complete(words: Sequence[str]) -> int:
    from diptych.ops.findings import Exit

    try:
        from diptych.cli.parsing import Unclear, completion
    except ImportError as error:
        return _missing(error)
    shell = words[0].partition("=")[2] or " ".join(words[1:])
    try:
        sys.stdout.write(completion(shell))
    except Unclear as error:
        return _unclear(str(error), words)
    return Exit.OK


def _missing(error: ImportError) -> int:
    from diptych.ops.findings import Exit

    if (error.name or "").partition(".")[0] not in ("cyclopts", "rich"):
        raise error
    sys.stderr.write(f"diptych: its command line needs {error.name}. Install it: {INSTALL}\n")
    return Exit.USAGE
