"""Deciders and what keeps their state: keys, tags, and what they refuse to be given."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from diptych import (
    BadResult,
    Boundary,
    Context,
    Decider,
    EventSourced,
    InvalidMessage,
    Principal,
    Recorded,
    Refused,
    WiringError,
)


@dataclass(frozen=True)
class Add:
    cart: str
    sku: str
    many: int = 1


@dataclass(frozen=True)
class Clear:
    id: UUID


@dataclass(frozen=True)
class Added:
    cart: str
    sku: str
    many: int


@dataclass(frozen=True)
class Cleared:
    cart: str
    position: int = 0


def add(command: Add, many: int, context: Context) -> list[Added]:
    if many + command.many > 9:
        raise Refused("full", f"{many} in it", many=many)
    return [Added(command.cart, command.sku, command.many)]


def clear(command: Clear, many: int) -> tuple[Cleared, ...]:
    return (Cleared(str(command.id)),) if many else ()


def added(many: int, event: Added) -> int:
    return many + event.many


def cleared(many: int, event: Cleared) -> int:
    return 0


decider = Decider(0, [add, clear], [added, cleared])
context = Context(datetime(2026, 7, 1, tzinfo=UTC), Principal("p"), "", "c-1")


def no_facts() -> Recorded[Any]:
    raise AssertionError("nobody asked")


class TestDecider:
    def test_it_decides_by_the_command_s_class(self) -> None:
        assert decider.decide(Add("a", "x"), 0, context) == [Added("a", "x", 1)]
        assert decider.decide(Clear(UUID(int=1)), 5, context) == [Cleared(str(UUID(int=1)))]
        assert decider.decide(Clear(UUID(int=1)), 0, context) == []

    def test_it_evolves_by_the_event_s_class(self) -> None:
        assert decider.evolve(3, Added("a", "x", 2), no_facts) == 5
        assert decider.evolve(3, Cleared("a"), no_facts) == 0

    def test_it_folds_events_from_the_initial_state(self) -> None:
        events = [Added("a", "x", 2), Cleared("a"), Added("a", "x", 4)]
        assert decider.fold(events) == 4
        assert decider.fold([]) == 0

    def test_a_refusal_comes_through_with_its_values(self) -> None:
        with pytest.raises(Refused) as refused:
            decider.decide(Add("a", "x"), 9, context)
        assert (refused.value.code, refused.value.values) == ("full", {"many": 9})

    @pytest.mark.parametrize("result", [None, {}, set(), "text", iter(()), Added("a", "x", 1)])
    def test_what_is_no_list_is_named(self, result: Any) -> None:
        def wrong(command: Add, many: int) -> Any:
            return result

        with pytest.raises(BadResult, match=r"wrong returned \w+\. Return a list of events"):
            Decider(0, wrong, added).decide(Add("a", "x"), 0, context)

    def test_ids_of_a_context_derive_from_the_command(self) -> None:
        again = Context(datetime(2027, 1, 1, tzinfo=UTC), Principal("q"), "", "c-1")
        assert context.new_id("x") == again.new_id("x")
        others = [
            context.new_id("y"),
            Context(context.now, context.principal, "", "c-2").new_id("x"),
            Context(context.now, context.principal, "t", "c-1").new_id("x"),
        ]
        assert len({context.new_id("x"), *others}) == 4
        assert len(context.new_id("x")) == 32


class TestEventSourced:
    def model(self, **more: Any) -> EventSourced[int]:
        return EventSourced("cart", decider, **{"key": "cart", "keys": {Clear: "id"}} | more)

    def test_a_command_names_its_stream(self) -> None:
        assert self.model().stream(Add("a", "x")) == "cart:a"
        assert self.model().stream(Clear(UUID(int=1))) == f"cart:{UUID(int=1)}"

    def test_a_key_may_be_a_function(self) -> None:
        def both(command: Add | Clear) -> str:
            return f"{command.cart}/{command.sku}" if isinstance(command, Add) else "none"

        model = EventSourced("cart", decider, key=both)
        assert model.stream(Add("a", "x")) == "cart:a/x"

    @pytest.mark.parametrize(
        ("key", "text"), [(5, "5"), ("ä:b", "ä:b"), (UUID(int=2), str(UUID(int=2)))]
    )
    def test_str_int_and_uuid_are_keys(self, key: Any, text: str) -> None:
        assert self.model(key=lambda _: key, keys=None).stream(Add("a", "x")) == f"cart:{text}"

    @pytest.mark.parametrize("key", [None, True, 1.5, b"x", ("a",), "", "x" * 501, [], "a\0b"])
    def test_anything_else_is_no_key(self, key: Any) -> None:
        with pytest.raises(InvalidMessage, match="key"):
            self.model(key=lambda _: key, keys=None).stream(Add("a", "x"))

    @pytest.mark.parametrize("name", ["", "a:b", "a\nb", "x" * 101])
    def test_a_name_that_cannot_begin_a_stream_is_refused(self, name: str) -> None:
        with pytest.raises(WiringError, match="cannot name a model"):
            EventSourced(name, decider, key="cart", keys={Clear: "id"})

    def test_a_command_without_the_key_s_field_is_named_with_the_fields_it_has(self) -> None:
        with pytest.raises(
            WiringError, match=r"cart: Clear has no field 'cart' \(it has: id\).*keys="
        ):
            EventSourced("cart", decider, key="cart")

    def test_keys_for_what_is_not_decided_are_a_slip(self) -> None:
        with pytest.raises(WiringError, match="keys= names Added, which its decide does not take"):
            self.model(keys={Added: "cart", Clear: "id"})


def reads_of(command: Add | Clear) -> Any:
    return ["b", ("y", "x"), "a", "b", ("x", "y", "x")]


def tags_of(event: Added | Cleared) -> Any:
    return [event.cart]


class TestBoundary:
    def model(self, **more: Any) -> Boundary[int]:
        return Boundary("sales", decider, **{"reads": reads_of, "tags": tags_of} | more)

    def test_items_come_in_one_order_and_each_once(self) -> None:
        assert self.model().reads(Add("a", "x")) == (("a",), ("b",), ("x", "y"))

    def test_without_a_key_there_is_one_stream(self) -> None:
        assert self.model().stream(Add("a", "x")) == "sales"

    def test_with_a_key_there_is_one_for_each(self) -> None:
        model = self.model(key="cart", keys={Clear: "id"})
        assert model.stream(Add("a", "x")) == "sales:a"
        assert model.stream(Clear(UUID(int=3))) == f"sales:{UUID(int=3)}"

    def test_keys_without_a_key_are_a_slip(self) -> None:
        with pytest.raises(WiringError, match="keys= without key="):
            self.model(keys={Clear: "id"})

    def test_functions_may_be_listed_by_class(self) -> None:
        def of_add(command: Add) -> list[str]:
            return [command.sku]

        def of_clear(command: Clear) -> list[str]:
            return ["all"]

        model = self.model(reads=[of_add, of_clear])
        assert model.reads(Add("a", "x")) == (("x",),)
        assert model.reads(Clear(UUID(int=1))) == (("all",),)
        with pytest.raises(WiringError, match=r"reads= has no function for Clear.*it has .*of_add"):
            self.model(reads=[of_add])

    @pytest.mark.parametrize(
        "junk", ["abc", None, [], [""], [()], [5], [("a", 5)], [("a", "")], 5, ["a\0b"], ["\ud800"]]
    )
    def test_what_is_no_tag_is_named(self, junk: Any) -> None:
        def junk_reads(command: Add | Clear) -> Any:
            return junk

        with pytest.raises(BadResult, match=r"junk_reads returned .*\.$"):
            self.model(reads=junk_reads).reads(Add("a", "x"))
