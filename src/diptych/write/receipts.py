"""What a command is answered: with a receipt, or with what it was answered the first time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from diptych.errors import IdReused, Refused
from diptych.log.codec import EventCodec
from diptych.log.commit import Appended, Outcome, Refusal, Settled
from diptych.log.forms import fields_of
from diptych.log.port import Store
from diptych.message import Receipt


class Receipts:
    """Makes the receipts of one app."""

    def __init__(self, context: str, store: Store, codec: EventCodec) -> None:
        self._context = context
        self._store = store
        self._codec = codec

    def of(self, id: str, stream: str, committed: Appended, events: Sequence[Any]) -> Receipt:
        """For what has just been committed."""
        return Receipt(
            context=self._context,
            epoch=self._store.epoch,
            position=committed.position,
            command_id=id,
            stream=stream,
            version=committed.versions[0],
            events=tuple(events),
        )

    async def repeat(self, settled: Settled, outcome: Outcome, tenant: str) -> Receipt:
        """What the command was answered the first time.

        Raises:
            Refused: It was refused.
            IdReused: It was another command.
        """
        if settled.fingerprint != outcome.fingerprint:
            raise IdReused(settled.id)
        if settled.refusal is not None:
            refused = Refused(
                settled.refusal.code, settled.refusal.message, **settled.refusal.values
            )
            refused.position = settled.position
            raise refused
        events: Sequence[Any] = ()
        if settled.count:
            events = [
                self._codec.decode(stored)
                for stored in await self._store.read_stream(
                    tenant,
                    settled.stream,
                    after=settled.version - settled.count,
                    limit=settled.count,
                )
            ]
        return Receipt(
            context=self._context,
            epoch=self._store.epoch,
            position=settled.position,
            command_id=settled.id,
            stream=settled.stream,
            version=settled.version,
            events=tuple(events),
        )


def refusal_of(refused: Refused) -> Refusal:
    """A refusal as it is stored."""
    try:
        values: dict[str, Any] = msgspec.to_builtins(
            refused.values, str_keys=True, enc_hook=fields_of
        )
    except (TypeError, ValueError):
        values = {name: str(value) for name, value in refused.values.items()}
    return Refusal(refused.code, refused.message, values)
