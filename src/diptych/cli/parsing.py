"""The command line, made from the verb table; what it means is an `Invocation`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import Parameter as Slot
from inspect import Signature
from typing import Annotated, Any

import msgspec
from cyclopts import App, CycloptsError, Parameter, UnusedCliTokensError
from msgspec import Struct

from diptych.cli.help import PROGRAM
from diptych.cli.options import Common, Option, Watching, options_of
from diptych.ops.verbs import VERBS, AnyVerb, Risk


class Unclear(Exception):
    """A command line that makes no sense; the text says why."""


class Invocation(Struct, frozen=True):
    """What a command line asks for."""

    verb: AnyVerb
    arguments: Any
    common: Common
    watching: Watching


def build() -> App:
    """The command line as cyclopts knows it: exactly the verbs."""
    app = App(name=PROGRAM, help_flags=[], version_flags=[], result_action="return_value")
    homes: dict[str, App] = {"": app}
    for verb in VERBS:
        *group, name = verb.name.split()
        home = homes.get(" ".join(group))
        if home is None:
            home = homes[group[0]] = App(name=group[0], help_flags=[], version_flags=[])
            app.command(home)
        home.command(_function(verb), name=name)
    return app


def names(app: App, before: str = "") -> set[str]:
    """The commands of a command line, by full name."""
    found: set[str] = set()
    for name in app:
        inner: App = app[name]
        full = f"{before} {name}".strip()
        found |= names(inner, full) or {full}
    return found


def parse(words: Sequence[str]) -> Invocation:
    """What the words mean.

    Raises:
        Unclear: They mean nothing.
    """
    try:
        command, bound, _ = build().parse_args(
            list(words), print_error=False, exit_on_error=False, help_on_error=False
        )
    except UnusedCliTokensError as error:
        extra = " ".join(map(repr, error.unused_tokens or ()))
        raise Unclear(f"{extra} is too much: options begin with '--'.") from error
    except CycloptsError as error:
        raise Unclear(f"{error}{_hint(error)}") from error
    invocation: Invocation = command(*bound.args, **bound.kwargs)
    return invocation


def _hint(error: CycloptsError) -> str:
    """What the option says of itself, where a value does not fit it."""
    argument = error.argument
    if argument is None or not argument.parameter.help:
        return ""
    return f" {argument.name}: {argument.parameter.help}"


def completion(shell: str) -> str:
    """A completion script.

    Raises:
        Unclear: There is none for such a shell.
    """
    match shell:
        case "bash" | "zsh" | "fish":
            return build().generate_completion(prog_name=PROGRAM, shell=shell)
        case _:
            raise Unclear(f"no completion for {shell!r}. Use bash, zsh or fish.")


def _function(verb: AnyVerb) -> Callable[..., Invocation]:
    options = options_of(verb)

    def command(*placed: Any, **given: Any) -> Invocation:
        values = {option.name: option.default for option in options} | given
        values |= zip(verb.positional, placed, strict=False)

        def of(struct: type[Struct]) -> Any:
            fields = struct.__struct_fields__
            return _checked(struct, {name: values[name] for name in fields})

        watching = of(Watching) if verb.risk is Risk.READS else Watching()
        return Invocation(verb, of(verb.arguments), of(Common), watching)

    slots = [_slot(option) for option in options]
    command.__name__ = verb.name.replace(" ", "_")
    command.__doc__ = verb.summary
    setattr(command, "__signature__", Signature(slots))  # noqa: B010
    command.__annotations__ = {slot.name: slot.annotation for slot in slots}
    return command


def _slot(option: Option) -> Slot:
    annotation: Any = Annotated[
        option.type,
        Parameter(name=None if option.positional else option.flag, help=option.help, negative=()),
    ]
    kind = Slot.POSITIONAL_ONLY if option.positional else Slot.KEYWORD_ONLY
    default = Slot.empty if option.required else option.default
    return Slot(option.name, kind, default=default, annotation=annotation)


def _checked(struct: type[Struct], values: dict[str, Any]) -> Any:
    try:
        return msgspec.convert(values, struct)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `$.")
        flag = f"--{path.rstrip('`').replace('_', '-')}: " if path else ""
        raise Unclear(f"{flag}{reason}.") from error
