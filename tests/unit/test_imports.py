"""What `import diptych` costs: neither SQLAlchemy nor a driver, and nothing is opened."""

import json
import subprocess
import sys

HEAVY = [
    "sqlalchemy",
    "sqlite3",
    "_sqlite3",
    "aiosqlite",
    "asyncpg",
    "psycopg",
    "apsw",
    "redis",
    "duckdb",
    "nats",
    "confluent_kafka",
    "starlette",
    "httpx",
    "pytest",
]


def modules_after(statement: str) -> set[str]:
    """The modules of a fresh interpreter that has executed nothing but `statement`."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"{statement}\nimport sys, json; print(json.dumps(list(sys.modules)))",
        ],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return set(json.loads(done.stdout))


def test_importing_diptych_loads_neither_sqlalchemy_nor_a_driver() -> None:
    assert modules_after("import diptych") & set(HEAVY) == set()


def test_every_public_name_is_there_without_sqlalchemy() -> None:
    loaded = modules_after("from diptych import *")
    assert loaded & set(HEAVY) == set()


def test_wiring_an_app_in_memory_loads_no_sqlalchemy() -> None:
    loaded = modules_after("import diptych; diptych.App('quiet', store='memory://')")
    assert loaded & {"sqlalchemy", "aiosqlite", "asyncpg"} == set()
