"""How Hypothesis searches within the contracts."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

searching = settings(
    max_examples=60,
    deadline=None,
    # The examples share one store, each under names of its own; and every adapter runs the test.
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.differing_executors,
        HealthCheck.too_slow,
    ],
)
