"""Stored names are data: how they come about, and when the code may read what the store holds."""

from __future__ import annotations

import pytest

from diptych import WiringError
from diptych.errors import SchemaChanged
from diptych.log.names import Names, Stamp, compare, kebab


def named(name: str) -> type:
    return type(name, (), {})


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("SeatsReserved", "seats-reserved"),
        ("HTTPRequestSent", "http-request-sent"),
        ("OrderV2", "order-v2"),
        ("V2Order", "v2-order"),
        ("already_snake", "already-snake"),
        ("_Hidden", "hidden"),
        ("A", "a"),
        ("ABC", "abc"),
    ],
)
def test_the_default_is_the_class_in_kebab_case(name: str, expected: str) -> None:
    assert kebab(named(name)) == expected


def test_a_given_name_goes_before_the_default() -> None:
    moved, stopped = named("Moved"), named("Stopped")
    names = Names({"walk.moved_v2": moved})
    assert names.take("event", moved) == "walk.moved_v2"
    assert names.take("event", stopped) == "stopped"


def test_one_name_may_serve_an_event_and_a_command() -> None:
    names = Names({})
    assert names.take("event", named("Move")) == names.take("command", named("Move")) == "move"


def test_two_classes_of_a_kind_with_one_name_are_named() -> None:
    names = Names({})
    names.take("event", named("Moved"))
    with pytest.raises(WiringError, match=r"both have the stored event name 'moved'.*names="):
        names.take("event", named("Moved"))


@pytest.mark.parametrize("name", ["", "Upper", "-a", "a b", "ä", "a" * 101, "a\n"])
def test_a_malformed_name_is_refused(name: str) -> None:
    with pytest.raises(WiringError, match="is not a stored name"):
        Names({name: named("Moved")})


def test_a_class_has_one_name() -> None:
    moved = named("Moved")
    with pytest.raises(WiringError, match="two names, 'a' and 'b'"):
        Names({"a": moved, "b": moved})


def test_a_name_for_what_nobody_uses_is_a_slip() -> None:
    names = Names({"a": named("Moved")})
    with pytest.raises(WiringError, match="'a' is given to Moved, which nothing here uses"):
        names.refuse_unused()


# --- what the store remembers -----------------------------------------------------------------


def event(shape: dict[str, str], schema: int = 1) -> Stamp:
    return Stamp("event", "moved", schema, shape)


def view(shape: dict[str, str], schema: int = 1) -> Stamp:
    return Stamp("view", f"totals@{schema}", schema, shape)


def always(name: str) -> bool:
    return True


def never(name: str) -> bool:
    return False


def after(*versions: Stamp) -> list[Stamp]:
    """What the store remembers when code of one version after the other has opened it."""
    known = {write.key: write for write in compare([], versions[:1], never)}
    for stamp in versions[1:]:
        for write in compare(list(known.values()), [stamp], always):
            known[write.key] = write
    return list(known.values())


@pytest.mark.parametrize(
    "versions",
    [
        [event({"a": "str"})],
        [event({"a": "str"}), event({"a": "str"})],
        [event({"a": "str"}), event({"a": "str", "b": "int?"})],
        [event({"a": "str", "b": "int"}), event({"a": "str"})],
        [event({"a": "str"}), event({"a": "str?"})],
        [event({"a": "str"}), event({"a": "int"}, schema=2)],
        [event({"a": "str", "b": "int?"}), event({"a": "str"}), event({"a": "str", "b": "int?"})],
        [view({"a": "str"}), view({"a": "int"}, schema=2)],
        [Stamp("model", "walk", 1, {"event-sourced": ""})] * 2,
    ],
)
def test_what_can_be_read_is_let_through(versions: list[Stamp]) -> None:
    assert after(*versions)


@pytest.mark.parametrize(
    ("versions", "words"),
    [
        ([event({"a": "str"}), event({"a": "int"})], "field 'a' was str, is int"),
        ([event({"a": "str"}), event({"a": "str", "b": "int"})], "field 'b'.*default"),
        (
            [
                event({"a": "str"}),
                event({"a": "str", "b": "int?"}),
                event({"a": "str", "b": "int"}),
            ],
            "field 'b'.*default",
        ),
        (
            [
                event({"a": "str", "b": "str"}),
                event({"a": "str"}),
                event({"a": "str", "b": "int?"}),
            ],
            r"field 'b' was str\?, is int\?",
        ),
        ([event({"a": "str"}, schema=2), event({"a": "str"})], "schema 2 in the store, 1 in the"),
        ([view({"a": "str"}), view({"a": "int"})], r"totals.*a: str -> int.*version=2"),
        ([view({"a": "str"}), view({"a": "str", "b": "int"})], r"\+b: int.*version=2"),
        ([view({"a": "str", "b": "int"}), view({"a": "str"})], r"-b.*version=2"),
        (
            [
                Stamp("model", "walk", 1, {"event-sourced": ""}),
                Stamp("model", "walk", 1, {"boundary": ""}),
            ],
            "model 'walk' was event-sourced and is now boundary",
        ),
        (
            [
                Stamp("tags", "moved", 1, {"one": ""}),
                Stamp("tags", "moved", 1, {"one": "", "two": ""}),
            ],
            "was tagged by one, now by one, two",
        ),
    ],
)
def test_what_cannot_be_read_is_said_in_words(versions: list[Stamp], words: str) -> None:
    with pytest.raises(SchemaChanged, match=words) as error:
        after(*versions)
    assert str(error.value).endswith(".")


def test_tags_over_events_without_them_are_refused() -> None:
    tags = Stamp("tags", "moved", 1, {"one": ""})
    with pytest.raises(SchemaChanged, match="stored without its tags"):
        compare([], [tags], always)
    assert compare([], [tags], never) == [tags]


def test_what_did_not_change_is_not_written_again() -> None:
    stamp = event({"a": "str"})
    assert compare([stamp], [stamp], always) == []
