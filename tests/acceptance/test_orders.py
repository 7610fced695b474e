"""The orders program of the contract: commands in lists, a part with a policy, a view with items."""

from __future__ import annotations

import importlib
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from diptych import App, Principal, Refused
from diptych.errors import Denied
from diptych.testing import ManualClock, given
from tests.acceptance.test_cinema import CINEMA


@pytest.fixture
def orders(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(CINEMA))
    return importlib.import_module("orders")


PROGRAMS = Path(__file__).parent / "programs"
"""Contract programs that cannot run to their end yet."""

CLERK = Principal("ann", roles=frozenset({"clerk"}))
NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("store", ["memory://", "sqlite:///{}/shop.db"])
async def test_a_part_is_wired_into_an_app_and_runs_twice(
    orders: Any, store: str, tmp_path: Path
) -> None:
    lines = (orders.Line("tea", 2, Decimal("3.50")), orders.Line("tea", 1, Decimal(4)))
    for run in range(2):
        app = App(
            "shop",
            store=store.format(tmp_path),
            parts=[orders.ordering],
            clock=ManualClock(NOON),
        )
        async with app:
            placed = await app.execute(orders.PlaceOrder(f"o{run}", lines), principal=CLERK)
            assert placed.events == (orders.OrderPlaced(f"o{run}", lines, NOON, "ann"),)
            with pytest.raises(Denied, match="only a clerk cancels"):
                await app.execute(orders.CancelOrder(f"o{run}", "no"), principal=Principal("bob"))
            await app.execute(orders.CancelOrder(f"o{run}", "no"), principal=CLERK)
            with pytest.raises(Refused, match="is cancelled"):
                await app.execute(orders.CancelOrder(f"o{run}", "no"), principal=CLERK)
            await app.settled()


def test_the_view_adds_the_lines_of_a_day_up(orders: Any) -> None:
    lines = (orders.Line("tea", 2, Decimal(3)), orders.Line("milk", 1, Decimal(1)))
    more = (orders.Line("tea", 5, Decimal(3)),)
    given(
        orders.demand,
        orders.OrderPlaced("o1", lines, NOON, "ann"),
        orders.OrderPlaced("o2", more, NOON, "bob"),
    ).shows(
        orders.Demand("tea", "2026-07-01", 7, 2),
        orders.Demand("milk", "2026-07-01", 1, 1),
    )


async def test_the_handlers_program_runs_up_to_its_queue_twice(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Until commands are queued, `ConfirmOrder` is executed instead of enqueued."""
    monkeypatch.syspath_prepend(str(PROGRAMS))
    monkeypatch.chdir(tmp_path)
    program = importlib.import_module("order_handlers")
    for _ in range(2):
        async with program.app as app:
            placed = await app.execute(program.PlaceOrder("o1"), id="place-o1")
            assert placed.events == (program.OrderPlaced("o1"),)
            confirmed = await app.execute(program.ConfirmOrder("o1"), id="confirm-o1")
            assert confirmed.events == (program.OrderConfirmed("o1"),)
            assert await app.ask(program.ConfirmedOrders()) == 1
            answer = await app.answer(program.ConfirmedOrders())
            assert (answer.position, answer.stale) == (2, False)
            with pytest.raises(Refused, match="exists"):
                await app.execute(program.PlaceOrder("o1"))
