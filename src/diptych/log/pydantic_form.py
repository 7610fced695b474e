"""Pydantic's models as messages and rows: msgspec reads and writes their JSON, pydantic validates.

A model is stored as a dataclass with the same fields would be: under the names of its fields, each
in the form of its type. Aliases, serializers and `exclude=` shape what is sent to others, not what
is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pydantic
from msgspec import inspect

from diptych.errors import WiringError
from diptych.log.forms import Form, Json, MsgspecForm, Settle, settle
from diptych.log.pydantic_hooks import Models
from diptych.log.pydantic_model import made, place_of

OLDEST = (2, 11)
"""The version in which a validator can be told to go by the names of fields."""


def refuse_old(version: str) -> None:
    """Refuses a pydantic that lacks what is needed here.

    Raises:
        WiringError: It does.
    """
    if tuple(map(int, version.split(".")[:2])) < OLDEST:
        raise WiringError(
            f"pydantic {version} is too old for messages. "
            "Install the one that fits: pip install 'diptych[pydantic]'."
        )


refuse_old(pydantic.VERSION)


class ModelForm:
    """The form of a model, or of a pydantic dataclass."""

    def __init__(self, type_: Any) -> None:
        self._type = type_
        self._models = Models()
        model = self._models.model(type_)
        validate = model.validate
        fields = MsgspecForm(model.stored, self._models)
        self._fields = fields
        self._validate = validate
        self.info: inspect.Type = model.info
        self.encode: Callable[[Any], bytes] = fields.encode
        self.encode_in_order: Callable[[Any], bytes] = fields.encode_in_order
        self.decode: Callable[[Json], Any] = lambda data: validate(fields.decode(data))
        self.decode_list: Callable[[Json], list[Any]] = lambda data: [
            validate(one) for one in fields.decode_list(data)
        ]
        self.settle: Settle | None = partial(settle, self)

    def convert(self, value: Any) -> Any:
        return self._validate(self._fields.convert(value))

    def make(self, fields: Mapping[str, Any]) -> Any:
        return made(self._type, fields)

    def custom(self, cls: type) -> inspect.Type | None:
        return self._models.info(cls)

    def field(self, name: str) -> Form:
        models = Models()
        place = place_of(self._type, name, whole=True)
        return MsgspecForm(models.take(place), models)
