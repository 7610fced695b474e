"""Holds uv's resolution against requirements.txt: the same versions, no file replaced.

uv.lock is not committed (it names the registry of whoever wrote it), so a fresh clone
resolves again, within the pins of pyproject.toml. This says whether it ended where
the committed hashes do. Files that were added upstream since then are no difference.
"""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def committed() -> dict[tuple[str, str], set[str]]:
    pins: dict[tuple[str, str], set[str]] = {}
    key = ("", "")
    for line in (ROOT / "requirements.txt").read_text().splitlines():
        if pin := re.match(r"([a-z0-9-]+)==([^\s;\\]+)", line):
            key = (pin[1], pin[2])
            pins[key] = set()
        pins.setdefault(key, set()).update(re.findall(r"sha256:[0-9a-f]{64}", line))
    return {key: hashes for key, hashes in pins.items() if hashes}


def resolved() -> dict[tuple[str, str], set[str]]:
    lock = tomllib.loads((ROOT / "uv.lock").read_text())
    return {
        (package["name"], package["version"]): {
            file["hash"]
            for file in [*package.get("wheels", []), *filter(None, [package.get("sdist")])]
            if "hash" in file
        }
        for package in lock["package"]
        if "registry" in package["source"]
    }


def main() -> int:
    pins, now = committed(), resolved()
    wrong = [f"{name} {version} is not in requirements.txt" for name, version in now.keys() - pins]
    wrong += [f"{name} {version} is no longer resolved" for name, version in pins.keys() - now]
    wrong += [
        f"{key[0]} {key[1]}: no file upstream has a hash that was committed"
        for key in pins.keys() & now.keys()
        if now[key] and not pins[key] & now[key]
    ]
    for line in sorted(wrong):
        print(line)
    if wrong:
        print("Remedy: look at what moved, then `just upgrade`; commit what it writes.")
    else:
        print(f"{len(pins)} packages as committed")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
