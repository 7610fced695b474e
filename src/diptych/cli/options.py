"""The options of each command, read from the verb's arguments: for parsing, help and reference."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from msgspec import NODEFAULT, Meta, Struct

from diptych.ops.verbs import AnyVerb, Risk

WATCH_EVERY = 2.0


class Option(Struct, frozen=True, kw_only=True):
    """An option.

    Attributes:
        name: Of the parameter.
        type: Without constraints; those are the Struct's to check.
        value: What stands for its value in help; None for a switch.
        choices: All values there are; none where that is open.
        common: Whether it is one that the command line adds.
        required: Whether it must be given.
        positional: Whether it is given by its place, without a flag.
    """

    name: str
    type: Any
    default: Any
    value: str | None
    choices: tuple[str, ...]
    help: str
    common: bool = False
    required: bool = False
    positional: bool = False

    @property
    def flag(self) -> str:
        """As it is typed, without its value."""
        return self.name.upper() if self.positional else f"--{self.name.replace('_', '-')}"


class Common(Struct, frozen=True, kw_only=True):
    """What every command takes."""

    app: Annotated[
        str | None,
        Meta(
            description="The app, as module:attribute. By default what [tool.diptych] in the "
            "nearest pyproject.toml says."
        ),
    ] = None
    json: Annotated[
        bool, Meta(description="Answer in JSON: one envelope a line, for programs.")
    ] = False


class Watching(Struct, frozen=True, kw_only=True):
    """What commands take that change nothing."""

    watch: Annotated[bool, Meta(description="Show it again and again, until interrupted.")] = False
    interval: Annotated[float, Meta(ge=0.1, description="Seconds between, with --watch.")] = (
        WATCH_EVERY
    )


def options_of(verb: AnyVerb) -> tuple[Option, ...]:
    """Its own first, then those that every such command has."""
    own = _read(verb.arguments, common=False, positional=verb.positional)
    watching = _read(Watching, common=True) if verb.risk is Risk.READS else ()
    return (*own, *watching, *_read(Common, common=True))


def typed(option: Option) -> str:
    """As it is typed, with what stands for its value."""
    return option.flag if option.value is None else f"{option.flag} {option.value}"


def _read(
    struct: type[Struct], *, common: bool, positional: tuple[str, ...] = ()
) -> tuple[Option, ...]:
    plain = get_type_hints(struct)
    described = get_type_hints(struct, include_extras=True)
    given = struct.__struct_defaults__
    missing = [NODEFAULT] * (len(struct.__struct_fields__) - len(given))
    defaults = dict(zip(struct.__struct_fields__, (*missing, *given), strict=True))
    return tuple(
        Option(
            name=name,
            type=plain[name],
            default=None if defaults[name] is NODEFAULT else defaults[name],
            value=None if plain[name] is bool or name in positional else _value(name, plain[name]),
            choices=get_args(plain[name]) if get_origin(plain[name]) is Literal else (),
            help=_description(described[name]),
            common=common,
            required=defaults[name] is NODEFAULT,
            positional=name in positional,
        )
        for name in struct.__struct_fields__
    )


def _value(name: str, type_: Any) -> str:
    if get_origin(type_) is Literal:
        return "|".join(get_args(type_))
    kinds = {int: "NUMBER", float: "SECONDS"}
    return next(
        (word for kind, word in kinds.items() if kind in (type_, *get_args(type_))),
        ({"app": "MODULE:ATTRIBUTE", "type": "NAME"}.get(name, name.upper())),
    )


def _description(annotation: Any) -> str:
    for meta in getattr(annotation, "__metadata__", ()):
        if isinstance(meta, Meta) and meta.description:
            return meta.description
    return ""
