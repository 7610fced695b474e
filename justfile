# What a founder types. Every recipe is also one plain command: read it here, type it anywhere.

[private]
default:
    @just --list

# the demo's page, on http://127.0.0.1:8000
[group('run')]
demo *options:
    uv run reservation demo {{ options }}

# unit, contract, acceptance and the short faults
[group('check')]
test *options:
    uv run pytest {{ options }}

# ruff, pyright, mypy, import-linter
[group('check')]
lint:
    uv run --group lint ruff check
    uv run --group lint ruff format --check
    uv run --group lint pyright
    uv run --group lint mypy
    uv run --group lint lint-imports

# write the format that `lint` asks for
[group('check')]
format:
    uv run --group lint ruff check --fix
    uv run --group lint ruff format

# the page in Chromium
[group('check')]
browser *options:
    uv run --group browser pytest tests/browser {{ options }}

# power cuts, kills, full disks; `just faults -m long` for the long rounds
[group('check')]
faults *options:
    uv run --group faults pytest tests/faults {{ options }}

# the long rounds, before a release: 20 kills of a whole replay, every power cut, a million events
[group('check')]
soak:
    DIPTYCH_SOAK=1 uv run --group faults pytest tests/faults tests/acceptance -m "long or not long"

# everything, as the machine that guards main runs it
[group('check')]
ci:
    .ci/run

# writes docs/benchmarks.md; `just bench --smoke` only looks whether it runs; `just bench growth` is long
[group('measure')]
bench *options:
    uv run --group bench python -m benchmarks {{ options }}

# docs/reference: api.md from the docstrings, cli.md and its schema from the verb table
[group('keep')]
reference:
    uv run python -m scripts.reference
    uv run python -m scripts.cli_reference

# docs/tutorial/ladder.md from examples/ladder
[group('keep')]
ladder:
    uv run python -m scripts.ladder

# take newer packages in: requirements.txt and the constraints, within the ranges of pyproject.toml
[group('keep')]
upgrade:
    uv run python -m scripts.pins
