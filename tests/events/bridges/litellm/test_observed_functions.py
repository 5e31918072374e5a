"""How functions and a Router's methods are observed, on a module that stands in for LiteLLM: it is made as that is."""

from __future__ import annotations

import gc
from types import SimpleNamespace
from typing import Any

import pytest

from events import agent_finished, agent_run, receiver_failed
from events.bridges.litellm import observed_functions
from events.bridges.litellm.litellm_call import LiteLLMCall
from events.bridges.litellm.reported_usage import merged_usage
from events.bridges.litellm.rerank_answer import RerankAnswer
from events.bridges.model_calls.model_call import start_call
from tests.support.stand_in_litellm import Stream, answer, choice, words

from .conftest import Told


def test_an_answer_is_told_with_its_tokens_and_its_cost(library: Any, told: Told) -> None:
    library.completion(model="openai/m")
    call = told.call
    assert (call.model, call.provider, call.response_model, call.status) == ("m", "openai", "m-1", "success")
    assert (call.prompt_tokens, call.completion_tokens, call.finish_reason) == (30, 5, "stop")
    assert (call.cost, call.cost_source, call.streamed) == (0.5, "price_table", False)


def test_a_stream_that_is_refused_is_one_that_failed(library: Any, told: Told) -> None:
    library.does = lambda **options: 1 / 0
    with pytest.raises(ZeroDivisionError):
        library.completion(model="openai/m", stream=True)
    assert (told.call.status, told.call.streamed) == ("error", True)


async def test_an_asynchronous_answer_is_told(library: Any, told: Told) -> None:
    await library.acompletion(model="openai/m")
    assert told.call.prompt_tokens == 30


async def test_a_plain_function_that_is_asked_for_an_asynchronous_call_is_told_at_its_end(
    library: Any, told: Told
) -> None:
    async def respond() -> Any:
        return answer()

    library.does = lambda **options: respond()
    pending = library.completion(model="openai/m", acompletion=True)
    assert told.called == []
    await pending
    assert told.call.status == "success"


async def test_one_that_fails_is_told_too(library: Any, told: Told) -> None:
    async def fail() -> Any:
        raise ConnectionError

    library.does = lambda **options: fail()
    with pytest.raises(ConnectionError):
        await library.completion(model="openai/m", acompletion=True)
    assert (told.call.status, told.call.error_type) == ("error", "connection")


def test_an_error_is_told_by_the_error_that_it_stands_for(library: Any, told: Told) -> None:
    class MidStreamFallbackError(Exception):
        original_exception = TimeoutError()

    def fail(**options: Any) -> None:
        raise MidStreamFallbackError

    library.does = fail
    with pytest.raises(MidStreamFallbackError):
        library.completion(model="openai/m")
    assert (told.call.status, told.call.error_type) == ("timeout", "timeout")


def test_a_fallback_of_a_router_is_an_attempt_at_another_model(library: Any, told: Told) -> None:
    def fail_at_first(**options: Any) -> Any:
        if options["model"] == "openai/a":
            raise ValueError
        return answer()

    library.does = fail_at_first
    library.Router().completion("group")
    call = told.call
    assert (call.requested_model, call.model, call.provider, call.attempts) == ("group", "b", "anthropic", 2)


def test_a_router_that_reaches_nobody_is_told_once(library: Any, told: Told) -> None:
    def fail(**options: Any) -> Any:
        raise ValueError("nobody")

    library.does = fail
    with pytest.raises(ValueError, match="nobody"):
        library.Router().completion("group")
    call = told.call
    assert (call.requested_model, call.model, call.status, call.attempts) == ("group", "b", "error", 2)
    assert [(each.model, each.fallback_reason) for each in told.attempted] == [("a", None), ("b", "other")]


def test_a_stream_is_told_when_it_is_exhausted(library: Any, told: Told) -> None:
    library.does = lambda **options: words()
    stream = library.completion(model="openai/m", stream=True)
    assert isinstance(stream, Stream)
    assert told.called == []
    assert len(list(stream)) == 4
    call = told.call
    assert (call.status, call.streamed, call.prompt_tokens, call.finish_reason) == ("success", True, 30, "stop")
    assert call.time_to_first_token is not None
    assert (call.cost, call.cost_source) == (0.3, "price_table")
    list(stream)
    assert told.call is call


async def test_an_asynchronous_stream_is_told_when_it_is_exhausted(library: Any, told: Told) -> None:
    library.does = lambda **options: words()
    stream = await library.acompletion(model="openai/m", stream=True)
    assert len([chunk async for chunk in stream]) == 4
    assert (told.call.status, told.call.completion_tokens) == ("success", 5)


def test_streams_of_one_class_are_tracked_by_one_class(library: Any) -> None:
    """One for each of them would take time to make, and be left to the garbage collector."""
    library.does = lambda **options: words()
    one, other = (library.completion(model="openai/m", stream=True) for _ in range(2))
    assert type(one) is type(other)
    for each in (one, other):
        each.close()  # or the garbage collector would, in another test


def test_a_stream_whose_loop_is_left_is_cancelled(library: Any, told: Told) -> None:
    """One that nobody asked for, too, as by a default of LiteLLM's."""
    library.does = lambda **options: words()
    for _ in library.completion(model="openai/m"):
        break
    gc.collect()  # LiteLLM's record holds on to it
    assert (told.call.status, told.call.usage_source, told.call.streamed) == ("cancelled", "none", True)


def test_a_stream_is_read_on_after_a_look_at_its_beginning(library: Any, told: Told) -> None:
    library.does = lambda **options: words()
    stream = library.completion(model="openai/m", stream=True)
    first = next(iter(stream))
    for _ in stream:
        break
    assert told.called == []
    assert len([first, *stream]) == 3
    assert (told.call.status, told.call.completion_tokens) == ("success", 5)


async def test_a_stream_that_is_closed_is_cancelled(library: Any, told: Told) -> None:
    library.does = lambda **options: words()
    unread = library.completion(model="openai/m", stream=True)
    unread.close()
    assert told.call.status == "cancelled"
    stream = await library.acompletion(model="openai/m", stream=True)
    async for _ in stream:
        break
    await stream.aclose()
    assert [call.status for call in told.called] == ["cancelled", "cancelled"]


def test_a_stream_that_is_dropped_is_cancelled(library: Any, told: Told) -> None:
    library.does = lambda **options: words()
    next(library.completion(model="openai/m", stream=True))
    gc.collect()
    assert told.call.status == "cancelled"


def test_a_stream_that_breaks_off_is_an_error(library: Any, told: Told) -> None:
    library.does = lambda **options: words(breaks=ConnectionError())
    with pytest.raises(ConnectionError):
        list(library.completion(model="openai/m", stream=True))
    assert (told.call.status, told.call.error_type) == ("error", "connection")


async def test_an_asynchronous_stream_that_breaks_off_is_an_error(library: Any, told: Told) -> None:
    library.does = lambda **options: words(breaks=TimeoutError())
    with pytest.raises(TimeoutError):
        [chunk async for chunk in await library.acompletion(model="openai/m", stream=True)]
    assert (told.call.status, told.call.error_type) == ("timeout", "timeout")


def test_a_stream_that_stops_without_an_end_is_invalid(library: Any, told: Told) -> None:
    library.does = lambda **options: Stream(SimpleNamespace(model="m", choices=[choice(content="One")]))
    list(library.completion(model="openai/m", stream=True))
    assert (told.call.status, told.call.error_type) == ("error", "invalid_response")


def test_another_call_while_a_stream_is_read_is_one_of_its_own(library: Any, told: Told) -> None:
    library.does = lambda **options: words() if options.get("stream") else answer()
    for _ in library.completion(model="openai/m", stream=True):
        library.completion(model="openai/other")
    assert sorted(call.model for call in told.called) == ["m", *["other"] * 4]


def test_a_call_inside_an_exact_bridge_s_is_that_one(library: Any, told: Told) -> None:
    around = start_call("outer", model="outer", provider="p", is_exact=True)
    assert around is not None
    with around.in_effect():
        library.completion(model="openai/m")
    assert told.called == []


def test_a_call_is_in_the_totals_of_its_agent(library: Any, told: Told) -> None:
    with agent_finished.captured() as finished, agent_run(agent_name="writer"):
        library.completion(model="openai/m")
    assert (finished[0].llm_calls, finished[0].prompt_tokens, finished[0].cost) == (1, 30, 0.5)


@pytest.mark.lenient
def test_a_failure_of_the_bridge_is_reported_and_the_call_is_made(
    library: Any, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr(observed_functions, "asked_model", fail)
    with receiver_failed.captured() as failures:
        assert library.completion(model="openai/m").model == "m-1"
    assert [(failure.signal, failure.receiver) for failure in failures] == [("llm_called", "litellm")]
    assert told.called == []


@pytest.mark.lenient
def test_a_failure_of_the_bridge_hides_no_error_of_the_call(
    library: Any, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any) -> None:
        raise RuntimeError

    def refuse(**options: Any) -> None:
        raise ConnectionRefusedError

    library.does = refuse
    monkeypatch.setattr(LiteLLMCall, "fail", fail)
    with receiver_failed.captured() as failures, pytest.raises(ConnectionRefusedError):
        library.completion(model="openai/m")
    assert [(failure.signal, failure.receiver) for failure in failures] == [("llm_called", "litellm")]


@pytest.mark.lenient
def test_a_stream_that_cannot_be_tracked_is_reported_and_given_to_its_reader(library: Any, told: Told) -> None:
    library.does = lambda **options: iter([1, 2])
    with receiver_failed.captured() as failures:
        assert list(library.completion(model="openai/m", stream=True)) == [1, 2]
    assert len(failures) == 1
    assert told.call.status == "error"


def test_tokens_that_litellm_counts_itself_are_not_told(library: Any, told: Told) -> None:
    library.completion(model="m", custom_llm_provider="replicate")
    library.completion(model="openai/m", mock_response="Hello!")
    assert [(call.usage_source, call.prompt_tokens, call.cost) for call in told.called] == [("none", None, None)] * 2


def test_the_usage_of_a_stream_is_what_its_chunks_say_last() -> None:
    merged = merged_usage([{"prompt_tokens": 30, "completion_tokens": 1}, {"prompt_tokens": 0, "completion_tokens": 5}])
    assert (merged.prompt_tokens, merged.completion_tokens, merged.usage_source) == (30, 5, "provider")
    assert merged_usage([]).usage_source == "none"


@pytest.mark.parametrize(
    ("meta", "tokens"),
    [
        ({"tokens": {"input_tokens": 7}, "billed_units": {"search_units": 1}}, 7),
        ({"billed_units": {"total_tokens": 9}}, 9),
        ({"billed_units": {"search_units": 1}}, None),
        (None, None),
    ],
)
def test_a_reranking_has_the_tokens_of_its_prompt(meta: Any, tokens: int | None) -> None:
    reranked = RerankAnswer()
    reranked.add_whole({"meta": meta})
    assert (reranked.usage().prompt_tokens, reranked.raw_usage(), reranked.add_chunk(None)) == (
        tokens,
        None,
        (0, False),
    )
