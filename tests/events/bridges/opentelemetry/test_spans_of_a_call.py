"""Which call a span is of that shows it only at its end, where several were under way."""

from __future__ import annotations

from collections.abc import Iterable
from time import perf_counter, time_ns

import pytest

from events.bridges.model_calls.claims import Claim
from events.bridges.opentelemetry.observed_call import ObservedCall
from events.bridges.opentelemetry.open_spans import OpenSpan
from events.bridges.opentelemetry.spans_of_a_call import ObservedCalls
from events.bus.scope import Scope

MICROSECOND = 1_000
MILLISECOND = 1_000_000


def calls_of_a_bridge(times: Iterable[tuple[int, int | None]]) -> tuple[ObservedCalls, list[ObservedCall]]:
    """Return calls that another bridge tells, by when they began and ended in nanoseconds; None is still under way."""
    observed, calls = ObservedCalls(owner=None), []
    now, now_ns = perf_counter(), time_ns()
    for began_ns, ended_ns in times:
        call = ObservedCall("gpt-4o-mini", began_ns, None, None)
        call.claim = claim = Claim(f"call-{began_ns}", is_exact=True)
        if ended_ns is not None:
            claim.ended_at = now - (now_ns - ended_ns) / 1e9
        observed.add(call)
        calls.append(call)
    return observed, calls


def test_a_call_has_the_id_and_the_scope_of_its_claim() -> None:
    call, scope = ObservedCall("m", 0, None, None), Scope({"agent_name": "writer"}, None, {})
    assert (call.call_id, call.scope) == ("", None)
    call.claim = Claim("c", is_exact=True, scope=scope)
    assert (call.call_id, call.scope) == ("c", scope)


def span(started_ns: int) -> OpenSpan:
    return OpenSpan(started_ns, started_ns, name="chat", library="litellm", started_ns=started_ns, parent=None)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_spans_around_which_a_bridge_tells_calls_take_one_each(order: tuple[int, ...]) -> None:
    """The second call is still under way as the span of the first one ends, and lies in its time so far."""
    now = time_ns() - 500 * MILLISECOND
    calls = [(0, 50), (1, None), (13, 71)]
    observed, told = calls_of_a_bridge(
        (now + began * MILLISECOND, None if ended is None else now + ended * MILLISECOND) for began, ended in calls
    )
    spans = [(now + 118 * MICROSECOND, 49), (now + 1_075 * MICROSECOND, 62), (now + 13_120 * MICROSECOND, 70)]
    taken = {place: observed.take_told(span(spans[place][0]), "gpt-4o-mini", now + spans[place][1] * MILLISECOND)
             for place in order}  # fmt: skip
    assert taken == dict(enumerate(told))


def test_of_calls_that_end_one_after_the_other_each_span_takes_its_own() -> None:
    """Each ends a moment before the next, whose call a slack of the clocks would have within it."""
    now = time_ns() - 500 * MILLISECOND
    spans = [(now + begins * MILLISECOND, now + 50 * MILLISECOND + begins * 1500 * MICROSECOND) for begins in range(5)]
    observed, told = calls_of_a_bridge((begins - 30 * MICROSECOND, ends + 470 * MICROSECOND) for begins, ends in spans)
    assert [observed.take_told(span(begins), "gpt-4o-mini", ends) for begins, ends in spans] == told


def test_a_stream_s_last_chunk_is_read_after_its_span() -> None:
    """The call inside of the span's library is still under way, and there is no other that it could be."""
    now = time_ns() - 500 * MILLISECOND
    observed, [call] = calls_of_a_bridge([(now + MILLISECOND, None)])
    assert observed.take_told(span(now), "gpt-4o-mini", now + 50 * MILLISECOND) is call
    assert observed.take_told(span(now), "gpt-4o-mini", now + 50 * MILLISECOND) is None, "its library has its span"


def test_a_span_that_was_open_takes_the_call_under_way_inside_of_it() -> None:
    """Not that of another thread, which began before it: its own call is told after its end."""
    now = time_ns()
    observed, [_, own] = calls_of_a_bridge([(now - MILLISECOND, None), (now + MILLISECOND, None)])
    assert observed.take_told(span(now), "gpt-4o-mini", time_ns() + 50 * MILLISECOND) is own
