"""Saving: rows and checkpoint in one step, from where the checkpoint is, and from nowhere else."""

from __future__ import annotations

import asyncio
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest

from diptych.errors import BadResult
from diptych.read.port import ViewStore
from tests.contract.view_rows import (
    COUNTS,
    EVERYTHING,
    PRICED,
    Count,
    Priced,
    plain,
    priced,
    put,
)


class Saving:
    async def test_a_view_begins_empty_at_zero(self, views: ViewStore) -> None:
        loaded = await views.load(COUNTS, [("a",)])
        assert (loaded.position, dict(loaded.rows)) == (0, {})
        assert await views.checkpoint(COUNTS) == 0

    async def test_what_is_saved_is_loaded_with_its_checkpoint(self, views: ViewStore) -> None:
        rows = [Count("a", 1), Count("b", 2)]
        assert await views.save(COUNTS, rows, [], expected=0, position=7)
        loaded = await views.load(COUNTS, [("a",), ("b",), ("never",)])
        assert loaded.position == 7
        assert loaded.rows == {("a",): Count("a", 1), ("b",): Count("b", 2)}

    async def test_a_row_of_the_same_key_is_replaced(self, views: ViewStore) -> None:
        await put(views, COUNTS, Count("a", 1))
        await put(views, COUNTS, Count("a", 2))
        assert (await views.load(COUNTS, [("a",)])).rows == {("a",): Count("a", 2)}

    async def test_a_deleted_row_is_gone_and_another_stays(self, views: ViewStore) -> None:
        await put(views, COUNTS, Count("a", 1), Count("b", 2))
        await put(views, COUNTS, Count("c", 3), delete=["a", "never"])
        rows = (await views.load(COUNTS, [("a",), ("b",), ("c",)])).rows
        assert rows == {("b",): Count("b", 2), ("c",): Count("c", 3)}

    async def test_from_another_place_nothing_is_saved(self, views: ViewStore) -> None:
        await put(views, COUNTS, Count("a", 1))
        stale = await views.save(COUNTS, [Count("a", 9)], [("b",)], expected=0, position=5)
        assert stale is False
        loaded = await views.load(COUNTS, [("a",)])
        assert (loaded.position, loaded.rows) == (1, {("a",): Count("a", 1)})

    async def test_of_two_who_save_at_once_one_gets_through(self, views: ViewStore) -> None:
        saves = [
            views.save(COUNTS, [Count("a", number)], [], expected=0, position=10 + number)
            for number in range(5)
        ]
        done = await asyncio.gather(*saves)
        assert sorted(done) == [False] * 4 + [True]
        loaded = await views.load(COUNTS, [("a",)])
        winner = done.index(True)
        assert (loaded.position, loaded.rows) == (10 + winner, {("a",): Count("a", winner)})

    async def test_a_checkpoint_moves_without_rows(self, views: ViewStore) -> None:
        assert await views.save(COUNTS, [], [], expected=0, position=12)
        assert await views.checkpoint(COUNTS) == 12

    async def test_views_have_their_own_checkpoints(self, views: ViewStore) -> None:
        await put(views, COUNTS, Count("a", 1))
        assert await views.checkpoint(PRICED) == 0

    async def test_a_composite_key_names_one_row(self, views: ViewStore) -> None:
        first, second = priced(1, "1.10"), Priced(date(2026, 7, 2), Decimal("1.10"), 2)
        await put(views, PRICED, first, second)
        keys = [(row.day, row.price) for row in (first, second)]
        assert (await views.load(PRICED, keys)).rows == dict(
            zip(keys, (first, second), strict=True)
        )
        await put(views, PRICED, delete=[keys[0]])
        assert (await views.load(PRICED, keys)).rows == {keys[1]: second}

    async def test_equal_decimals_are_one_key(self, views: ViewStore) -> None:
        await put(views, PRICED, priced(1, "1.1"))
        await put(views, PRICED, priced(2, "1.100"))
        found = await views.load(PRICED, [(date(2026, 7, 1), Decimal("1.10"))])
        assert [row.count for row in found.rows.values()] == [2]
        await put(views, PRICED, delete=[(date(2026, 7, 1), Decimal("1.1000"))])
        assert (await views.load(PRICED, [(date(2026, 7, 1), Decimal("1.1"))])).rows == {}

    async def test_many_rows_are_saved_and_loaded_at_once(self, views: ViewStore) -> None:
        rows = [Count(f"n{number}", number) for number in range(3000)]
        await put(views, COUNTS, *rows)
        loaded = await views.load(COUNTS, [(row.name,) for row in rows])
        assert loaded.rows == {(row.name,): row for row in rows}

    @pytest.mark.parametrize(
        "name",
        ["", " ", "a'b", 'a"b', "a\\b", "a\nb", "ä", "🎫", "%", "null", "1", "1e3", "é", "e\u0301"],
    )
    async def test_any_text_is_a_key_of_its_own(self, views: ViewStore, name: str) -> None:
        await put(views, COUNTS, Count("other", 1), Count(name, 2))
        assert (await views.load(COUNTS, [(name,)])).rows == {(name,): Count(name, 2)}
        async with views.session() as session:
            assert await session.get(COUNTS, (name,)) == Count(name, 2)

    async def test_a_key_is_not_cut_at_a_zero_character(self, views: ViewStore) -> None:
        await put(views, COUNTS, Count("a", 1), Count("a\0b", 2))
        rows = (await views.load(COUNTS, [("a\0b",)])).rows
        assert rows == {("a\0b",): Count("a\0b", 2)}

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("text", 5),
            ("number", "5"),
            ("number", 2**63),
            ("number", True),
            ("real", float("nan")),
            ("real", float("inf")),
            ("flag", 1),
            ("raw", "text"),
            ("price", 1.5),
            ("price", Decimal("NaN")),
            ("day", "2026-07-01"),
            ("at", datetime(2026, 7, 1)),  # noqa: DTZ001
            ("at", date(2026, 7, 1)),
            ("lasted", 5),
            ("ref", "text"),
            ("colour", "red"),
            ("level", "middle"),
            ("step", 3),
            ("text", None),
        ],
    )
    async def test_a_value_of_another_type_is_refused_and_names_its_field(
        self, views: ViewStore, field: str, value: Any
    ) -> None:
        with pytest.raises(BadResult, match=rf"view Everything has a row whose '{field}' "):
            await put(views, EVERYTHING, plain(**{field: value}))
        assert await views.checkpoint(EVERYTHING) == 0

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("lines", ("no line",)),
            ("words", {"a": "one"}),
            ("either", 1.5),
            ("maybe_lines", [object()]),
        ],
    )
    async def test_a_json_value_of_another_type_is_refused_and_names_its_field(
        self, views: ViewStore, field: str, value: Any
    ) -> None:
        with pytest.raises(BadResult, match=rf"view Everything has a row whose '{field}' "):
            await put(views, EVERYTHING, plain(**{field: value}))
        assert await views.checkpoint(EVERYTHING) == 0

    @pytest.mark.parametrize("key", [("a", "b"), (5,), (None,), ()])
    async def test_a_key_of_another_shape_is_refused(
        self, views: ViewStore, key: tuple[object, ...]
    ) -> None:
        with pytest.raises(BadResult, match="view Count has"):
            await views.load(COUNTS, [key])

    async def test_whoever_waits_for_a_checkpoint_is_woken(self, views: ViewStore) -> None:
        waiting = asyncio.create_task(views.wait(COUNTS, 3))
        await views.save(COUNTS, [], [], expected=0, position=2)
        await asyncio.sleep(0.03)
        assert not waiting.done()
        await views.save(COUNTS, [], [], expected=2, position=4)
        await asyncio.wait_for(waiting, 5)
        await asyncio.wait_for(views.wait(COUNTS, 4), 5)
        await asyncio.wait_for(views.wait(COUNTS, 0), 5)
