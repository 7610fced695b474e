"""`python -m scripts.reference` writes docs/reference/api.md: the public names, from docstrings.

Signatures come from the source, so they read as they were written.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from textwrap import dedent
from typing import Any, TypeAlias

from diptych import errors

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "reference" / "api.md"

PACKAGES = ("diptych", "diptych.blocking", "diptych.testing")

MET = {
    "Log": ("diptych.subscription.feed", "What `app.log` is."),
    "JoinUnit": ("diptych.write.joining", "What `app.join` gives."),
    "GivenModel": ("diptych.testing.given", "What `given(model, …)` gives."),
    "GivenView": ("diptych.testing.given", "What `given(view, …)` gives."),
    "Decided": ("diptych.testing.given", "What `given(model, …).when(command)` gives."),
}
"""Classes that nobody imports, but that come out of calls: where they are, and what they are."""

DESCRIPTIONS = frozenset(
    "Boundary Decider EventSourced Handlers Part Projection Rows StateStored Tables View".split()
)
"""Classes that are only handed over: their methods are the engine's to call."""

INNER = {"App.joining", "App.wiring", "JoinUnit.recorded", "JoinUnit.settle", "Views.used"}
"""Public for the engine's sake alone."""

MADE_BY_THE_ENGINE = frozenset({"BlockingApp", "BlockingLog", "Views", *MET})
"""Shown without what they are made of."""

HEAD = """\
# Reference

What each public name takes, has and raises: written from the docstrings by `just reference`. \
All of them in a line each: [every public name](surface.md). \
Errors and their remedies: [errors](errors.md).
"""

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
Definition: TypeAlias = ast.ClassDef | Function


def main() -> None:
    PAGE.write_text(page())
    print(f"wrote {PAGE.relative_to(ROOT)}")


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for package in PACKAGES:
        module = import_module(package)
        parts.append(f"## {package}\n")
        for name in names_of(package):
            parts += [f"### {name}\n", *described(getattr(module, name), name, module)]
    parts.append("## What calls give\n\nNever imported, but met.\n")
    for name, (home, what) in MET.items():
        value = getattr(import_module(home), name)
        parts += [f"### {name}\n", f"{what}\n", *described(value, name, value)]
    return "\n".join(parts).rstrip() + "\n"


def names_of(package: str) -> list[str]:
    """Its public names that are not those of a package before it."""
    before = PACKAGES[: PACKAGES.index(package)]
    known = {name for other in before for name in import_module(other).__all__}
    return [name for name in import_module(package).__all__ if name not in known]


def described(value: Any, name: str, package: Any) -> Iterator[str]:
    """What the page says of one name."""
    if getattr(value, "__name__", None) != name:
        yield from alias(name, package)
        return
    found = definitions(value, name)
    overloads = [node for node in found if "@overload" in decorators(node)]
    shown = overloads or found
    yield code("\n".join(signature(node) for node in shown))
    yield from prose(found[-1])
    if inspect.isclass(value) and name not in DESCRIPTIONS:
        for node in members(value):
            yield f"#### {name}.{node.name}\n"
            yield code(signature(node))
            yield from prose(node)


def alias(name: str, package: Any) -> Iterator[str]:
    """A type alias: how it is written, and the text below it."""
    home = next(
        node.module
        for node in ast.walk(parsed(inspect.getfile(package)))
        if isinstance(node, ast.ImportFrom) and any(one.name == name for one in node.names)
    )
    for statement, below in documented(parsed(inspect.getfile(import_module(str(home)))).body):
        if isinstance(statement, ast.AnnAssign) and ast.unparse(statement.target) == name:
            yield code(ast.unparse(statement))
            yield f"{plain(below)}\n"


@cache
def parsed(file: str) -> ast.Module:
    """The module, with constants that stand for defaults replaced by what they are."""
    module = ast.parse(Path(file).read_text())
    constants = {
        ast.unparse(target_of(one)): one.value
        for one in module.body
        if isinstance(one, ast.Assign | ast.AnnAssign) and isinstance(one.value, ast.Constant)
    }
    for node in ast.walk(module):
        if isinstance(node, ast.arguments):
            defaults = [*node.defaults, *node.kw_defaults]
            known = [one and constants.get(ast.unparse(one), one) for one in defaults]
            node.defaults = [one for one in known[: len(node.defaults)] if one]
            node.kw_defaults = known[len(node.defaults) :]
    return module


def definitions(value: Any, name: str) -> list[Definition]:
    """The class, or the function with its overloads."""
    body = parsed(inspect.getfile(value)).body
    return [node for node in body if isinstance(node, Definition) and node.name == name]


def decorators(node: Definition) -> list[str]:
    return [f"@{ast.unparse(one)}" for one in node.decorator_list]


def members(class_: type) -> Iterator[Function]:
    """Public methods and properties, its own and those of bases that are not public themselves."""
    public = {name for package in PACKAGES for name in import_module(package).__all__}
    seen: set[str] = set()
    for owner in class_.__mro__:
        ours = owner.__module__.partition(".")[0] == "diptych"
        if not ours or (owner is not class_ and owner.__name__ in public):
            continue
        for node in definitions(owner, owner.__name__)[0].body:
            if isinstance(node, Function) and not node.name.startswith("_"):
                if node.name not in seen and f"{class_.__name__}.{node.name}" not in INNER:
                    yield node
                seen.add(node.name)


def signature(node: Definition) -> str:
    """As it is called, one parameter on each line where one line would be long."""
    if isinstance(node, ast.ClassDef):
        return constructed(node)
    word = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    head = "".join(f"{line}\n" for line in decorators(node) if line != "@overload")
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    words = [one for one in parameters(node.args) if one != "self"]
    return head + call(f"{word} {node.name}", words, returns)


def constructed(node: ast.ClassDef) -> str:
    """How a class is made; where only the engine makes it, its name; for a fault, its branch."""
    fault = getattr(errors, node.name, None)
    if fault is not None and fault is not errors.Refused:
        return f"class {node.name}({', '.join(map(ast.unparse, node.bases))})"
    words = [] if node.name in MADE_BY_THE_ENGINE else constructor(node)
    return call(f"class {node.name}", words, "") if words else f"class {node.name}"


def call(head: str, words: list[str], tail: str) -> str:
    line = f"{head}({', '.join(words)}){tail}"
    if len(line.rpartition("\n")[2]) <= 80:
        return line
    return "\n".join([f"{head}(", *(f"    {word}," for word in words), f"){tail}"])


def constructor(node: ast.ClassDef) -> list[str]:
    """What a class is made with: its `__init__`, or the fields of a Struct."""
    for statement in node.body:
        if isinstance(statement, Function) and statement.name == "__init__":
            return parameters(statement.args)[1:]
    if "Struct" not in [ast.unparse(base) for base in node.bases]:
        return []
    named = any(word.arg == "kw_only" for word in node.keywords)
    fields = [ast.unparse(one) for one in node.body if isinstance(one, ast.AnnAssign)]
    return ["*", *fields] if named else fields


def parameters(arguments: ast.arguments) -> list[str]:
    """Each parameter as it is written, `*` and `/` among them."""
    positional = [*arguments.posonlyargs, *arguments.args]
    none: list[ast.expr | None] = [None] * (len(positional) - len(arguments.defaults))
    words = list(map(parameter, positional, [*none, *arguments.defaults]))
    if arguments.posonlyargs:
        words.insert(len(arguments.posonlyargs), "/")
    if arguments.vararg:
        words.append(f"*{parameter(arguments.vararg, None)}")
    elif arguments.kwonlyargs:
        words.append("*")
    words += map(parameter, arguments.kwonlyargs, arguments.kw_defaults)
    if arguments.kwarg:
        words.append(f"**{parameter(arguments.kwarg, None)}")
    return words


def parameter(one: ast.arg, default: ast.expr | None) -> str:
    annotation = f": {ast.unparse(one.annotation)}" if one.annotation else ""
    if default is None:
        return one.arg + annotation
    value = ast.unparse(default)
    return f"{one.arg}{annotation} = {value}" if annotation else f"{one.arg}={value}"


SECTION = re.compile(r"^(Args|Attributes|Raises):$", re.MULTILINE)
ENTRY = re.compile(r"^ {4}(\S[^:\n]*): (.*(?:\n {8}.*)*)$", re.MULTILINE)
EXAMPLE = re.compile(r"(?:^ {4}.*\n?(?:\n(?= {4}))?)+", re.MULTILINE)


def prose(node: Definition) -> Iterator[str]:
    """A docstring, its Google sections as lists."""
    text = ast.get_docstring(node) or ""
    first, *rest = SECTION.split(text)
    below = dict(zip(rest[::2], rest[1::2], strict=True))
    if first.strip():
        yield f"{fenced(plain(first)).rstrip()}\n"
    for title, word in (("Args", "Takes"), ("Attributes", "Has"), ("Raises", "Raises")):
        entries = [
            (name, " ".join(said.split())) for name, said in ENTRY.findall(below.get(title, ""))
        ]
        if title == "Attributes" and isinstance(node, ast.ClassDef):
            entries += attributes(node)
        if entries:
            yield f"{word}:\n"
            yield "".join(f"- {names(name)}: {plain(said)}\n" for name, said in entries)


def attributes(node: ast.ClassDef) -> list[tuple[str, str]]:
    """Attributes with a text of their own below them, in the class or its `__init__`."""
    bodies = [node.body, *(one.body for one in node.body if isinstance(one, Function))]
    return [
        (target.removeprefix("self."), " ".join(below.split()))
        for body in bodies
        for statement, below in documented(body)
        if isinstance(statement, ast.Assign | ast.AnnAssign)
        for target in [ast.unparse(target_of(statement))]
        if not target.removeprefix("self.").startswith("_")
        if f"{node.name}.{target.removeprefix('self.')}" not in INNER
    ]


def target_of(statement: ast.Assign | ast.AnnAssign) -> ast.expr:
    return statement.target if isinstance(statement, ast.AnnAssign) else statement.targets[0]


def documented(body: list[ast.stmt]) -> Iterable[tuple[ast.stmt, str]]:
    """Statements that are followed by a text."""
    for statement, below in pairwise(body):
        match below:
            case ast.Expr(ast.Constant(str(text))):
                yield statement, text
            case _:
                pass


def names(text: str) -> str:
    return ", ".join(f"`{name.strip()}`" for name in text.split(","))


def plain(text: str) -> str:
    return text.strip("\n").rstrip().replace("``", "`")


def fenced(text: str) -> str:
    """Indented examples as blocks of Python."""

    def block(found: re.Match[str]) -> str:
        return code(dedent(found[0]).strip())

    return EXAMPLE.sub(block, text)


def code(text: str) -> str:
    quoted = re.sub(r"'([^'\"]*)'", r'"\1"', text)
    return f"```python\n{quoted}\n```\n"


if __name__ == "__main__":
    main()
