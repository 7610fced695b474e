"""The pots of the bank in an ordinary table, which other programs read and write, too."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from diptych import App, Rows, StateStored
from tests.integration.other_program import OtherProgram
from tests.integration.pots import Pot, bank, nights, pot_decider


class Base(DeclarativeBase): ...


class PotRow(Base):
    """`note` is another program's; the model does not know it."""

    __tablename__ = "pots"
    id: Mapped[str] = mapped_column(primary_key=True)
    amount: Mapped[int]
    events: Mapped[int] = mapped_column(server_default="0")
    mark: Mapped[str] = mapped_column(server_default="")
    note: Mapped[str | None]


def to_pot(row: PotRow) -> Pot:
    return Pot(row.amount, row.events, row.mark)


def to_row(key: str, pot: Pot) -> PotRow | None:
    return PotRow(id=key, amount=pot.amount, events=pot.events, mark=pot.mark)


pot_rows = Rows(PotRow, to_state=to_pot, to_row=to_row)
table_pots = StateStored("pot", pot_decider, key="pot", rows=pot_rows)
owned_pots = StateStored("pot", pot_decider, key="pot", rows=pot_rows, owned=True)


def table_bank(url: str, *, owned: bool = False, **more: Any) -> App:
    """The bank with its pots in a table."""
    pots = owned_pots if owned else table_pots
    return bank(url, **{"write": [pots, nights]} | more)


class Program(OtherProgram):
    """Another program that uses the same database."""

    def pots(self) -> dict[str, tuple[int, int]]:
        """Amount and number of events of each pot."""
        rows = self("SELECT id, amount, events FROM pots ORDER BY id")
        return {id: (amount, events) for id, amount, events in rows}
