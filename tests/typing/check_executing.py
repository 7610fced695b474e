"""What type checkers must conclude about commands and receipts. Checked, never run."""

from datetime import datetime
from typing import assert_type

from diptych import App, Principal, Receipt, Recorded, Refused
from showing import ReserveSeats, SeatsReserved, showings


async def execute_gives_a_receipt(app: App) -> None:
    receipt = await app.execute(ReserveSeats("s1", 2))
    assert_type(receipt, Receipt)
    assert_type(receipt.position, int)
    assert_type(receipt.context, str)
    assert_type(receipt.epoch, str)


async def what_goes_with_a_command_is_named(app: App, seen: Receipt) -> None:
    assert_type(
        await app.execute(ReserveSeats("s1", 2), id="c1", seen=seen, principal=Principal("clerk")),
        Receipt,
    )
    await app.execute(ReserveSeats("s1", 2), "c1")  # type: ignore[call-arg]


async def entering_an_app_gives_the_app() -> None:
    async with App("cinema", store="memory://", write=[showings]) as app:
        assert_type(app, App)


def a_refusal_has_a_code_and_a_message(refused: Refused) -> None:
    assert_type(refused.code, str)
    assert_type(refused.message, str)


def a_recorded_event_keeps_its_type(recorded: Recorded[SeatsReserved]) -> None:
    assert_type(recorded.event, SeatsReserved)
    assert_type(recorded.position, int)
    assert_type(recorded.time, datetime)
