"""A model whose truth is its stream of events: one stream per key, one decision at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any, Generic, TypeAlias, TypeVar

from diptych.errors import InvalidMessage, WiringError
from diptych.log.messages import is_plain, message_type
from diptych.message import Recorded
from diptych.routing import Functions, Route
from diptych.write.decider import Decider
from diptych.write.prepare import preparing

S = TypeVar("S")

Key: TypeAlias = str | Callable[[Any], Any]
Merge: TypeAlias = Callable[[Any, Sequence[Recorded[Any]]], bool]


class Keyed(Generic[S]):
    """A decider with one state for each key, whose events go to the stream `name:key`."""

    def __init__(
        self,
        name: str,
        decider: Decider[S],
        *,
        key: Key,
        keys: Mapping[type, Key] | None,
        merge: Merge | None,
        prepare: Functions | None,
    ) -> None:
        check_model_name(name)
        self.name = name
        self.decider = decider
        self.merge = merge
        self.commands: Mapping[type, Route] = decider.decides
        self.prepare = preparing(name, prepare, decider.decides)
        self._key = key_functions(name, decider.decides, key, keys or {})
        self.key_name = key if isinstance(key, str) else None
        """The field that `key=` names."""
        fields = {type_: (keys or {}).get(type_, key) for type_ in decider.decides}
        self.key_fields = {type_: None if callable(one) else one for type_, one in fields.items()}
        """The same of each command."""

    @property
    def events(self) -> tuple[type, ...]:
        """What it writes, or reads to know its state."""
        return tuple(self.decider.evolves)

    def key(self, command: Any) -> Any:
        """What the command names its state by."""
        return self._key[type(command)](command)

    def stream(self, command: Any) -> str:
        """The stream that this command is about.

        Raises:
            InvalidMessage: Its key is empty, or no str, int or UUID.
        """
        return f"{self.name}:{key_text(command, self._key[type(command)])}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"


class EventSourced(Keyed[S]):
    """Keeps a decider's state as the stream `name:key`.

    Args:
        name: Of the model; the first part of its streams' names.
        key: Field of each command that names its stream, or a function of the command.
        keys: Where a command has another one.
        merge: With `seen=`, whether a command may go on although it has not seen these events.
        prepare: `prepare(command) -> command`, pure: normalises a command before it is decided.

    Raises:
        WiringError: A malformed name, or a command without the key's field.
    """

    kind = "event-sourced"

    def __init__(
        self,
        name: str,
        decider: Decider[S],
        *,
        key: Key,
        keys: Mapping[type, Key] | None = None,
        merge: Merge | None = None,
        prepare: Functions | None = None,
    ) -> None:
        super().__init__(name, decider, key=key, keys=keys, merge=merge, prepare=prepare)


def check_model_name(name: str) -> None:
    """A model's name begins its streams' names, so it has no colon."""
    if not name or ":" in name or not name.isprintable() or len(name) > 100:
        raise WiringError(
            f"{name!r} cannot name a model: it begins the names of its streams. "
            "Use a short word without a colon, such as 'order'."
        )


def key_functions(
    model: str, commands: Mapping[type, Any], key: Key, keys: Mapping[type, Key]
) -> dict[type, Callable[[Any], Any]]:
    """How each command tells its key."""
    for type_ in keys:
        if type_ not in commands:
            raise WiringError(
                f"{model}: keys= names {type_.__name__}, which its decide does not take. Remove it."
            )
    return {type_: key_function(model, type_, keys.get(type_, key)) for type_ in commands}


def key_function(owner: str, type_: type, key: Key) -> Callable[[Any], Any]:
    """Reads a key off a message.

    Raises:
        WiringError: The message has no such field.
    """
    if callable(key):
        return key
    fields = message_type(type_, type_.__name__).fields
    if key not in fields:
        raise WiringError(
            f"{owner}: {type_.__name__} has no field {key!r} (it has: {', '.join(fields)}). "
            f"Name its own: keys={{{type_.__name__}: 'field'}}, or a function of it."
        )
    return attrgetter(key)


def key_text(command: Any, key: Callable[[Any], Any]) -> str:
    """The key as it stands in a stream's name.

    Raises:
        InvalidMessage: It is empty, too long, or no str, int or UUID.
    """
    value = key(command)
    if value.__class__ is not str:
        if isinstance(value, bool) or not (
            isinstance(value, int | str) or type(value).__name__ == "UUID"
        ):
            raise InvalidMessage(
                type(command).__name__, "", f"its key {value!r} is no str, int or UUID"
            )
        value = str(value)
    if not 0 < len(value) <= 500 or not is_plain(value):
        raise InvalidMessage(
            type(command).__name__,
            "",
            f"its key {value[:20]!r} has {len(value)} characters; 1 to 500 will do, without NUL",
        )
    return value
