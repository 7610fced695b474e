"""`python -m scripts.cli_reference` writes what is made from the verb table: the page of the command
line, and the schema of its answers."""

from __future__ import annotations

from pathlib import Path

from diptych.cli.help import EXITS, effect
from diptych.cli.options import Option, options_of, typed
from diptych.ops.envelope import schema_text
from diptych.ops.verbs import VERBS, AnyVerb

REFERENCE = Path(__file__).resolve().parents[1] / "docs" / "reference"

HEAD = """# The command line

Made from the verb table, `src/diptych/ops/verbs.py`, by `scripts/cli_reference.py`; a test holds \
that it is current.

`pip install 'diptych[cli]'` brings the program `diptych`. It finds the app in the nearest \
`pyproject.toml`, upwards from where it is run:

```toml
[tool.diptych]
app = "shop.main:app"
```

or by `--app shop.main:app`. Modules are looked for beside that `pyproject.toml` (with `--app` and \
no such file: where it is run), and among what is installed. How to work with it: \
[operate an app](../how-to/operate.md).
"""

JSON = """## Answers for programs

With `--json` every command answers with envelopes, one a line; `run`, `prove`, \
`events tail --follow` and `--watch` with several. Their schema: \
[cli-envelope.schema.json](cli-envelope.schema.json).

| Field | |
|---|---|
| `diptych` | version of this form: 1 |
| `verb` | the command; `null` where the command line made no sense |
| `app` | `module:attribute`; `null` where none was found |
| `time` | when it was answered, UTC |
| `exit` | the exit status |
| `result` | what was asked for; `null` where it could not be done |
| `error` | `type` and `message` where it could not be done; else `null` |

Control characters, and marks that change the direction of writing, are escaped, in JSON and in \
text. `NO_COLOR=1` and pipes get no colours.
"""

COMPLETION = """## Completion

`diptych --completion bash` (or zsh, fish) writes a script for the shell:

```sh
diptych --completion bash > ~/.local/share/bash-completion/completions/diptych
```
"""


def page() -> str:
    """docs/reference/cli.md."""
    commands = "\n".join(f"| [`{v.name}`](#{_anchor(v)}) | {v.summary} |" for v in VERBS)
    statuses = "\n".join(f"| {int(exit)} | {meaning} |" for exit, meaning in EXITS.items())
    parts = [
        HEAD,
        f"| Command | |\n|---|---|\n{commands}\n",
        *map(_command, VERBS),
        JSON,
        f"## Exit status\n\n| | |\n|---|---|\n{statuses}\n",
        COMPLETION,
    ]
    return "\n".join(parts)


def _anchor(verb: AnyVerb) -> str:
    return f"diptych-{verb.name.replace(' ', '-')}"


def _command(verb: AnyVerb) -> str:
    options = "\n".join(map(_option, options_of(verb)))
    examples = "\n".join(f"diptych {line}" for line in verb.examples)
    return (
        f"## diptych {verb.name}\n\n{verb.summary}. {verb.details}\n\n"
        f"| Option | |\n|---|---|\n{options}\n\n{effect(verb)}\n\n```sh\n{examples}\n```\n"
    )


def _option(option: Option) -> str:
    shown = typed(option).replace("|", "\\|")
    default = "" if option.default in (None, False, "", ()) else f" Default: {option.default}."
    return f"| `{shown}` | {option.help}{default} |"


def main() -> None:
    (REFERENCE / "cli.md").write_text(page(), encoding="utf-8")
    (REFERENCE / "cli-envelope.schema.json").write_text(schema_text(), encoding="utf-8")


if __name__ == "__main__":
    main()
