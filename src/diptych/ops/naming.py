"""Names that speak of data where a command should speak of a task."""

from __future__ import annotations

import re

from diptych.ops.findings import Finding

VERBS = {
    "Set": "what makes it so",
    "Update": "what happens in the business",
    "Change": "why it changes",
    "Modify": "why it changes",
    "Edit": "what is corrected, and why",
    "Patch": "what is corrected, and why",
    "Save": "what the user decides",
    "Store": "what the user decides",
    "Write": "what the user decides",
    "Insert": "what comes into being",
    "Upsert": "what comes into being",
    "Delete": "why it ends",
}
"""Verbs of a database, and what the name of a task tells instead."""

EXAMPLES = {
    "Status": "ConfirmOrder, CancelOrder",
    "State": "ConfirmOrder, CancelOrder",
    "Price": "DiscountProduct, RaisePrice",
    "Address": "MoveToAddress, CorrectAddress",
    "Email": "ConfirmEmail, CorrectEmail",
    "Quantity": "AddItems, TakeItems",
    "Name": "CorrectName, TakeMarriedName",
}
"""By the last word of the name."""

_WORDS = re.compile(r"[A-Z][a-z0-9]*|[a-z0-9]+")


def data_centric(command: type) -> Finding | None:
    """A finding where a command's name edits data."""
    words = _WORDS.findall(command.__name__)
    if len(words) < 2 or words[0] not in VERBS:
        return None
    example = next(
        (EXAMPLES[word] for word in reversed(words) if word in EXAMPLES),
        f"Close{words[1]}, Cancel{words[1]}"
        if words[0] == "Delete"
        else f"Approve{words[1]}, Correct{words[1]}",
    )
    return Finding(
        code="data-centric-command",
        severity="warning",
        subject=command.__qualname__,
        message=f"{words[0]!r} says what happens to data, not what somebody wants done",
        remedy=f"Let the name tell {VERBS[words[0]]}, one command for each: such as {example}.",
    )
