"""One call is told once, whichever bridges see it: by the outermost that knows it exactly, else by the outermost."""

from __future__ import annotations

import pytest

from events import LLMCalled, LLMCallStarted, llm_attempted, llm_call_started, llm_called
from events.bridges.model_calls.claims import claim_own_call
from events.bridges.model_calls.model_call import CallEnd, ModelCall, start_call


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
        assert claim_own_call().call_id != first.claim.call_id
    first.finish(CallEnd())
