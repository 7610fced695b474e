"""The schema file: what every name of an app means, written down once and compared ever after."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diptych.errors import SchemaChanged
from diptych.log.messages import message_type
from diptych.log.names import BY, OPTIONAL, Stamp
from diptych.ops.findings import Finding

if TYPE_CHECKING:
    from diptych.wiring import Wiring

NAME = "diptych.schema.json"
FORMAT = 1
ACCEPT = "If that is what you want: diptych check --accept, and commit the file."


def stamps_of(wiring: Wiring) -> list[Stamp]:
    """What the store remembers, and the messages that come from outside."""
    stamps = wiring.stamps()
    known = {stamp.key for stamp in stamps}
    elsewhere = [shape.stamp for _, shape, _ in wiring.views]
    elsewhere += [stamp for one, _ in wiring.projections for stamp in one.tables.stamps]
    stamps += [stamp for stamp in elsewhere if stamp.key not in known]
    for kind, types in (("command", wiring.commands), ("query", wiring.queries)):
        for type_ in types:
            name = wiring.names.take(kind, type_)
            stamps.append(Stamp(kind, name, 1, message_type(type_, name).shape()))
    return stamps


def read(file: Path, context: str) -> list[Stamp] | None:
    """What was accepted for a context; None where nothing was.

    Raises:
        SchemaChanged: The file is none of diptych's, or of another format.
    """
    kinds = _contexts(file).get(context)
    if kinds is None:
        return None
    try:
        return [
            Stamp(kind, name, int(stamp["schema"]), dict(stamp["shape"]))
            for kind, named in kinds.items()
            for name, stamp in named.items()
        ]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise SchemaChanged(f"{file}: {error!r}. Restore it from version control.") from error


def write(file: Path, context: str, stamps: Iterable[Stamp]) -> None:
    """Accepts; other contexts in the same file stay as they are. Same stamps, same bytes."""
    kinds: dict[str, dict[str, Any]] = {}
    for stamp in stamps:
        kinds.setdefault(stamp.kind, {})[stamp.name] = {
            "schema": stamp.schema,
            "shape": stamp.shape,
        }
    contexts = {**_contexts(file), context: kinds}
    content = {"format": FORMAT, "contexts": contexts}
    text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False)
    beside = file.with_name(f".{file.name}.new")
    beside.write_text(f"{text}\n", encoding="utf-8")
    beside.replace(file)


def _contexts(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise SchemaChanged(
                f"{file} has format {content['format']!r}, this diptych writes {FORMAT}. "
                "Use the version of diptych that wrote it."
            )
        return dict(content["contexts"])
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError) as error:
        raise SchemaChanged(
            f"{file} is no schema file ({error!r}). Restore it from version control, or remove it "
            "and write it anew: diptych check --accept."
        ) from error


def differences(accepted: Iterable[Stamp], code: Iterable[Stamp]) -> list[Finding]:
    """Everything that is not as it was accepted, each with its remedy; nothing where all agrees."""
    old = {stamp.key: stamp for stamp in accepted}
    new = {stamp.key: stamp for stamp in code}
    found: list[Finding] = []
    for key in sorted({*old, *new}):
        was, now = old.get(key), new.get(key)
        if was == now:
            continue
        if was is None:
            found += _added(new[key], old)
        elif now is None:
            found += _removed(was, new)
        else:
            found += _changed(was, now)
    return found


def _finding(stamp: Stamp, change: str, message: str, remedy: str) -> Finding:
    return Finding(
        code=f"{stamp.kind}-{change}",
        severity="error",
        subject=f"{stamp.kind} {stamp.name}",
        message=message,
        remedy=remedy,
    )


def _added(now: Stamp, old: Mapping[tuple[str, str], Stamp]) -> Iterator[Finding]:
    if now.kind == "tags" and ("event", now.name) in old:
        yield _finding(
            now,
            "changed",
            f"this event was not tagged, and now is by {_list(now)}: events that are stored "
            "already would not be found by their tags",
            f"Tag a new event instead. Where none is stored yet: {ACCEPT}",
        )
    else:
        yield _finding(now, "added", "is new", ACCEPT)


def _removed(was: Stamp, new: Mapping[tuple[str, str], Stamp]) -> Iterator[Finding]:
    alike = [
        stamp.name for stamp in new.values() if stamp.kind == was.kind and stamp.shape == was.shape
    ]
    match was.kind:
        case "event":
            renamed = f" (is it {alike[0]!r} now?)" if alike else ""
            yield _finding(
                was,
                "removed",
                f"no class has this name any more{renamed}: stored events of it cannot be read",
                f"Keep its class, or keep its name: names={{{was.name!r}: Class}}. Where none is "
                f"stored: {ACCEPT}",
            )
        case "command" | "query":
            yield _finding(
                was,
                "removed",
                "is not taken any more: whoever still sends it is refused",
                f"Keep it until nobody sends it. {ACCEPT}",
            )
        case _:
            yield _finding(was, "removed", "is gone", ACCEPT)


def _changed(was: Stamp, now: Stamp) -> Iterator[Finding]:
    match now.kind:
        case "event":
            yield from _event_changed(was, now)
        case "view":
            name, _, version = now.name.rpartition("@")
            following = int(version) + 1 if version.isdecimal() else now.schema + 1
            for field, message in _fields(was, now):
                yield _finding(
                    now,
                    "changed",
                    f"{_field(field)}{message}, but its version is still {now.schema}",
                    f"Give view {name or now.name} version={following}: it fills anew, from the "
                    "first event on.",
                )
        case "table":
            for field, message in _fields(was, now):
                yield _finding(
                    now,
                    "changed",
                    f"{_field(field)}{message}, but its projection's version is still {now.schema}",
                    f"Give the projection version={now.schema + 1}: it fills anew, from the first "
                    "event on.",
                )
        case "model":
            yield _finding(
                now,
                "changed",
                f"was {_list(was)}, is {_list(now)}: what is stored was written under other rules",
                "Give the new model another name.",
            )
        case "tags":
            yield _finding(
                now,
                "changed",
                f"was tagged by {_list(was)}, is tagged by {_list(now)}: events that are stored "
                "already keep the tags they have",
                f"Tag a new event instead. Where none is stored yet: {ACCEPT}",
            )
        case _:
            yield from _message_changed(was, now)


def _event_changed(was: Stamp, now: Stamp) -> Iterator[Finding]:
    if now.schema < was.schema:
        yield _finding(
            now,
            "changed",
            f"schema {now.schema} in the code, {was.schema} was accepted: newer events exist",
            "Keep its upcasters, or deploy the newer code.",
        )
        return
    if now.schema > was.schema:
        lifted = "; ".join(f"{_field(f)}{m}" for f, m in _fields(was, now)) or "its meaning changed"
        yield _finding(
            now, "changed", f"schema {was.schema} is lifted to {now.schema}: {lifted}", ACCEPT
        )
        return
    upcaster = (
        "Stored events are never edited. Write an upcaster for the old shape "
        f"(upcast={{{now.name!r}: [function]}}), or a new event."
    )
    for field, message in _fields(was, now):
        before, after = was.shape.get(field), now.shape.get(field)
        if after is None:
            remedy = f"Stored events keep it, and it is not read. {ACCEPT}"
        elif before is None and after.endswith(OPTIONAL):
            remedy = ACCEPT
        elif before is None:
            message += ": stored events lack it"
            remedy = f"Give it a default. Or: {upcaster}"
        elif before.rstrip(OPTIONAL) != after.rstrip(OPTIONAL):
            remedy = upcaster
        elif after.endswith(OPTIONAL):
            remedy = ACCEPT
        else:
            message += ": stored events may lack it"
            remedy = f"Give it its default back. Or: {upcaster}"
        yield _finding(now, "changed", f"{_field(field)}{message}", remedy)


def _message_changed(was: Stamp, now: Stamp) -> Iterator[Finding]:
    for field, message in _fields(was, now):
        before, after = was.shape.get(field), now.shape.get(field)
        if after is not None and after.endswith(OPTIONAL) and before in (None, after.rstrip("?")):
            remedy = ACCEPT  # who does not send it means what was meant before
        else:
            message += ": whoever sends the old shape is refused"
            remedy = (
                f"Give a new field a default, and keep the old ones; or make a new {now.kind}. "
                f"Where all senders change with it: {ACCEPT}"
            )
        yield _finding(now, "changed", f"{_field(field)}{message}", remedy)


def _fields(was: Stamp, now: Stamp) -> Sequence[tuple[str, str]]:
    """Field by field, what is different. An optional field is one that has a default."""
    found: list[tuple[str, str]] = []
    for field in {**was.shape, **now.shape}:
        before, after = was.shape.get(field), now.shape.get(field)
        if before is None:
            found.append((field, f"is new ({_form(after or '')})"))
        elif after is None:
            found.append((field, f"is gone (it was {_form(before)})"))
        elif before != after:
            found.append((field, f"was {_form(before)}, is {_form(after)}"))
    return found


def _field(field: str) -> str:
    return {"(key)": "its key ", BY: "its projection "}.get(field, f"field {field!r} ")


def _form(shape: str) -> str:
    return f"{shape.rstrip(OPTIONAL)} with a default" if shape.endswith(OPTIONAL) else shape


def _list(stamp: Stamp) -> str:
    return ", ".join(sorted(stamp.shape))
