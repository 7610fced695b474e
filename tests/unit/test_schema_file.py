"""The schema file: the same bytes for the same code, and every difference told with its remedy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diptych.errors import SchemaChanged
from diptych.log.names import OPTIONAL, Stamp, compare
from diptych.ops.schema_file import differences, read, write

PLACED = Stamp("event", "order-placed", 1, {"order": "str", "note": "str?"})


def told(old: list[Stamp], new: list[Stamp]) -> list[tuple[str, str, str]]:
    return [(one.subject, one.message, one.remedy) for one in differences(old, new)]


def changed(shape: dict[str, str], schema: int = 1) -> list[tuple[str, str, str]]:
    return told([PLACED], [Stamp("event", "order-placed", schema, shape)])


def test_the_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    file = tmp_path / "s.json"
    stamps = [PLACED, Stamp("model", "order", 1, {"event-sourced": ""})]
    write(file, "shop", stamps)
    assert read(file, "shop") == stamps
    assert read(file, "bank") is None
    assert read(tmp_path / "none.json", "shop") is None


def test_the_same_names_give_the_same_bytes_in_any_order(tmp_path: Path) -> None:
    stamps = [Stamp("event", name, 1, {"b": "str", "a": "int"}) for name in ("x", "y", "z")]
    one, other = tmp_path / "one.json", tmp_path / "other.json"
    write(one, "shop", stamps)
    write(other, "shop", stamps[::-1])
    assert one.read_bytes() == other.read_bytes()
    assert one.read_text().endswith("}\n")


def test_contexts_share_a_file(tmp_path: Path) -> None:
    file = tmp_path / "s.json"
    write(file, "shop", [PLACED])
    write(file, "bank", [])
    assert read(file, "shop") == [PLACED]
    assert list(tmp_path.iterdir()) == [file]


def test_a_new_field_is_a_line_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "s.json"
    write(file, "shop", [PLACED])
    before = file.read_text().splitlines()
    write(file, "shop", [Stamp("event", "order-placed", 1, {**PLACED.shape, "zip": "str?"})])
    added = [line for line in file.read_text().splitlines() if line not in before]
    assert [line.strip() for line in added] == ['"order": "str",', '"zip": "str?"']


@pytest.mark.parametrize(
    "content",
    ["no json", "[]", "{}", '{"format": 2, "contexts": {}}', '{"format": 1, "contexts": 3}'],
)
def test_another_file_of_that_name_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "s.json"
    file.write_text(content)
    with pytest.raises(SchemaChanged, match=r"s\.json"):
        read(file, "shop")
    with pytest.raises(SchemaChanged):
        write(file, "shop", [])
    assert file.read_text() == content


def test_damaged_stamps_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "s.json"
    content = {"format": 1, "contexts": {"shop": {"event": {"a": {"shape": {}}}}}}
    file.write_text(json.dumps(content))
    with pytest.raises(SchemaChanged, match="Restore it"):
        read(file, "shop")


def test_nothing_is_told_where_nothing_changed() -> None:
    assert told([PLACED], [PLACED]) == []


@pytest.mark.parametrize(
    ("shape", "said", "remedy"),
    [
        ({"order": "str", "note": "str?", "vat": "int?"}, "'vat' is new", "--accept"),
        ({"order": "str", "note": "str?", "vat": "int"}, "stored events lack it", "default"),
        ({"order": "int", "note": "str?"}, "'order' was str, is int", "upcast={'order-placed'"),
        ({"order": "str", "note": "str"}, "stored events may lack it", "its default back"),
        ({"order": "str?", "note": "str?"}, "is str with a default", "--accept"),
        ({"note": "str?"}, "'order' is gone", "--accept"),
    ],
)
def test_a_changed_field_of_an_event_is_told_with_its_remedy(
    shape: dict[str, str], said: str, remedy: str
) -> None:
    ((subject, message, how),) = changed(shape)
    assert subject == "event order-placed"
    assert said in message
    assert remedy in how


def test_two_changed_fields_are_two_findings() -> None:
    assert len(changed({"order": "int", "note": "int?"})) == 2


def test_a_lifted_event_is_only_to_be_accepted() -> None:
    ((_, message, remedy),) = changed({"order": "int"}, schema=2)
    assert "schema 1 is lifted to 2" in message
    assert remedy.startswith("If that is what you want")


def test_an_event_that_was_lifted_and_is_not_any_more_needs_its_upcasters() -> None:
    ((_, message, remedy),) = told([Stamp("event", "a", 2, {})], [Stamp("event", "a", 1, {})])
    assert "newer events exist" in message
    assert "upcasters" in remedy


def test_an_event_under_another_name_is_suspected_to_be_renamed() -> None:
    found = told([PLACED], [Stamp("event", "order-made", 1, PLACED.shape)])
    assert [subject for subject, _, _ in found] == ["event order-made", "event order-placed"]
    assert "is it 'order-made' now?" in found[1][1]
    assert "names={'order-placed'" in found[1][2]


def test_a_view_needs_another_version_for_each_changed_column() -> None:
    old = Stamp("view", "seats@2", 2, {"seat": "str", "(key)": "seat"})
    new = Stamp("view", "seats@2", 2, {"seat": "int", "row": "str", "(key)": "seat, row"})
    found = told([old], [new])
    assert [message.split(",")[0] for _, message, _ in found] == [
        "field 'seat' was str",
        "its key was seat",
        "field 'row' is new (str)",
    ]
    assert all("version=3" in remedy for _, _, remedy in found)


def test_a_table_of_a_projection_needs_another_version() -> None:
    old, new = (
        Stamp("table", "sums", 1, {"(projection)": "sums", "n": form})
        for form in ("INTEGER", "TEXT")
    )
    ((_, message, remedy),) = told([old], [new])
    assert message.startswith("field 'n' was INTEGER, is TEXT, but its projection's version")
    assert "version=2" in remedy


def test_a_view_with_another_version_is_only_to_be_accepted() -> None:
    old = Stamp("view", "seats@1", 1, {"seat": "str"})
    new = Stamp("view", "seats@2", 2, {"seat": "int"})
    assert [(s, m) for s, m, _ in told([old], [new])] == [
        ("view seats@1", "is gone"),
        ("view seats@2", "is new"),
    ]


def test_a_model_of_another_kind_needs_another_name() -> None:
    old, new = (Stamp("model", "order", 1, {kind: ""}) for kind in ("boundary", "event-sourced"))
    ((_, message, remedy),) = told([old], [new])
    assert message.startswith("was boundary, is event-sourced")
    assert "another name" in remedy


def test_tags_of_a_known_event_do_not_reach_what_is_stored() -> None:
    tags = Stamp("tags", "order-placed", 1, {"nights": ""})
    ((_, message, remedy),) = told([PLACED], [PLACED, tags])
    assert "would not be found" in message
    assert "new event" in remedy


@pytest.mark.parametrize("kind", ["command", "query"])
@pytest.mark.parametrize(
    ("old", "new", "breaks"),
    [
        ({}, {"a": "int"}, True),
        ({}, {"a": "int?"}, False),
        ({"a": "int"}, {}, True),
        ({"a": "int"}, {"a": "str"}, True),
        ({"a": "int"}, {"a": "int?"}, False),
        ({"a": "int?"}, {"a": "int"}, True),
    ],
)
def test_a_message_that_breaks_its_senders_says_so(
    kind: str, old: dict[str, str], new: dict[str, str], breaks: bool
) -> None:
    ((_, message, _),) = told([Stamp(kind, "m", 1, old)], [Stamp(kind, "m", 1, new)])
    assert ("whoever sends the old shape is refused" in message) == breaks


shapes = st.dictionaries(
    st.sampled_from("abc"), st.sampled_from(["int", "str", "int?", "str?"]), max_size=3
)


@given(shapes, shapes)
def test_what_the_store_would_refuse_is_never_only_to_be_accepted(
    old: dict[str, str], new: dict[str, str]
) -> None:
    """The same judgement as when a store is opened, field by field."""
    was, now = Stamp("event", "e", 1, old), Stamp("event", "e", 1, new)
    found = differences([was], [now])
    assert bool(found) == (old != new)
    hard = [one for one in found if "upcast=" in one.remedy]
    refusal = _refusal(was, now)
    assert bool(hard) == (refusal is not None)
    if refusal is not None:
        assert any(one.message.split(" ")[1] in refusal for one in hard)
    assert all(OPTIONAL not in one.message for one in found)


def _refusal(was: Stamp, now: Stamp) -> str | None:
    try:
        compare([was], [now], lambda _: True)
    except SchemaChanged as error:
        return str(error)
    return None
