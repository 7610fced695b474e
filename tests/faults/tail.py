"""`python -m tests.faults.tail FILE`: a process that follows the log and prints each position."""

from __future__ import annotations

import argparse
import asyncio
import os
from pathlib import Path

from tests.faults.ledger import app


async def follow(file: Path) -> None:
    """Goes on until the process is ended."""
    async with app(file) as ledger_app:
        async for recorded in ledger_app.log.follow(after=0):
            os.write(1, b"%d\n" % recorded.position)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path)
    asyncio.run(follow(parser.parse_args().file))


if __name__ == "__main__":
    main()
