"""`python -m benchmarks growth`: what throughput is over a log of 10 thousand to 10 million events.

The logs are filled once and then lie side by side, so that within a round one size is measured
right after the other: a ratio is taken within its round.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.environment import environment
from benchmarks.filling import BYTES, fill
from benchmarks.growth_report import BASE, write_growth
from benchmarks.measuring import STORE
from benchmarks.server import Server, server

ROOT = Path(__file__).parent.parent
EVIDENCE = ROOT / "docs" / "evidence"
SIZES = (BASE, 1_000_000, 10_000_000)
STORES = ("SQLite", "PostgreSQL")
WORKS = ("warm", "cold")

Keep = Callable[[dict[str, Any]], None]


def grow(asked: argparse.Namespace, data: Path) -> int:
    """Measures, keeps the raw results and draws them; the report shows the newest."""
    sizes: list[int] = asked.events or list(SIZES)
    _demand_room(data, sizes)
    stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%d-%H%M%S")
    EVIDENCE.mkdir(parents=True, exist_ok=True)
    target = data / "growth.jsonl" if asked.smoke else EVIDENCE / f"growth-{stamp}.jsonl"
    with server(asked.postgres, smoke=asked.smoke) as postgres, target.open("w") as results:

        def keep(line: dict[str, Any]) -> None:
            results.write(json.dumps(line) + "\n")
            results.flush()

        settings = {"rounds": asked.rounds, "seconds": asked.seconds, "loop": asked.loop}
        keep({"kind": "run", "started": stamp, **environment(data), "postgres": postgres.about,
              "settings": settings, "sizes": sizes})  # fmt: skip
        failures = _measure(sizes, asked, _Stores(data, postgres), keep)
    print(write_growth(target))
    return 1 if failures else 0


def _measure(sizes: list[int], asked: argparse.Namespace, stores: _Stores, keep: Keep) -> int:
    failures = 0
    with ExitStack() as kept:
        long = {
            (store, events): kept.enter_context(stores.filled(store, events, keep))
            for store in STORES
            for events in sizes
            if events > BASE
        }
        for turn in range(asked.rounds):
            for store in STORES:
                for work in WORKS:
                    # to and fro: what drifts takes each size first as often as last
                    for events in sizes[:: -1 if turn % 2 else 1]:
                        with ExitStack() as once:
                            # what is measured is written: a small log would soon be no longer one
                            url = long.get((store, events)) or once.enter_context(
                                stores.filled(store, events, None)
                            )
                            found = _one(url, work, events, asked)
                        line = {"kind": "growth", "store": store, "work": work,
                                "events": events, "round": turn, **found}  # fmt: skip
                        keep(line)
                        told = found.get("error") or f"{found['value']:10,.0f}/s"
                        print(f"{store:10s} {work} {events:10,d} r{turn} {told}", flush=True)
                        failures += "error" in found
    return failures


class _Stores:
    """Makes stores with a log in them."""

    def __init__(self, data: Path, postgres: Server) -> None:
        self._data = data
        self._postgres = postgres

    @contextmanager
    def filled(self, store: str, events: int, keep: Keep | None) -> Iterator[str]:
        """The URL of a store that goes afterwards."""
        with self._empty(store, events) as url:
            filled = fill(url, events)
            if keep is not None:
                keep({"kind": "fill", "store": store, "events": events, **filled})
                print(f"{store:10s} filled with {events:,d} events in {filled['seconds']} s, "
                      f"{filled['bytes'] / 2**20:,.0f} MiB", flush=True)  # fmt: skip
            yield url

    @contextmanager
    def _empty(self, store: str, events: int) -> Iterator[str]:
        if store == "PostgreSQL":
            with self._postgres.database() as url:
                yield url
            return
        folder = self._data / f"growth-{events}"
        folder.mkdir()
        try:
            yield f"sqlite:///{folder / 'bench.db'}"
        finally:
            shutil.rmtree(folder)


def _one(url: str, work: str, events: int, asked: argparse.Namespace) -> dict[str, Any]:
    words = [sys.executable, "-m", "benchmarks.ours.growing", work, str(events),
             "--seconds", str(asked.seconds), "--loop", asked.loop]  # fmt: skip
    done = subprocess.run(
        words, cwd=ROOT, env={**os.environ, STORE: url}, capture_output=True, text=True
    )
    if done.returncode:  # said in the report; the logs took long to fill, and the run goes on
        return {"error": (done.stderr.strip().splitlines() or ["no message"])[-1]}
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def _demand_room(data: Path, sizes: list[int]) -> None:
    wanted = sum(sizes) * BYTES * len(STORES)
    free = shutil.disk_usage(data).free
    if free < wanted:
        raise SystemExit(
            f"growth needs {wanted / 2**30:.1f} GiB on the disk, {free / 2**30:.1f} are free. "
            "Make room, or name fewer with --events."
        )
