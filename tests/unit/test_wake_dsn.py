"""Where an app on PostgreSQL is woken from is checked when the app is made."""

from __future__ import annotations

import pytest

from diptych import App, WiringError

SERVER = "postgresql://user:secret@127.0.0.1:5432/shop"


def test_a_store_on_postgresql_may_name_its_server() -> None:
    App("shop", store=f"{SERVER}?statement_cache_size=0", wake_dsn=SERVER)


@pytest.mark.parametrize("url", ["memory://", "sqlite://", "sqlite:///shop.db"])
def test_other_stores_have_none(url: str) -> None:
    with pytest.raises(WiringError, match=r"wake_dsn=.*Leave it out"):
        App("shop", store=url, wake_dsn=SERVER)


@pytest.mark.parametrize("dsn", ["", "shop", "sqlite:///shop.db", "http://user:secret@host/"])
def test_the_server_is_a_postgresql(dsn: str) -> None:
    with pytest.raises(WiringError, match="wake_dsn=") as refused:
        App("shop", store=SERVER, wake_dsn=dsn)
    assert "secret" not in str(refused.value)


def test_a_malformed_one_is_refused_without_its_password() -> None:
    with pytest.raises(WiringError) as refused:
        App("shop", store=SERVER, wake_dsn="postgresql://user:secret@host:port/shop")
    assert "secret" not in str(refused.value)
