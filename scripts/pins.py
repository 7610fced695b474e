"""Takes newer packages in: `uv run python -m scripts.pins`, after the ranges in pyproject.toml.

Resolves anew within those ranges, writes requirements.txt (every version with its hashes, without
a registry's name) and one version of each package into `constraint-dependencies`.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GROUPS = ("dev", "demo", "lint", "browser", "faults", "bench")
LIST = re.compile(r"(?<=^constraint-dependencies = \[\n)(?:    .*\n)*(?=\])", re.MULTILINE)
PIN = re.compile(r"^([a-z0-9-]+)==([^\s;\\]+)", re.MULTILINE)


def main() -> None:
    project = ROOT / "pyproject.toml"
    before = project.read_text()
    project.write_text(LIST.sub("", before))
    try:
        subprocess.run(_compile(), cwd=ROOT, check=True)
    except BaseException:
        project.write_text(before)
        raise
    pins = sorted(set(PIN.findall((ROOT / "requirements.txt").read_text())))
    lines = "".join(f'    "{name}=={version}",\n' for name, version in pins)
    project.write_text(LIST.sub(lines, before))
    subprocess.run(["uv", "lock", "--quiet"], cwd=ROOT, check=True)
    print(f"{len(pins)} packages")


def _compile() -> list[str]:
    command = ["uv", "pip", "compile", "pyproject.toml", "--upgrade", "--universal", "--quiet"]
    command += ["--generate-hashes", "--no-emit-index-url", "--no-header", "--no-annotate"]
    for group in GROUPS:
        command += ["--group", group]
    for own in ("reservation-example", "diptych"):
        command += ["--no-emit-package", own]
    return [*command, "--output-file", "requirements.txt"]


if __name__ == "__main__":
    main()
