"""Finding the app that an operation is about: named by hand, or by the nearest pyproject.toml."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from difflib import get_close_matches
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from diptych.errors import AppNotFound, WiringError

if TYPE_CHECKING:
    from diptych.app import App

FORM = "module:attribute, such as shop.main:app"


class Target:
    """The app that an operation is about. Nothing is imported before it is asked for.

    Args:
        named: ``module:attribute``; None to let the nearest pyproject.toml say it.
        start: Where to begin looking, and where a module that is named by hand is looked for.
    """

    def __init__(self, named: str | None, start: Path) -> None:
        self.named = named
        self.start = start.absolute()

    @cached_property
    def project(self) -> Path | None:
        """The nearest pyproject.toml that has a table [tool.diptych], upwards."""
        for directory in (self.start, *self.start.parents):
            file = directory / "pyproject.toml"
            if file.is_file() and _table(file) is not None:
                return file
        return None

    @property
    def root(self) -> Path:
        """Where the app's files are: modules, and the schema file."""
        return self.project.parent if self.project is not None else self.start

    @cached_property
    def name(self) -> str:
        """``module:attribute``.

        Raises:
            AppNotFound: Nobody says it, or in another form.
        """
        if self.named is not None:
            return _well_formed(self.named, "--app")
        if self.project is None:
            raise AppNotFound(
                f"no app is named, and no pyproject.toml in {self.start} or above has a table "
                '[tool.diptych]. Write app = "module:attribute" there, or say --app '
                "module:attribute."
            )
        given = (_table(self.project) or {}).get("app")
        if given is None:
            raise AppNotFound(
                f"{self.project}: [tool.diptych] names no app. "
                'Write app = "module:attribute" there.'
            )
        return _well_formed(given, f"{self.project}: [tool.diptych] app")

    @cached_property
    def app(self) -> App:
        """The app; its module is imported now, and may not print where results are printed.

        Raises:
            AppNotFound: There is none, or its module cannot be imported.
            WiringError: It does not fit together.
        """
        from diptych.app import App

        module_name, _, attribute = self.name.partition(":")
        if str(self.root) not in sys.path:
            sys.path.insert(0, str(self.root))
        with redirect_stdout(sys.stderr):
            module = self._import(module_name)
        found: Any = module
        for part in attribute.split("."):
            if not hasattr(found, part):
                raise AppNotFound(f"module {module_name!r} has no {attribute!r}. {_apps(module)}")
            found = getattr(found, part)
        if not isinstance(found, App):
            raise AppNotFound(f"{self.name} is {_kind(found)}, not an App. {_apps(module)}")
        return found

    def _import(self, name: str) -> Any:
        try:
            return import_module(name)
        except WiringError:
            raise
        except ModuleNotFoundError as error:
            missing = error.name or ""
            if name == missing or name.startswith(f"{missing}."):
                near = _near(self.root, missing)
                raise AppNotFound(
                    f"there is no module {missing!r} in {self.root}, and none is installed."
                    f"{near} Name another (--app {FORM}), run this in the directory where its "
                    "package begins, or install it."
                ) from error
            raise AppNotFound(
                f"{name} imports {missing!r}, which is not there. Install it where diptych runs "
                f"({sys.executable})."
            ) from error
        except SystemExit as error:
            raise AppNotFound(
                f"importing {name} ends the program. Put what is to run by itself under "
                'if __name__ == "__main__".'
            ) from error
        except Exception as error:
            at = _where(error)
            raise AppNotFound(
                f"importing {name} raised {type(error).__name__}: {str(error).rstrip('.')}{at}. "
                "Correct that; `python -c 'import "
                f"{name}'` shows the whole traceback."
            ) from error


def _table(file: Path) -> dict[str, Any] | None:
    """[tool.diptych] of a pyproject.toml; None where there is none."""
    import tomllib

    try:
        with file.open("rb") as opened:
            content = tomllib.load(opened)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise AppNotFound(f"{file} is no TOML: {error}. Correct it, or say --app {FORM}.") from None
    except OSError as error:
        raise AppNotFound(f"{file}: {error.strerror}. Say --app {FORM}.") from None
    table: Any = content.get("tool", {}).get("diptych")
    return cast("dict[str, Any]", table) if isinstance(table, dict) else None


def _well_formed(given: object, where: str) -> str:
    if isinstance(given, str):
        module, separator, attribute = given.partition(":")
        parts = [*module.split("."), *attribute.split(".")]
        if separator and all(part.isidentifier() for part in parts):
            return given
    raise AppNotFound(f"{where}: {given!r} names no app. Write {FORM}.")


def _kind(value: object) -> str:
    if isinstance(value, type):
        return "a class"
    return "a function" if callable(value) else f"of type {type(value).__name__}"


def _apps(module: Any) -> str:
    """What a module has to offer instead."""
    from diptych.app import App

    apps = [name for name in dir(module) if isinstance(getattr(module, name), App)]
    if apps:
        return f"It has {', '.join(apps)}: write {module.__name__}:{apps[0]}."
    return (
        "It has no App at its top level: write `app = App(…)` there, or `app = create_app()` "
        "where a function makes it."
    )


def _near(root: Path, name: str) -> str:
    here = [path.stem for path in root.glob("*.py")]
    here += [path.parent.name for path in root.glob("*/__init__.py")]
    found = get_close_matches(name.partition(".")[0], here, n=1)
    return f" Did you mean {found[0]!r}?" if found else ""


def _where(error: BaseException) -> str:
    """The place in the user's code where it was raised, as far as that is known."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if isinstance(error, SyntaxError):
        return f" ({error.filename}, line {error.lineno})"
    return (
        "" if trace is None else f" ({trace.tb_frame.f_code.co_filename}, line {trace.tb_lineno})"
    )
