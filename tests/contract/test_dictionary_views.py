"""Views in dictionaries keep the contract, as far as it needs no SQL."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from diptych.adapters.dictionary.views import DictionaryViews
from diptych.errors import NotOpen
from diptych.read.port import Begun, Origin
from tests.contract.view_rows import COUNTS, ORIGIN, Count, put
from tests.contract.view_sessions import ManyMoments
from tests.contract.view_store_contract import ALL_SHAPES, ViewStoreContract


@pytest.fixture
async def dictionary() -> AsyncIterator[DictionaryViews]:
    views = DictionaryViews()
    await views.open(ALL_SHAPES, origin=ORIGIN)
    yield views
    await views.close()


class TestDictionaryViews(ViewStoreContract, ManyMoments):
    @pytest.fixture
    def views(self, dictionary: DictionaryViews) -> DictionaryViews:
        return dictionary


async def test_it_begins_empty_and_is_filled_at_the_head_of_its_start() -> None:
    views = DictionaryViews()
    begun = await views.open(ALL_SHAPES, origin=Origin("c", "e", 7))
    assert set(begun.values()) == {Begun(0, 7)}
    await put(views, COUNTS, Count("a", 1))
    await views.close()
    with pytest.raises(NotOpen):
        await views.load(COUNTS, [("a",)])
    begun = await views.open(ALL_SHAPES, origin=Origin("c", "e", 9))
    assert begun[COUNTS.checkpoint] == Begun(0, 9)
    assert (await views.load(COUNTS, [("a",)])).rows == {}


async def test_what_was_replaced_is_forgotten_when_nobody_looks_at_it(
    dictionary: DictionaryViews,
) -> None:
    rows = dictionary.of(COUNTS)
    async with dictionary.session() as long:
        await long.begin()
        for number in range(1, 20):
            await put(dictionary, COUNTS, Count("a", number), delete=["b"])
            async with dictionary.session() as short:
                assert await short.get(COUNTS, ("a",)) == Count("a", number)
        assert await long.get(COUNTS, ("a",)) is None
        assert len(rows._replaced["a",]) == 19
    await put(dictionary, COUNTS, Count("a", 20))
    assert not rows._replaced
    assert not rows._remembered
