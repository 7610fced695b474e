"""All that is asked of chains, outcomes and refusals, asked of pots that are kept in a table."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from types import ModuleType

import pytest

from diptych import App, InvalidMessage, Principal
from tests.integration import test_chains as chains
from tests.integration import test_executing as executing
from tests.integration.pots import Put
from tests.integration.tables import table_bank


class InATable:
    """The bank that these tests open keeps its pots in a table."""

    modules: tuple[ModuleType, ...] = (chains, executing)

    @pytest.fixture(params=[False, True], ids=["compared", "owned"], autouse=True)
    def owned(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
        """Whether nobody else writes the table."""
        for module in self.modules:
            monkeypatch.setattr(module, "bank", partial(table_bank, owned=request.param))
        return bool(request.param)

    @pytest.fixture
    def file(self, database: str) -> str:
        return database

    @pytest.fixture
    def url(self, file: str) -> str:
        return file

    @pytest.fixture
    async def app(self, file: str, owned: bool) -> AsyncIterator[App]:
        async with table_bank(file, owned=owned) as app:
            yield app


class TestOneApp(InATable, chains.TestOneApp):
    pass


class TestCancelling(InATable, chains.TestCancelling):
    pass


class TestTwoApps(InATable, chains.TestTwoApps):
    pass


class TestReceipts(InATable, executing.TestReceipts):
    pass


class TestRepetition(InATable, executing.TestRepetition):
    async def test_an_id_may_come_again_from_another_tenant(self, app: App) -> None:
        """Not here: rows have no tenant, so two tenants would read and write the same ones."""
        with pytest.raises(InvalidMessage, match=r"'principal'.*'one' has no rows.*'pots'"):
            await app.execute(Put("a", 5), principal=Principal("x", tenant="one"))
        assert await app.log.head() == 0
