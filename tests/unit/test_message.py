"""Words that all sides share."""

from __future__ import annotations

from msgspec.structs import replace

from diptych import Receipt

receipt = Receipt(
    context="shop",
    epoch="e",
    position=3,
    command_id="c",
    stream="shop:tea",
    version=2,
    events=("what was decided",),
)


def test_receipts_of_one_command_at_one_place_are_equal_and_not_unequal() -> None:
    repeated = replace(receipt, events=())
    assert repeated == receipt
    assert not repeated != receipt  # noqa: SIM202
    assert hash(repeated) == hash(receipt)


def test_another_place_command_or_log_makes_another_receipt() -> None:
    for other in (
        replace(receipt, position=4),
        replace(receipt, command_id="d"),
        replace(receipt, epoch="f"),
        replace(receipt, context="bar"),
    ):
        assert other != receipt
        assert not other == receipt  # noqa: SIM201
