"""What test files share explains a failed assertion as test files do; servers are fixtures."""

import pytest

pytest_plugins = ["tests.servers.fixtures"]

pytest.register_assert_rewrite(
    "tests.contract.appending",
    "tests.contract.commits",
    "tests.contract.conditions",
    "tests.contract.grouping",
    "tests.contract.outcomes",
    "tests.contract.postgres_ways",
    "tests.contract.read_only",
    "tests.contract.reading",
    "tests.contract.sharing",
    "tests.contract.state_rows",
    "tests.contract.view_columns",
    "tests.contract.view_models",
    "tests.contract.view_rows",
    "tests.contract.view_saving",
    "tests.contract.view_sessions",
    "tests.integration.dictionary",
    "tests.integration.model_pots",
    "tests.integration.pots",
)
