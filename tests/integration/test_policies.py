"""Who may do what: policies on commands and queries, before anything is read or changed."""

from __future__ import annotations

from typing import Any

import pytest

from diptych import Allow, App, BadResult, Deny, Principal, Refused, WiringError
from diptych.errors import Denied
from tests.integration.pots import (
    AllTotals,
    Pot,
    Put,
    Take,
    TotalOf,
    bank,
)

ANN = Principal("ann", roles=frozenset({"teller"}))
BOB = Principal("bob")


def tellers_take(principal: Principal, command: Take, pot: Pot) -> Allow | Deny:
    if "teller" not in principal.roles:
        return Deny("only a teller takes")
    return Allow() if command.amount <= pot.amount // 2 else Deny("at most half of it")


def known_put(principal: Principal, command: Put) -> Allow | Deny:
    return Deny("who are you?") if principal.id == "anonymous" else Allow()


def own_total(principal: Principal, query: TotalOf) -> Allow | Deny:
    return Allow() if query.pot == principal.id else Deny("not yours")


def guarded(url: str, **more: Any) -> App:
    return bank(url, may=[tellers_take, known_put, own_total], **more)


async def test_a_policy_sees_who_and_what_and_the_state(url: str) -> None:
    async with guarded(url) as app:
        await app.execute(Put("ann", 10), principal=BOB)
        await app.execute(Take("ann", 5), principal=ANN)
        with pytest.raises(Denied, match="at most half") as denied:
            await app.execute(Take("ann", 5), principal=ANN)
        assert (denied.value.message_name, denied.value.principal) == ("take", "ann")
        with pytest.raises(Denied, match="only a teller"):
            await app.execute(Take("ann", 1), principal=BOB)
        with pytest.raises(Denied, match="who are you"):
            await app.execute(Put("ann", 1))


async def test_what_is_denied_changes_nothing_and_is_no_outcome(url: str) -> None:
    async with guarded(url) as app:
        with pytest.raises(Denied):
            await app.execute(Put("a", 1), id="c-1")
        assert await app.log.head() == 0
        receipt = await app.execute(Put("a", 1), id="c-1", principal=BOB)
        assert receipt.position == 1


async def test_a_principal_without_the_right_does_not_get_a_stored_outcome(url: str) -> None:
    async with guarded(url) as app:
        await app.execute(Put("a", 1), id="c-1", principal=BOB)
        with pytest.raises(Denied):
            await app.execute(Put("a", 1), id="c-1")


async def test_a_repeated_command_that_was_allowed_on_the_old_state_gets_its_outcome(
    url: str,
) -> None:
    async with guarded(url) as app:
        await app.execute(Put("a", 10), principal=BOB)
        first = await app.execute(Take("a", 5), id="t", principal=ANN)
        assert await app.execute(Take("a", 5), id="t", principal=ANN) == first


async def test_queries_are_answered_to_those_who_may(url: str) -> None:
    async with guarded(url) as app:
        receipt = await app.execute(Put("ann", 10), principal=BOB)
        row = await app.ask(TotalOf("ann"), after=receipt, principal=ANN)
        assert row is not None
        with pytest.raises(Denied, match="not yours"):
            await app.ask(TotalOf("ann"), principal=BOB)
        with pytest.raises(Denied):
            await app.answer(TotalOf("ann"))


async def test_an_app_can_deny_by_default(url: str) -> None:
    async with guarded(url, deny_by_default=True) as app:
        await app.execute(Put("a", 1), principal=BOB)
        with pytest.raises(Denied, match="no policy allows it"):
            await app.ask(AllTotals(), principal=ANN)


async def test_a_refusal_of_the_business_comes_after_the_policy(url: str) -> None:
    def anybody(principal: Principal, command: Take) -> Allow | Deny:
        return Allow()

    async with bank(url, may=[anybody]) as app:
        with pytest.raises(Refused):
            await app.execute(Take("a", 1))


async def test_a_policy_that_says_neither_yes_nor_no_is_named(url: str) -> None:
    def unsure(principal: Principal, command: Put) -> Allow | Deny:
        return None  # type: ignore[return-value]

    async with bank(url, may=[unsure]) as app:
        with pytest.raises(BadResult, match="unsure"):
            await app.execute(Put("a", 1))
        assert await app.log.head() == 0


def two(principal: Principal, command: Put) -> Allow: ...  # type: ignore[empty-body]
def no_principal(who: str, command: Put) -> Allow: ...  # type: ignore[empty-body]
def one(principal: Principal) -> Allow: ...  # type: ignore[empty-body]
def idle(principal: Principal, command: Pot) -> Allow: ...  # type: ignore[empty-body]
def stateful(principal: Principal, query: TotalOf, pot: Pot) -> Allow: ...  # type: ignore[empty-body]
def anything(principal: Principal, command: object) -> Allow: ...  # type: ignore[empty-body]


@pytest.mark.parametrize(
    ("may", "match"),
    [
        ([known_put, two], "Each message has one policy"),
        ([no_principal], "is no Principal"),
        ([one], r"not \(principal, message\)"),
        ([idle], "neither a command nor a query here"),
        ([stateful], "a query has none"),
        ([anything], "no message class"),
    ],
)
def test_a_policy_of_another_shape_is_a_wiring_error(may: list[Any], match: str) -> None:
    with pytest.raises(WiringError, match=match):
        bank("memory://", may=may)
