# pyright: basic
# The peer is typed loosely; nothing here is built upon.
"""Peer: eventsourcing's dynamic consistency boundary on PostgreSQL, threads that append."""

from __future__ import annotations

import threading
import time
from uuid import uuid4

from eventsourcing.dcb.api import DCBAppendCondition, DCBEvent, DCBQuery, DCBQueryItem
from eventsourcing.dcb.application import DCBApplication

from benchmarks.comparators.payload import PAYLOAD
from benchmarks.comparators.peer_eventsourcing import assert_synchronous, environment_of
from benchmarks.measuring import Measure, Measured, Settings


class _Bank(DCBApplication):
    pass


def conditional_append(threads: int) -> Measure:
    """One event per append, with a tag of its own that nothing else may carry."""

    def measure(settings: Settings) -> Measured:
        environment = environment_of(settings)
        environment["PERSISTENCE_MODULE"] = "eventsourcing.dcb.postgres_tt"
        done = [0] * threads
        with _Bank(environment) as app:
            start = time.perf_counter()
            end = start + settings.seconds

            def work(thread: int) -> None:
                while time.perf_counter() < end:
                    tag = f"acc:{uuid4()}"
                    query = DCBQuery(items=[DCBQueryItem(types=[], tags=[tag])])
                    condition = DCBAppendCondition(fail_if_events_match=query, after=0)
                    event = DCBEvent(type="Deposited", data=PAYLOAD, tags=[tag])
                    app.recorder.append([event], condition)
                    done[thread] += 1

            workers = [threading.Thread(target=work, args=(i,)) for i in range(threads)]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
            took = time.perf_counter() - start
            assert_synchronous(app)
        return Measured(sum(done) / took)

    return measure
