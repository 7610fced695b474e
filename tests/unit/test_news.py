"""Who waits is woken by this process, by word of another one, or by a poll."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from diptych.adapters import news as module
from diptych.adapters.news import News
from diptych.errors import StoreUnavailable

NEVER = 3600.0


class Somewhere:
    """A position that somebody else may move."""

    def __init__(self) -> None:
        self.position = 0
        self.asked = 0
        self.away = False

    async def ask(self) -> int:
        self.asked += 1
        if self.away:
            raise StoreUnavailable("It is away.")
        return self.position


@pytest.fixture
def there() -> Somewhere:
    return Somewhere()


@pytest.fixture
async def news(there: Somewhere) -> AsyncIterator[News]:
    news = News(there.ask)
    yield news
    news.close()


@pytest.fixture
def no_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SOONEST", "LATEST", "CALMEST"):
        monkeypatch.setattr(module, name, NEVER)


@pytest.mark.usefixtures("no_polls")
async def test_what_is_told_wakes_those_who_wait_for_less(news: News) -> None:
    first, second = (asyncio.create_task(news.wait(after)) for after in (0, 1))
    await asyncio.sleep(0)
    news.tell(1)
    await first
    assert not second.done()
    news.tell(2)
    await second


@pytest.mark.usefixtures("no_polls")
async def test_word_of_another_process_wakes(news: News) -> None:
    waiting = asyncio.create_task(news.wait(0))
    await asyncio.sleep(0)
    news.hear(1)
    await waiting


async def test_a_poll_finds_what_nobody_said(news: News, there: Somewhere) -> None:
    waiting = asyncio.create_task(news.wait(0))
    await asyncio.sleep(0.03)
    there.position = 1
    await waiting


async def test_a_poll_that_fails_is_not_the_last(news: News, there: Somewhere) -> None:
    there.away = True
    waiting = asyncio.create_task(news.wait(0))
    while not there.asked:
        await asyncio.sleep(0.001)
    there.position, there.away = 1, False
    await waiting


async def test_polls_are_rare_as_long_as_others_are_heard(
    news: News, there: Somewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SOONEST", 0.0001)
    monkeypatch.setattr(module, "LATEST", 0.0001)
    monkeypatch.setattr(module, "CALMEST", NEVER)
    news.hear(1)
    waiting = asyncio.create_task(news.wait(1))
    await asyncio.sleep(0.05)
    assert there.asked < 40  # each pause is half as long again: so many take more than 500 s
    news.hurry()
    while there.asked < 100:
        await asyncio.sleep(0.001)
    news.tell(2)
    await waiting


async def test_what_a_poll_has_found_makes_polls_quick_again(
    news: News, there: Somewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SOONEST", 0.0001)
    monkeypatch.setattr(module, "LATEST", 0.0001)
    monkeypatch.setattr(module, "CALMEST", NEVER)
    news.hear(1)
    there.position = 2
    await news.wait(1)
    waiting = asyncio.create_task(news.wait(2))
    while there.asked < 100:
        await asyncio.sleep(0.001)
    news.tell(3)
    await waiting


@pytest.mark.usefixtures("no_polls")
async def test_who_hurries_asks_at_once(news: News, there: Somewhere) -> None:
    news.hear(1)
    waiting = asyncio.create_task(news.wait(1))
    await asyncio.sleep(0)
    there.position = 2
    news.hurry()
    await waiting


@pytest.mark.usefixtures("no_polls")
async def test_a_nudge_asks_at_once(news: News, there: Somewhere) -> None:
    waiting = asyncio.create_task(news.wait(0))
    await asyncio.sleep(0)
    there.position = 1
    news.nudge()
    await waiting


@pytest.mark.usefixtures("no_polls")
async def test_nobody_waits_for_what_is_closed(news: News) -> None:
    waiting = asyncio.create_task(news.wait(0))
    await asyncio.sleep(0)
    news.close()
    await waiting
    await news.wait(5)
