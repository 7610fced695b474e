"""Who has a store open, as a database's rows tell it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from diptych.log.inspection import Process
from diptych.log.presence import ViewProgress

_decode_views = msgspec.json.Decoder(tuple[ViewProgress, ...]).decode


def process_of(row: Sequence[Any]) -> Process:
    """A process from its row: id, host, space, pid, started, seen, left, views."""
    id, host, space, pid, started, seen, left, views = row
    return Process(
        id=id,
        host=host,
        space=space,
        pid=pid,
        started=started,
        seen=seen,
        left=left,
        views=_decode_views(views),
    )
