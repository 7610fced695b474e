"""Bad input: a named error that ends with its remedy, and nothing is changed by it."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import pytest
from msgspec import Meta

from diptych import (
    App,
    BadResult,
    Boundary,
    Decider,
    DiptychError,
    EventSourced,
    InvalidMessage,
    Limits,
    Principal,
    Query,
    UnknownMessage,
    View,
    Views,
    WiringError,
)
from diptych.errors import (
    ForeignStore,
    MessageTooLarge,
    SchemaChanged,
    StoreCorrupt,
    StoreUnavailable,
)
from tests.integration.dumps import dump, path_of
from tests.integration.pots import Put, TotalOf, bank, file_url


@dataclass(frozen=True)
class ReserveSeats:
    showing: str
    seats: Annotated[int, Meta(gt=0)]
    price: float = 1.0
    at: datetime = datetime(2026, 7, 1, tzinfo=UTC)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class SeatsReserved:
    showing: str
    seats: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ListReservations(Query[list[str]]):
    showing: str
    limit: Annotated[int, Meta(le=100)] = 10


@dataclass(frozen=True)
class Unknown:
    showing: str


def decide(command: ReserveSeats, seats: int) -> list[SeatsReserved]:
    return [SeatsReserved(command.showing, command.seats, command.notes)]


def evolve(seats: int, event: SeatsReserved) -> int:
    return seats + event.seats


async def list_reservations(query: ListReservations, views: Views) -> list[str]:
    return []


showings = EventSourced("showing", Decider(0, decide, evolve), key="showing")


def cinema(url: str, **more: Any) -> App:
    """An app whose input can be bad in many ways."""
    parts: dict[str, Any] = {"write": [showings], "answer": [list_reservations]}
    return App("cinema", store=url, **parts | more)


def deciding(result: Callable[[ReserveSeats], Any]) -> EventSourced[Any]:
    """A model whose decide gives whatever this gives."""

    def decide(command: ReserveSeats, seats: int) -> Any:
        return result(command)

    return EventSourced("showing", Decider(0, decide, evolve), key="showing")


@asynccontextmanager
async def unchanged(url: str, **more: Any) -> AsyncIterator[App]:
    """An app with one event, which must be all that is there in the end."""
    async with cinema(url) as app:
        await app.execute(ReserveSeats("s0", 1), id="c-0")
    before = dump(url)
    async with cinema(url, **more) as app:
        yield app
    after = dump(url)
    # A repeated opening may write names again; nothing else may differ.
    assert after == before


def remedied(error: pytest.ExceptionInfo[DiptychError]) -> str:
    """The text, which must be some words and end as a sentence that says what to do."""
    text = str(error.value)
    assert text.endswith("."), text
    assert not text.endswith(".."), text
    assert ". " in text or ": " in text, text
    return text


class TestCommands:
    @pytest.mark.parametrize(
        ("command", "where"),
        [
            (ReserveSeats("s1", -5), "seats"),
            (ReserveSeats("s1", 0), "seats"),
            (ReserveSeats("s1", "2"), "seats"),  # type: ignore[arg-type]
            (ReserveSeats("s1", None), "seats"),  # type: ignore[arg-type]
            (ReserveSeats(5, 1), "showing"),  # type: ignore[arg-type]
            (ReserveSeats("s1", 1, float("nan")), "price"),
            (ReserveSeats("s1", 1, float("inf")), "price"),
            (ReserveSeats("s1", 1, 1.0, datetime(2026, 7, 1)), "at"),  # noqa: DTZ001
            (ReserveSeats("s1", 1, notes=("ok", 5)), "notes[1]"),  # type: ignore[arg-type]
            (ReserveSeats("s1", 1, notes=("\ud800",)), None),
            (ReserveSeats("\ud800", 1), None),
            (ReserveSeats("", 1), None),
            (ReserveSeats("x" * 501, 1), None),
            (ReserveSeats("a\0b", 1), None),
        ],
        ids=repr,
    )
    async def test_a_field_that_breaks_its_type_is_named(
        self, file: str, command: ReserveSeats, where: str | None
    ) -> None:
        async with unchanged(file) as app:
            with pytest.raises(InvalidMessage) as error:
                await app.execute(command, id="c-1")
            if where is not None:
                assert error.value.field == where
                assert repr(where) in remedied(error)
            remedied(error)

    async def test_memory_refuses_the_same(self) -> None:
        async with cinema("memory://") as app:
            for key in ["", "a\0b", "\ud800", "x" * 501]:
                with pytest.raises(InvalidMessage):
                    await app.execute(ReserveSeats(key, 1))
            for id in ["", "a\0b", "\ud800", "x" * 201]:
                with pytest.raises(InvalidMessage):
                    await app.execute(ReserveSeats("s1", 1), id=id)
            assert await app.log.head() == 0

    @pytest.mark.parametrize("id", ["", "a\0b", "\ud800", "x" * 201])
    async def test_an_id_that_cannot_be_kept_is_refused(self, file: str, id: str) -> None:
        async with unchanged(file) as app:
            with pytest.raises(InvalidMessage) as error:
                await app.execute(ReserveSeats("s1", 1), id=id)
            assert error.value.field == "id"

    @pytest.mark.parametrize("text", ["a\0b", "\ud800"])
    async def test_a_principal_that_cannot_be_kept_is_refused(self, file: str, text: str) -> None:
        async with unchanged(file) as app:
            for principal in [Principal(text), Principal("x", tenant=text)]:
                with pytest.raises(InvalidMessage):
                    await app.execute(ReserveSeats("s1", 1), principal=principal)

    async def test_an_unknown_command_is_named_with_those_that_are_known(self, file: str) -> None:
        async with unchanged(file) as app:
            for command in [Unknown("s1"), SeatsReserved("s1", 1), "text", None, 5]:
                with pytest.raises(UnknownMessage, match=r"known: ReserveSeats.*write=") as error:
                    await app.execute(command)
                remedied(error)

    async def test_a_command_over_the_limit_is_refused_with_its_size(self, file: str) -> None:
        async with unchanged(file, limits=Limits(payload=1000)) as app:
            with pytest.raises(MessageTooLarge, match=r"reserve-seats: 1\d\d\d bytes.*1000") as e:
                await app.execute(ReserveSeats("s1", 1, notes=("x" * 1000,)), id="c-1")
            assert "Limits(payload=…)" in remedied(e)

    async def test_an_event_over_the_limit_is_refused_with_its_size(self, file: str) -> None:
        big = deciding(
            lambda c: [SeatsReserved(c.showing, 1), SeatsReserved("s1", 1, ("x" * 1000,))]
        )
        async with unchanged(file, limits=Limits(payload=1000), write=[big]) as app:
            with pytest.raises(MessageTooLarge, match=r"seats-reserved: 1\d\d\d bytes") as error:
                await app.execute(ReserveSeats("s1", 1), id="c-1")
            remedied(error)


class TestQueries:
    async def test_an_unknown_query_is_named_with_those_that_are_known(self, file: str) -> None:
        async with unchanged(file) as app:
            with pytest.raises(UnknownMessage, match=r"known: ListReservations.*answer=") as error:
                await app.ask(TotalOf("a"))
            remedied(error)

    async def test_a_query_with_a_field_that_breaks_its_type_is_refused(self, file: str) -> None:
        async with unchanged(file) as app:
            for query, where in [
                (ListReservations("s1", 101), "limit"),
                (ListReservations(5), "showing"),  # type: ignore[arg-type]
            ]:
                with pytest.raises(InvalidMessage) as error:
                    await app.ask(query)
                assert error.value.field == where
                remedied(error)


class TestDecisions:
    @pytest.mark.parametrize(
        ("name", "result"),
        [
            ("nothing", lambda c: None),
            ("one event", lambda c: SeatsReserved(c.showing, 1)),
            ("a generator", lambda c: (SeatsReserved(c.showing, n) for n in (1, 2))),
            ("a dictionary", lambda c: {"seats": 1}),
            ("a set", lambda c: {SeatsReserved(c.showing, 1)}),
            ("text", lambda c: "events"),
            ("a command among the events", lambda c: [SeatsReserved("s1", 1), c]),
            ("none among the events", lambda c: [None]),
            ("a class instead of an event", lambda c: [SeatsReserved]),
            ("a number as text", lambda c: [SeatsReserved(c.showing, "1")]),  # type: ignore[arg-type]
            ("a missing value", lambda c: [SeatsReserved(c.showing, None)]),  # type: ignore[arg-type]
            ("half of it wrong", lambda c: [SeatsReserved("a", 1), SeatsReserved("a", "b")]),  # type: ignore[arg-type]
            ("a lone surrogate", lambda c: [SeatsReserved("\ud800", 1)]),
        ],
    )
    async def test_what_is_no_list_of_events_is_refused(
        self, file: str, name: str, result: Callable[[ReserveSeats], Any]
    ) -> None:
        async with unchanged(file, write=[deciding(result)]) as app:
            with pytest.raises(BadResult, match="decide") as error:
                await app.execute(ReserveSeats("s1", 1), id="c-1")
            remedied(error)

    @pytest.mark.parametrize(
        ("reads", "tags"),
        [
            ("abc", ["x"]),
            (None, ["x"]),
            ([], ["x"]),
            ([1], ["x"]),
            ([""], ["x"]),
            ([()], ["x"]),
            ([("x", 5)], ["x"]),
            (["\ud800"], ["x"]),
            (["a\0b"], ["x"]),
            (["x"], "abc"),
            (["x"], None),
            (["x"], [1]),
            (["x"], [""]),
            (["x"], [("x", "y")]),
            (["x"], ["\ud800"]),
            (["x"], ["a\0b"]),
        ],
        ids=repr,
    )
    async def test_reads_and_tags_that_are_no_tags_are_refused(
        self, tmp_path: Path, reads: Any, tags: Any
    ) -> None:
        boundary = Boundary(
            "seats", Decider(0, decide, evolve), reads=lambda c: reads, tags=lambda e: tags
        )
        for url in ["memory://", file_url(tmp_path / "tags.db")]:
            async with App("cinema", store=url, write=[boundary]) as app:
                with pytest.raises((BadResult, InvalidMessage)) as error:
                    await app.execute(ReserveSeats("s1", 1), id="c-1")
                remedied(error)
                assert await app.log.head() == 0


class TestWiring:
    def test_a_wrong_annotation_is_named(self) -> None:
        def wrong(command: Nowhere, seats: int) -> list[SeatsReserved]:  # type: ignore[name-defined]  # noqa: F821
            return []

        def bare(command, seats: int) -> list[SeatsReserved]:  # type: ignore[no-untyped-def]
            return []

        def plain(command: int, seats: int) -> list[SeatsReserved]:
            return []

        for function, words in [
            (wrong, "'command'.*Nowhere"),
            (bare, "'command' has no annotation"),
            (plain, "int "),
        ]:
            with pytest.raises(WiringError, match=words) as error:
                cinema(
                    "memory://",
                    write=[EventSourced("x", Decider(0, function, evolve), key="showing")],
                )
            remedied(error)

    def test_two_models_that_claim_one_command_are_named(self) -> None:
        other = EventSourced("other", Decider(0, decide, _other_evolve), key="showing")
        with pytest.raises(WiringError, match=r"ReserveSeats.*'showing'.*'other'") as error:
            cinema("memory://", write=[showings, other])
        remedied(error)

    def test_two_models_that_write_one_event_are_named(self) -> None:
        other = EventSourced("other", Decider(0, _other_decide, evolve), key="showing")
        with pytest.raises(WiringError, match=r"SeatsReserved.*'showing'.*'other'") as error:
            cinema("memory://", write=[showings, other])
        remedied(error)

    def test_two_events_with_one_stored_name_are_named(self) -> None:
        other = EventSourced("other", Decider(0, _other_decide, _other_evolve), key="showing")
        with pytest.raises(WiringError, match=r"SeatsReserved.*Other.*'seats-reserved'") as error:
            cinema("memory://", write=[showings, other], names={"seats-reserved": Other})
        remedied(error)

    @pytest.mark.parametrize(
        "url", ["", "cinema.db", "sqlite:///", "sqlite://x", "mysql:///x", "memory"]
    )
    def test_a_store_that_is_not_known_is_named(self, url: str) -> None:
        with pytest.raises(WiringError, match=r"sqlite:///file\.db") as error:
            cinema(url)
        remedied(error)


class TestFiles:
    async def refused(self, url: str, kind: type[DiptychError], words: str, **more: Any) -> None:
        with pytest.raises(kind, match=words) as error:
            async with cinema(url, **more):
                raise AssertionError("it was opened")
        remedied(error)

    async def test_a_missing_directory_is_named_and_not_created(self, tmp_path: Path) -> None:
        url = file_url(tmp_path / "nowhere" / "cinema.db")
        await self.refused(url, StoreUnavailable, r"nowhere is no directory\. Create it")
        assert list(tmp_path.iterdir()) == []

    async def test_a_directory_is_no_file(self, tmp_path: Path) -> None:
        await self.refused(file_url(tmp_path), StoreUnavailable, "unable to open")

    async def test_a_corrupt_file_is_named_and_left_alone(self, tmp_path: Path) -> None:
        for content in [b"no database, but text " * 100, b"SQLite format 3\0" + b"\xff" * 8000]:
            path = tmp_path / "cinema.db"
            path.write_bytes(content)
            await self.refused(file_url(path), StoreCorrupt, "backup")
            assert path.read_bytes() == content
            assert [file.name for file in tmp_path.iterdir()] == ["cinema.db"]

    async def test_a_torn_file_is_named(self, file: str) -> None:
        async with cinema(file) as app:
            for number in range(50):
                await app.execute(ReserveSeats(f"s{number}", 1, notes=("x" * 500,)))
        path = path_of(file)
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2] + b"\xa5" * (len(whole) - len(whole) // 2))

        async def use() -> None:
            async with cinema(file) as app:
                for number in range(50):
                    await app.execute(ReserveSeats(f"s{number}", 1))

        with pytest.raises(StoreCorrupt) as error:
            await use()
        remedied(error)

    @pytest.mark.parametrize("mode", ["delete", "wal"])
    async def test_another_program_s_file_is_refused_and_left_alone(
        self, tmp_path: Path, mode: str
    ) -> None:
        path = tmp_path / "other.db"
        connection = sqlite3.connect(path)
        connection.execute(f"PRAGMA journal_mode = {mode}")
        connection.execute("CREATE TABLE orders (id TEXT)")
        connection.execute("INSERT INTO orders VALUES ('o1')")
        connection.commit()
        connection.close()
        before = path.read_bytes()
        await self.refused(file_url(path), ForeignStore, r"another program \(tables: orders\)")
        assert path.read_bytes() == before
        assert [file.name for file in tmp_path.iterdir()] == ["other.db"]

    async def test_another_context_s_file_is_refused_and_left_alone(self, file: str) -> None:
        async with bank(file) as app:
            await app.execute(Put("a", 1))
        before = dump(file)
        await self.refused(file, ForeignStore, r"belongs to context 'bank', this app is 'cinema'")
        assert dump(file) == before

    async def test_after_a_refused_opening_the_app_can_be_opened(self, tmp_path: Path) -> None:
        app = cinema(file_url(tmp_path / "later" / "cinema.db"))
        with pytest.raises(StoreUnavailable):
            await app.__aenter__()
        (tmp_path / "later").mkdir()
        async with app:
            await app.execute(ReserveSeats("s1", 1))


@dataclass(frozen=True)
class Seats:
    showing: str
    seats: int


def count(row: Seats | None, event: SeatsReserved) -> Seats | None:
    return Seats(event.showing, event.seats + (row.seats if row else 0))


class TestSchemas:
    async def stored(self, url: str, **more: Any) -> dict[str, list[tuple[object, ...]]]:
        async with cinema(url, **more) as app:
            await app.execute(ReserveSeats("s1", 1))
            await app.settled()
        return dump(url)

    async def refused(self, url: str, words: str, **more: Any) -> None:
        before = dump(url)
        with pytest.raises(SchemaChanged, match=words) as error:
            async with cinema(url, **more):
                raise AssertionError("it was opened")
        remedied(error)
        assert dump(url) == before

    async def test_view_fields_that_changed_ask_for_a_version(self, file: str) -> None:
        await self.stored(file, read=[View(Seats, count, key="showing")])

        @dataclass(frozen=True)
        class Wider:
            showing: str
            seats: int
            more: str = ""

        Wider.__name__ = "Seats"

        def wider(row: Any, event: SeatsReserved) -> Any:
            return Wider(event.showing, event.seats)

        more = View(Wider, wider, key="showing")
        await self.refused(file, r"view 'seats.*\+more: str.*version=2", read=[more])
        async with cinema(file, read=[View(Wider, wider, key="showing", version=2)]) as app:
            await app.settled()

    async def test_a_model_that_changed_its_kind_is_refused(self, file: str) -> None:
        await self.stored(file)
        boundary = Boundary(
            "showing",
            Decider(0, decide, evolve),
            reads=lambda c: [c.showing],
            tags=lambda e: [e.showing],
        )
        await self.refused(
            file, r"model 'showing' was event-sourced and is now boundary", write=[boundary]
        )

    async def test_new_tags_over_stored_events_are_refused(self, file: str) -> None:
        await self.stored(file)
        boundary = Boundary(
            "seats",
            Decider(0, _other_decide, evolve),
            reads=lambda c: [c.showing],
            tags=lambda e: [e.showing],
        )
        await self.refused(
            file,
            r"seats tags event 'seats-reserved', but.*without its tags",
            write=[showings, boundary],
        )

    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            (
                {"showing": str, "seats": int, "row": str},
                r"field 'row' has no default, but stored events",
            ),
            ({"showing": str, "seats": str}, r"field 'seats' was int, is str"),
            ({"showing": str, "seats": list[int]}, r"field 'seats' was int, is \[int\]"),
        ],
        ids=["added", "changed", "wrapped"],
    )
    async def test_an_event_whose_fields_changed_asks_for_an_upcaster(
        self, file: str, fields: dict[str, type], words: str
    ) -> None:
        await self.stored(file)
        await self.refused(
            file, rf"event 'seats-reserved': {words}.*upcast", write=[_model(fields)]
        )

    async def test_an_event_field_with_a_default_may_be_added_and_one_removed(
        self, file: str
    ) -> None:
        await self.stored(file)
        for fields, defaults in [
            ({"showing": str, "seats": int, "row": str}, {"row": "z"}),
            ({"showing": str, "seats": int}, {}),
        ]:
            async with cinema(file, write=[_model(fields, defaults)]) as app:
                await app.execute(ReserveSeats("s1", 1))
                assert len([one async for one in app.log.read()]) > 1

    async def test_a_default_that_is_needed_by_stored_events_may_not_go(self, file: str) -> None:
        await self.stored(file)
        row = {"showing": str, "seats": int, "row": str}
        async with cinema(file, write=[_model(row, {"row": "z"})]) as app:
            await app.execute(ReserveSeats("s1", 1))
        await self.refused(file, "'row'", write=[_model(row)])

    async def test_a_field_that_comes_back_has_the_type_that_it_had(self, file: str) -> None:
        row = {"showing": str, "seats": int, "row": str}
        async with cinema(file, write=[_model(row, {"row": "z"})]) as app:
            await app.execute(ReserveSeats("s1", 1))
        async with cinema(file, write=[_model({"showing": str, "seats": int})]) as app:
            await app.execute(ReserveSeats("s1", 1))
        other = {"showing": str, "seats": int, "row": int}
        await self.refused(file, "'row'", write=[_model(other, {"row": 0})])

    async def test_an_event_that_its_model_no_longer_takes_is_named(self, file: str) -> None:
        await self.stored(file)
        other = EventSourced("showing", Decider(0, _reserve_other, _other_evolve), key="showing")
        before = dump(file)
        with pytest.raises(DiptychError, match="seats-reserved") as error:
            async with cinema(file, write=[other]) as app:
                await app.execute(ReserveSeats("s1", 1))
        remedied(error)
        assert dump(file)["diptych_events"] == before["diptych_events"]

    async def test_upcasters_lift_stored_events_wherever_they_are_read(self, file: str) -> None:
        await self.stored(file, read=[View(Seats, count, key="showing")])
        model = _model({"showing": str, "places": int, "row": str})

        def renamed(fields: dict[str, Any]) -> dict[str, Any]:
            return {"showing": fields["showing"], "places": fields["seats"] * 10}

        def with_row(fields: dict[str, Any]) -> dict[str, Any]:
            return {**fields, "row": "q"}

        upcast = {"seats-reserved": [renamed, with_row]}
        async with cinema(file, write=[model], upcast=upcast) as app:
            (recorded,) = [one async for one in app.log.read()]
            assert (recorded.event.places, recorded.event.row) == (10, "q")
            receipt = await app.execute(ReserveSeats("s1", 1))
            assert receipt.version == 2
        # Whoever wrote with newer code is not read by older code.
        await self.refused(file, r"schema 3 in the store, 1 in the code")


@dataclass(frozen=True)
class Other:
    showing: str


def _other_decide(command: Unknown, seats: int) -> list[SeatsReserved]:
    return []


def _reserve_other(command: ReserveSeats, seats: int) -> list[Other]:
    return []


def _other_evolve(seats: int, event: Other) -> int:
    return seats


def _model(fields: dict[str, type], defaults: dict[str, Any] | None = None) -> EventSourced[Any]:
    """The model with another SeatsReserved."""
    from dataclasses import make_dataclass

    specs: list[Any] = [
        (name, type_, field(default=(defaults or {})[name]))
        if name in (defaults or {})
        else (name, type_)
        for name, type_ in fields.items()
    ]
    event: Any = make_dataclass("SeatsReserved", specs, frozen=True)
    samples: dict[type, Any] = {str: "x", int: 1}

    def decide(command: ReserveSeats, seats: int) -> list[Any]:
        return [event(*(samples.get(type_, []) for type_ in fields.values()))]

    def evolve(seats: int, event: Any) -> int:
        return seats + 1

    evolve.__annotations__["event"] = event
    return EventSourced("showing", Decider(0, decide, evolve), key="showing")
