"""Whole apps: in Python, on SQLite in memory, and on a file."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from diptych import App
from tests.integration.pots import bank, file_url


@pytest.fixture(params=["memory://", "sqlite://", "sqlite:///", "postgresql://"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of an empty store."""
    given: str = request.param
    if given == "postgresql://":
        url: str = request.getfixturevalue("postgres")
        return url
    return file_url(tmp_path / "bank.db") if given == "sqlite:///" else given


@pytest.fixture(params=["sqlite:///", "postgresql://"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of an empty store that survives its app, and that several may open."""
    if request.param == "postgresql://":
        url: str = request.getfixturevalue("postgres")
        return url
    return file_url(tmp_path / "bank.db")


@pytest.fixture
def file(tmp_path: Path) -> str:
    """Of an empty file."""
    return file_url(tmp_path / "bank.db")


@pytest.fixture
async def app(url: str) -> AsyncIterator[App]:
    """An open app of the bank."""
    async with bank(url) as app:
        yield app


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> str:
    """Of an empty database that may have tables of the users' own, besides the log."""
    if request.param == "sqlite":
        return file_url(Path(request.getfixturevalue("tmp_path")) / "shop.db")
    url: str = request.getfixturevalue("postgres")
    return url
