"""State machines over pots in a table: falling over, started again, and with others at the rows."""

from __future__ import annotations

import asyncio

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.integration.dictionary import Command, Dictionary, Refusal
from tests.integration.pots import Take
from tests.integration.tables import Program, table_bank
from tests.integration.test_against_a_dictionary import BankOnAFile, pot_names, thorough


class DictionaryOfRows(Dictionary):
    """In which somebody else puts, too, without a command or an event."""

    def __init__(self) -> None:
        super().__init__()
        self.besides: dict[str, int] = {}

    def amount(self, pot: str) -> int:
        return sum(self.pots.get(pot, ())) + self.besides.get(pot, 0)

    def refusal(self, command: Command) -> Refusal | None:
        if not isinstance(command, Take):
            return super().refusal(command)
        there = self.amount(command.pot)
        return ("too_little", {"there": there}) if command.amount > there else None


class OwnedTable(BankOnAFile):
    """Nobody else writes the table."""

    owned = True

    def open(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.app = table_bank(self.url, owned=self.owned)
        self.run(self.app.__aenter__())


class SharedTable(OwnedTable):
    """Another program writes it as well."""

    owned = False

    def __init__(self) -> None:
        super().__init__()
        self.rows = DictionaryOfRows()
        self.model = self.rows

    @rule(pot=pot_names, amount=st.integers(1, 5))
    def somebody_else_puts(self, pot: str, amount: int) -> None:
        program = Program(self.url)
        program(
            "INSERT INTO pots (id, amount) VALUES (?, ?) "
            "ON CONFLICT (id) DO UPDATE SET amount = amount + excluded.amount",
            (pot, amount),
        )
        program.close()
        self.rows.besides[pot] = self.rows.besides.get(pot, 0) + amount

    @rule(pot=pot_names)
    def somebody_else_writes_a_note(self, pot: str) -> None:
        program = Program(self.url)
        program("UPDATE pots SET note = coalesce(note, '') || '.' WHERE id = ?", (pot,))
        program.close()

    @rule()
    def look_at_the_rows(self) -> None:
        program = Program(self.url)
        found = program.pots()
        program.close()
        for pot in ("a", "b"):
            amount, events = found.get(pot, (0, 0))
            assert amount == self.rows.amount(pot)
            assert events == len(self.rows.pots.get(pot, ()))

    def teardown(self) -> None:
        if hasattr(self, "app"):
            self.look_at_the_rows()
        super().teardown()


TestOwnedTable = OwnedTable.TestCase
TestOwnedTable.settings = settings(thorough, max_examples=15)
TestSharedTable = SharedTable.TestCase
TestSharedTable.settings = thorough
