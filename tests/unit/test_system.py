"""The machine's ids: never the same twice, whoever draws them."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from diptych.adapters.system import UuidV7


@pytest.fixture
def _restless() -> Iterator[None]:
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("_restless")
def test_threads_never_draw_the_same_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 1)  # all in one millisecond
    ids = UuidV7()
    with ThreadPoolExecutor(8) as pool:
        drawn = list(pool.map(lambda _: ids.new(), range(100_000), chunksize=1000))
    assert len(set(drawn)) == 100_000


def test_ids_are_uuids_of_version_7_and_ascend_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = UuidV7()
    early = ids.new()
    monkeypatch.setattr(time, "time_ns", lambda: 2**45 * 1_000_000)
    late = ids.new()
    assert early < late
    assert [(id[14], id[19] in "89ab", len(id)) for id in (early, late)] == [("7", True, 36)] * 2
