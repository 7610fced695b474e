"""Reads what was posted, a form or JSON, into one flat mapping; or says what is wrong with it."""

from typing import TypeGuard
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import Request

LIMIT = 64 * 1024

Sent = dict[str, object]


class BadBody(Exception):
    """Cannot be read at all.

    Attributes:
        status: The HTTP status that says so.
        message: For people.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


async def read_body(request: Request) -> Sent:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = await _read(request)
    if kind == "application/json":
        return _json(body)
    if kind == "application/x-www-form-urlencoded":
        return _form(body)
    raise BadBody(415, "Send a form (application/x-www-form-urlencoded) or application/json.")


async def _read(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LIMIT:
            raise BadBody(413, f"At most {LIMIT // 1024} KiB, please.")
    return bytes(body)


def _form(body: bytes) -> Sent:
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, max_num_fields=50, errors="strict"
        )
    except ValueError as error:
        raise BadBody(422, "This form is not encoded as it should be.") from error
    sent: Sent = {}
    for name, value in pairs:
        if name in sent:
            raise BadBody(422, f"The field {name[:40]!r} was sent twice.")
        sent[name] = value
    return sent


def _json(body: bytes) -> Sent:
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadBody(422, "This is not JSON.") from error
    if not _is_object(value):
        raise BadBody(422, "Send one JSON object, with a field for each answer.")
    return value


def _is_object(value: object) -> TypeGuard[Sent]:
    return isinstance(value, dict)
