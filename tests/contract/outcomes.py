"""Outcomes: kept in the same commit, found before anything is compared, repeated for ever."""

from __future__ import annotations

from diptych.log.commit import Append, Appended, Commit, Conflict, Outcome, Refusal, Settled
from diptych.log.port import Store
from tests.contract.commits import (
    append,
    cause,
    command,
    event,
    everything,
    happened,
    outcome,
    together,
    version,
)


def refusal(id: str, code: str = "sold_out") -> Commit:
    """A refusal, judged on an empty stream."""
    refused = Outcome(b"f", False, Refusal(code, "no seats", {"free": 0}))
    return command("s:1", 0, id=id, outcome=refused)


class Outcomes:
    async def test_an_unknown_command_has_no_outcome(self, store: Store) -> None:
        assert await store.outcome("", "never") is None

    async def test_an_outcome_is_kept_with_its_events(self, store: Store) -> None:
        await happened(store, append("s:1", 0))
        done = await happened(
            store, command("s:1", 1, event(), event(), id="c-1", outcome=outcome("print"))
        )
        expected = Settled("c-1", b"print", done.position, "s:1", 3, 2, None)
        assert await store.outcome("", "c-1") == expected

    async def test_a_repeated_id_is_answered_with_the_first_outcome(self, store: Store) -> None:
        await happened(store, command("s:1", 0, event(), id="c-1", outcome=outcome("print")))
        first = await store.outcome("", "c-1")
        again = command("s:1", 0, event(), id="c-1", outcome=outcome("print"))
        assert await store.commit(again) == first
        assert await version(store, "s:1") == 1

    async def test_the_outcome_is_found_before_versions_are_compared(self, store: Store) -> None:
        await happened(store, command("s:1", 0, event(), id="c-1", outcome=outcome()))
        hopeless = command("s:1", 77, event(), id="c-1", outcome=outcome("another"))
        assert isinstance(await store.commit(hopeless), Settled)

    async def test_the_fingerprint_of_the_first_is_told_so_that_another_payload_shows(
        self, store: Store
    ) -> None:
        await happened(store, command("s:1", 0, id="c-1", outcome=outcome("one")))
        settled = await store.commit(command("s:1", 0, id="c-1", outcome=outcome("two")))
        assert isinstance(settled, Settled)
        assert settled.fingerprint == b"one"

    async def test_a_refusal_is_an_outcome_with_its_values(self, store: Store) -> None:
        await happened(store, append("s:0", 0))
        done = await store.commit(refusal("c-1"))
        assert done == Appended(await store.head(), (0,))
        settled = await store.commit(refusal("c-1", code="another"))
        assert isinstance(settled, Settled)
        assert settled.refusal == Refusal("sold_out", "no seats", {"free": 0})
        assert settled.position == await store.head()
        assert await version(store, "s:1") == 0

    async def test_a_conflict_leaves_no_outcome(self, store: Store) -> None:
        missed = await store.commit(command("s:1", 5, event(), id="c-1", outcome=outcome()))
        assert isinstance(missed, Conflict)
        assert await store.outcome("", "c-1") is None

    async def test_the_same_id_twice_in_one_group_happens_once(self, store: Store) -> None:
        first, second = await together(
            store,
            command("s:1", 0, event(), id="c-1", outcome=outcome()),
            command("s:1", 1, event(), id="c-1", outcome=outcome()),
        )
        assert isinstance(first, Appended)
        assert isinstance(second, Settled)
        assert second.position == first.position
        assert await version(store, "s:1") == 1

    async def test_after_a_conflict_the_same_id_may_still_happen_in_the_same_group(
        self, store: Store
    ) -> None:
        first, second = await together(
            store,
            command("s:1", 9, event(), id="c-1", outcome=outcome()),
            command("s:1", 0, event(), id="c-1", outcome=outcome()),
        )
        assert isinstance(first, Conflict)
        assert isinstance(second, Appended)

    async def test_a_drawn_id_is_kept_for_look_up(self, store: Store) -> None:
        done = await happened(
            store, command("s:1", 0, event(), id="drawn", outcome=outcome(drawn=True))
        )
        settled = await store.outcome("", "drawn")
        assert settled is not None
        assert settled.position == done.position

    async def test_an_outcome_without_a_stream_says_so(self, store: Store) -> None:
        await happened(store, Commit(cause=cause("c-1"), outcome=outcome()))
        assert await store.outcome("", "c-1") == Settled("c-1", b"f", 0, "", 0, 0, None)

    async def test_tenants_have_their_own_ids_and_streams(self, store: Store) -> None:
        one = command("s:1", 0, event(), id="c-1", tenant="one", outcome=outcome("x"))
        two = command("s:1", 0, event(), event(), id="c-1", tenant="two", outcome=outcome("y"))
        assert [type(answer) for answer in await together(store, one, two)] == [Appended] * 2
        assert await version(store, "s:1", "one") == 1
        assert await version(store, "s:1", "two") == 2
        assert await version(store, "s:1") == 0
        settled = await store.outcome("two", "c-1")
        assert settled is not None
        assert settled.count == 2
        assert await store.outcome("", "c-1") is None

    async def test_a_look_alike_id_is_another_command(self, store: Store) -> None:
        ids = ["c", "C", "c ", "ç", "c'", 'c"', "c\\", "%", "\t", "🎫"]
        for place, id in enumerate(ids):
            done = await store.commit(
                Commit(
                    cause=cause(id),
                    appends=(Append("s:1", place, (event(),)),),
                    outcome=outcome(f"print {place}"),
                )
            )
            assert isinstance(done, Appended), id
        for place, id in enumerate(ids):
            settled = await store.outcome("", id)
            assert settled is not None
            assert settled.fingerprint == f"print {place}".encode()

    async def test_a_look_alike_stream_is_another_stream(self, store: Store) -> None:
        streams = ["s:a", "s:A", "s:a ", "s:ä", "s:'", 's:"', "s:\\", "s:%", "s:🎫", "s:a:b"]
        for stream in streams:
            await happened(store, append(stream, 0))
            await happened(store, append(stream, 1))
        assert [e.stream for e in await everything(store)] == [s for s in streams for _ in "12"]
