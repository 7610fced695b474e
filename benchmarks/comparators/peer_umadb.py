"""Peer: umadb, a DCB event store in Rust behind gRPC on 127.0.0.1, with its own durability."""

from __future__ import annotations

import signal
import socket
import subprocess
import sysconfig
import threading
import time
from pathlib import Path
from uuid import uuid4

import umadb

from benchmarks.comparators.payload import PAYLOAD
from benchmarks.measuring import Measure, Measured, Settings


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_server(port: int, server: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        if server.poll() is not None:
            raise RuntimeError(f"umadb ended at its start with status {server.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("umadb did not listen within 10 s")


def conditional_append(threads: int) -> Measure:
    """One event per append, with a tag of its own that nothing else may carry."""

    def measure(settings: Settings) -> Measured:
        program = Path(sysconfig.get_path("scripts")) / "umadb"
        port = _free_port()
        file = settings.fresh("uma") / "u.db"
        server = subprocess.Popen(
            [str(program), "--listen", f"127.0.0.1:{port}", "--db-path", str(file)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            _await_server(port, server)
            done = [0] * threads
            start = time.perf_counter()
            end = start + settings.seconds

            def work(thread: int) -> None:
                client = umadb.Client(f"http://127.0.0.1:{port}")
                while time.perf_counter() < end:
                    tag = f"acc:{uuid4()}"
                    query = umadb.Query([umadb.QueryItem(tags=[tag])])
                    condition = umadb.AppendCondition(query, None)
                    client.append([umadb.Event("Deposited", PAYLOAD, [tag])], condition)
                    done[thread] += 1

            workers = [threading.Thread(target=work, args=(i,)) for i in range(threads)]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
            return Measured(sum(done) / (time.perf_counter() - start))
        finally:
            server.send_signal(signal.SIGTERM)
            try:
                server.wait(8)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()

    return measure
