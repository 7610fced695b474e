"""Events to and from the log: stored names, schemas, upcasts, tags."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from diptych.errors import (
    BadResult,
    InvalidMessage,
    MessageTooLarge,
    SchemaChanged,
    StoreCorrupt,
)
from diptych.log.commit import NewEvent
from diptych.log.messages import MessageType, is_plain, message_type
from diptych.log.names import Names, Stamp
from diptych.log.port import Page, StoredEvent
from diptych.log.upcast import Upcast, Upcasters
from diptych.message import Recorded
from diptych.routing import name_of

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_raw_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_fields_of = msgspec.json.Decoder(dict[str, Any]).decode


def to_micros(moment: datetime) -> int:
    """Microseconds since 1970 of an aware datetime."""
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def from_micros(micros: int) -> datetime:
    """The aware UTC datetime."""
    return _EPOCH + timedelta(microseconds=micros)


def checked_tags(function: Callable[[Any], Any], event: Any) -> Sequence[str]:
    """The tags that a user's function gives.

    Raises:
        BadResult: Anything but a list (tuple, set) of texts.
    """
    given: Any = function(event)
    if given.__class__ not in (list, tuple, set, frozenset):
        raise BadResult(name_of(function), f"returned {given!r}. Return a list of tags.")
    tags: list[Any] = list(given)
    for tag in tags:
        if not isinstance(tag, str) or not tag or not is_plain(tag):
            raise BadResult(
                name_of(function), f"returned the tag {tag!r}. A tag is a text, not empty."
            )
    return tags


class EventCodec:
    """Knows the event classes of an app.

    Args:
        types: All event classes of the app.
        chains: Upcasts by stored name.
        tags: What each event carries; several boundaries may tag one event.
        limit: Bytes of JSON an event may have.
    """

    def __init__(
        self,
        types: Sequence[type],
        names: Names,
        chains: Mapping[str, Sequence[Upcast]],
        limit: int,
    ) -> None:
        self._by_type: dict[type, MessageType[Any]] = {
            type_: message_type(type_, names.take("event", type_)) for type_ in types
        }
        self._by_name = {message.name: message for message in self._by_type.values()}
        self._upcasters = Upcasters(chains, frozenset(self._by_name))
        self._schemas = {name: self._upcasters.schema(name) for name in self._by_name}
        self._tags: dict[type, list[Callable[[Any], Sequence[str]]]] = {}
        self._limit = limit

    def tag(self, type_: type, tags: Callable[[Any], Sequence[str]]) -> None:
        """From now on, events of this class carry these tags as well."""
        self._tags.setdefault(type_, []).append(tags)

    def knows(self, type_: type) -> bool:
        """Whether this class is an event here."""
        return type_ in self._by_type

    def name(self, type_: type) -> str:
        """The stored name of an event class."""
        return self._by_type[type_].name

    def names(self, types: Sequence[type]) -> tuple[str, ...]:
        """Stored names, sorted."""
        return tuple(sorted(self.name(type_) for type_ in types))

    def stamps(self) -> list[Stamp]:
        """What the store should remember of the events."""
        return [
            Stamp("event", name, self._schemas[name], message.shape())
            for name, message in self._by_name.items()
        ]

    def encode(self, event: Any, function: Callable[..., Any]) -> tuple[Any, NewEvent]:
        """The event as it will be read back, and as it is stored.

        Raises:
            BadResult: `function` gave something that is no event here, or breaks its types.
            MessageTooLarge: Over the limit.
        """
        message = self._by_type.get(event.__class__)
        if message is None:
            known = ", ".join(sorted(type_.__name__ for type_ in self._by_type))
            raise BadResult(
                name_of(function),
                f"returned {type(event).__name__}, which no evolve here takes (known: {known}). "
                "Return a list of events, and give the decider an evolve for each.",
            )
        try:
            event, data = message.check(event)
        except InvalidMessage as error:
            raise BadResult(
                name_of(function), f"returned an event that cannot be kept: {error.args[0]}"
            ) from error
        if len(data) > self._limit:
            raise MessageTooLarge(message.name, len(data), self._limit)
        given = self._tags.get(message.type)
        tags: tuple[str, ...] = ()
        if given is not None:
            tags = tuple({tag: None for one in given for tag in checked_tags(one, event)})
        return event, NewEvent(message.name, self._schemas[message.name], data.decode(), tags)

    def decode(self, stored: StoredEvent) -> Any:
        """The event, in today's shape.

        Raises:
            SchemaChanged: Nothing here knows an event of that name, or it does not fit its class.
            StoreCorrupt: It is no JSON.
        """
        message = self._by_name.get(stored.name)
        if message is None:
            raise SchemaChanged(
                f"{stored.stream} holds {stored.name!r} at version {stored.version}, an event that "
                "nothing here knows. Keep its class, or give a class its name with names={…}."
            )
        try:
            if stored.schema == self._schemas[stored.name]:
                return message.decode(stored.data)
            fields = self._upcasters.lift(stored.name, stored.schema, _fields_of(stored.data))
            return message.convert(fields)
        except msgspec.ValidationError as error:
            raise SchemaChanged(
                f"{stored.name!r} at position {stored.position} does not fit its class: {error}. "
                f"Lift its old shape: upcast={{{stored.name!r}: [function]}}."
            ) from error
        except msgspec.DecodeError as error:
            raise StoreCorrupt(
                f"{stored.name!r} at position {stored.position} is no JSON: {error}. "
                "The store was damaged or edited: restore it from a backup."
            ) from error

    def decode_page(self, page: Page) -> list[Any] | None:
        """The events of a page; None where they must be read one by one: to be lifted from an older
        shape, or to tell which of them nothing here can read."""
        names = page.names
        if page.schema > 1 or any(self._schemas.get(name) != 1 for name in set(names)):
            return None
        try:
            if names and names.count(names[0]) == len(names):
                return self._by_name[names[0]].decode_list(page.data)
            pairs = zip(names, _raw_list(page.data), strict=True)
            return [self._by_name[name].decode(data) for name, data in pairs]
        except msgspec.DecodeError:
            return None  # reading them one by one tells which it is

    def recorded(self, stored: StoredEvent) -> Recorded[Any]:
        """The event with what the log knows of it; an unknown one as the fields it has."""
        known = stored.name in self._by_name
        return Recorded(
            event=self.decode(stored) if known else _fields_of(stored.data),
            position=stored.position,
            stream=stored.stream,
            version=stored.version,
            name=stored.name,
            time=from_micros(stored.time),
            principal=stored.principal,
            tenant=stored.tenant,
            causation_id=stored.causation,
            correlation_id=stored.correlation,
        )
