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
    "pydantic",
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


USE = """
from diptych.log.messages import MessageType
from dataclasses import make_dataclass
MessageType(make_dataclass("Plain", [("x", int), ("y", list[str])], frozen=True), "plain")
"""


def test_a_dataclass_as_message_loads_no_pydantic() -> None:
    assert "pydantic" not in modules_after(USE)


def test_the_code_for_models_is_loaded_where_a_model_is_met() -> None:
    home = "diptych.log.pydantic_form"
    assert home not in modules_after(f"import pydantic{USE}")
    model = 'from pydantic import create_model\nMessageType(create_model("M", x=(int, 1)), "m")'
    assert home in modules_after(USE + model)


def test_wiring_an_app_on_a_file_loads_no_sqlalchemy() -> None:
    loaded = modules_after("import diptych; diptych.App('quiet', store='sqlite:///quiet.db')")
    assert loaded & {"sqlalchemy", "aiosqlite", "asyncpg"} == set()
