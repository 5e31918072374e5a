"""A call while it is under way: when nobody would get its events, and whose the time of its stream is."""

from __future__ import annotations

from time import sleep

import pytest

from events import agent_run, llm_attempted, llm_call_started, llm_called, strict
from events.bridges.model_calls.model_call import CallEnd, is_idle, start_call


@pytest.mark.lenient
def test_a_bridge_is_idle_while_nobody_would_get_an_event() -> None:
    assert is_idle()
    for signal in (llm_call_started, llm_attempted, llm_called):
        with signal.captured():
            assert not is_idle()
    with agent_run(agent_name="copywriter"):  # which sums what is emitted inside
        assert not is_idle()
    with strict():
        assert not is_idle()
    assert is_idle()


def duration_of(*, is_open: bool) -> float | None:
    with llm_called.captured() as called:
        call = start_call("bridge", model="m", provider="p", is_exact=True)
        assert call is not None
        if is_open:
            call.open_stream()
        sleep(0.02)
        call.finish(CallEnd())
    return called[0].duration


def test_the_time_from_which_a_stream_may_be_read_is_its_readers() -> None:
    pause = duration_of(is_open=True)
    assert pause is not None
    assert pause < 0.02
    waiting = duration_of(is_open=False)
    assert waiting is not None
    assert waiting >= 0.02
