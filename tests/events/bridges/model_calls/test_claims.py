"""One call is told once, whichever bridges see it: by the outermost that knows it exactly, else by the outermost."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from events import LLMCalled, LLMCallStarted, llm_attempted, llm_call_started, llm_called
from events.bridges.model_calls.claims import Claim, claim_call, claim_own_call, observers
from events.bridges.model_calls.model_call import CallEnd, ModelCall, is_idle, start_call
from events.bus.scope import Scope


def begin(bridge: str, *, is_exact: bool) -> ModelCall | None:
    return start_call(bridge, model=f"of {bridge}", provider="p", is_exact=is_exact)


def nest(outer: bool, inner: bool) -> tuple[list[LLMCallStarted], list[LLMCalled], int]:
    """Return what is emitted for a call that two bridges see, each exact or not."""
    with llm_call_started.captured() as started, llm_called.captured() as called, llm_attempted.captured() as attempts:
        around = begin("outer", is_exact=outer)
        assert around is not None
        with around.in_effect():
            inside = begin("inner", is_exact=inner)
            if inside is not None:
                inside.finish(CallEnd(response_model="inner"))
        around.finish(CallEnd(response_model="outer"))
    return started, called, len(attempts)


@pytest.mark.parametrize(
    ("outer", "inner", "teller"),
    [(True, True, "outer"), (True, False, "outer"), (False, False, "outer"), (False, True, "inner")],
)
def test_two_bridges_tell_one_call(outer: bool, inner: bool, teller: str) -> None:
    started, called, attempts = nest(outer, inner)
    assert [call.response_model for call in called] == [teller]
    assert [start.call_id for start in started] == [called[0].call_id]
    assert attempts == 1


def test_two_calls_in_one_that_is_observed_are_two() -> None:
    with llm_call_started.captured() as started, llm_called.captured() as called:
        around = begin("outer", is_exact=False)
        assert around is not None
        with around.in_effect():
            for _ in range(2):
                inside = begin("inner", is_exact=True)
                assert inside is not None
                inside.finish(CallEnd())
        around.finish(CallEnd())
    assert len({call.call_id for call in called}) == 2
    assert {start.call_id for start in started} == {call.call_id for call in called}
    assert len(started) == 2


@pytest.mark.parametrize("is_exact", [True, False])
def test_what_is_inside_of_an_exact_call_is_told_by_it_wherever_its_claim_is_from(is_exact: bool) -> None:
    """The first call inside of an observed one takes it over; for the second nothing is left to take."""
    with llm_called.captured() as called:
        around = begin("outer", is_exact=False)
        assert around is not None
        with around.in_effect():
            for _ in range(2):
                inside = begin("inner", is_exact=True)
                assert inside is not None
                with inside.in_effect():
                    assert begin("innermost", is_exact=is_exact) is None
                inside.finish(CallEnd())
        around.finish(CallEnd())
    assert len(called) == 2


def test_what_a_call_leaves_running_makes_calls_of_its_own() -> None:
    with llm_called.captured() as called:
        first = begin("outer", is_exact=True)
        assert first is not None
        with first.in_effect():
            first.finish(CallEnd())
            later = begin("inner", is_exact=False)
        assert later is not None
        later.finish(CallEnd())
    assert len({call.call_id for call in called}) == 2


def test_a_bridge_may_know_that_a_call_is_its_own() -> None:
    first = begin("outer", is_exact=True)
    assert first is not None
    with first.in_effect():
        assert begin("inner", is_exact=True) is None
        own = claim_own_call()
        assert own.call_id != first.claim.call_id
        assert own.is_exact
    first.finish(CallEnd())


def test_a_call_of_a_bridges_own_is_exact_and_takes_over_what_is_only_observed() -> None:
    assert claim_own_call().is_exact
    around = begin("outer", is_exact=False)
    assert around is not None
    with around.in_effect():
        own = claim_own_call()
    assert (own.call_id, own.is_exact) == (around.claim.call_id, True)


class Sees:
    """An observer that knows a claim of a model's call, and notes the calls of others."""

    def __init__(self, claim: Claim | None = None) -> None:
        self.claim = claim
        self.noted: list[tuple[str, bool]] = []

    def find_claim(self, model: str) -> Claim | None:
        return self.claim if model == "seen" else None

    def note_call(self, claim: Claim, model: str) -> None:
        self.noted.append((model, claim.is_exact))


def test_an_observer_knows_what_belongs_together_where_no_context_says_so() -> None:
    scope = Scope({"agent_name": "writer"}, None, {})
    seen = Claim("c", is_exact=False, is_started=True, scope=scope)
    observer = Sees(seen)
    observers.add(observer)
    with llm_call_started.captured() as started, llm_called.captured() as called:
        for _ in range(2):
            call = start_call("exact", model="seen", provider="p", is_exact=True)
            assert call is not None
            call.finish(CallEnd())
        assert start_call("observing", model="seen", provider="p", is_exact=False) is None
        assert start_call("exact", model="other", provider="p", is_exact=True) is not None
    assert called[0].call_id == "c" != called[1].call_id
    assert [start.call_id for start in started][:1] == [called[1].call_id]
    assert [call.agent_name for call in called] == ["writer", "writer"]
    assert observer.noted == [("seen", True), ("other", True)]
    assert seen.is_taken


def test_a_cost_of_a_library_s_own_list_is_no_seller_s() -> None:
    with llm_called.captured() as called:
        call = begin("outer", is_exact=True)
        assert call is not None
        call.finish(CallEnd(cost=0.5, cost_source="price_table"))
    assert (called[0].cost, called[0].cost_source) == (0.5, "price_table")


def test_nobody_would_get_an_event() -> None:
    assert not is_idle()  # in a strict block each event is built


def test_calls_that_are_begun_together_are_taken_over_one_by_one() -> None:
    with llm_call_started.captured() as started, llm_called.captured() as called:
        first, second = [begin("outer", is_exact=False) for _ in range(2)]
        assert first is not None
        assert second is not None
        second.claim.beside = first.claim
        with second.in_effect():
            for name in ("a", "b", "c"):
                inside = begin("inner", is_exact=True)
                assert inside is not None
                inside.finish(CallEnd(response_model=name))
        first.finish(CallEnd(response_model="outer"))
        second.finish(CallEnd(response_model="outer"))
    assert [call.response_model for call in called] == ["a", "b", "c"]
    assert [start.call_id for start in started] == [first.claim.call_id, second.claim.call_id, called[2].call_id]


class SeesMany:
    """An observer of several calls of one model, whose first look in each of two threads is at the same time."""

    def __init__(self, *claims: Claim) -> None:
        self.claims = claims
        self.looks = [Barrier(2, timeout=10)] * 2

    def find_claim(self, _model: str) -> Claim | None:
        found = next((claim for claim in self.claims if not claim.is_taken), None)
        if self.looks:
            self.looks.pop().wait()
        return found

    def note_call(self, claim: Claim, model: str) -> None:
        raise AssertionError("each call is one that is observed")


def test_two_threads_that_find_the_same_observed_call_take_over_one_each() -> None:
    for _ in range(20):
        claims = [Claim(name, is_exact=False) for name in "ab"]
        observer = SeesMany(*claims)
        observers.add(observer)
        try:
            with ThreadPoolExecutor(2) as threads:
                taken = list(threads.map(lambda _: claim_call(is_exact=True, model="m"), range(2)))
        finally:
            observers.discard(observer)
        assert sorted("" if claim is None else claim.call_id for claim in taken) == ["a", "b"]
        assert all(claim.is_taken for claim in claims)


def test_a_call_is_taken_over_once_and_not_after_it_was_told() -> None:
    claim = Claim("c", is_exact=False)
    assert [claim.take(), claim.take()] == [True, False]
    told = Claim("c", is_exact=False)
    told.has_ended = True
    assert not told.take()
