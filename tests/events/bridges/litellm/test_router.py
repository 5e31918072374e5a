"""A Router's call is one, with the attempts at the models that it chose."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.embeddings_server import EmbeddingsServer
from tests.support.litellm_modes import MODES, Mode, ask, read, run
from tests.support.openai_server import OpenAIServer, Usage, fails, says
from tests.support.responses_server import ResponsesServer

from .conftest import OWN_WARNINGS, Told

pytestmark = [pytest.mark.models("litellm"), pytest.mark.slow, *OWN_WARNINGS]


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> Mode:
    mode: Mode = request.param
    return mode


@pytest.fixture
def other() -> Iterator[OpenAIServer]:
    with OpenAIServer() as server:
        yield server


def router_of(litellm: Any, server: OpenAIServer, other: OpenAIServer, **settings: Any) -> Any:
    """Return a Router with a group of one model, and another group to fall back to."""
    deployments = [
        {"model_name": name, "litellm_params": {"model": model, "api_base": url, "api_key": "none", "max_retries": 0}}
        for name, model, url in (
            ("small", "openai/gpt-4o-mini", server.base_url),
            ("large", "openai/gpt-4o", other.base_url),
        )
    ]
    return litellm.Router(model_list=deployments, **{"num_retries": 0, "retry_after": 0, **settings})


def test_a_call_is_of_the_model_that_the_router_chose(
    litellm: Any, server: OpenAIServer, other: OpenAIServer, told: Told, mode: Mode
) -> None:
    server.behaviour = says(usage=Usage(1000, 500))
    ask(mode, router_of(litellm, server, other), model="small")
    call = told.call
    assert (call.requested_model, call.model, call.provider) == ("small", "gpt-4o-mini", "openai")
    assert (told.started[0].requested_model, told.started[0].model) == ("small", "gpt-4o-mini")
    assert (call.prompt_tokens, call.completion_tokens) == (1000, 500)
    assert call.cost == pytest.approx(1000 * 0.15e-6 + 500 * 0.6e-6)


def test_retries_and_a_fallback_are_attempts(
    litellm: Any, server: OpenAIServer, other: OpenAIServer, told: Told, mode: Mode
) -> None:
    server.behaviour, other.behaviour = fails(500), says(usage=Usage(100, 50))
    router = router_of(litellm, server, other, num_retries=1, fallbacks=[{"small": ["large"]}], disable_cooldowns=True)
    ask(mode, router, model="small")
    call = told.call
    assert (call.requested_model, call.model, call.status, call.prompt_tokens) == ("small", "gpt-4o", "success", 100)
    assert [(each.model, each.status_code) for each in told.attempted] == [
        ("gpt-4o-mini", 500),
        ("gpt-4o-mini", 500),
        ("gpt-4o", 200),
    ]
    assert [each.retry_reason for each in told.attempted] == [None, "provider_5xx", None]
    assert [each.fallback_reason for each in told.attempted] == [None, None, "provider_5xx"]
    assert (told.attempted[2].from_model, told.attempted[2].to_model) == ("gpt-4o-mini", "gpt-4o")
    assert call.cost == pytest.approx(100 * 2.5e-6 + 50 * 10e-6)


def test_a_streamed_call_is_of_the_model_that_the_router_chose(
    litellm: Any, server: OpenAIServer, other: OpenAIServer, told: Told, mode: Mode
) -> None:
    server.behaviour, other.behaviour = fails(429), says("One two three.", usage=Usage(100, 50))
    router = router_of(litellm, server, other, fallbacks=[{"small": ["large"]}])
    assert "".join(read(mode, router, model="small", stream_options={"include_usage": True})) == "One two three."
    call = told.call
    assert (call.requested_model, call.model, call.status, call.streamed) == ("small", "gpt-4o", "success", True)
    assert [(each.model, each.outcome) for each in told.attempted] == [
        ("gpt-4o-mini", "rate_limited"),
        ("gpt-4o", "success"),
    ]
    assert (call.prompt_tokens, call.completion_tokens) == (100, 50)
    assert call.cost == pytest.approx(100 * 2.5e-6 + 50 * 10e-6)


def test_a_stream_of_a_router_whose_reader_leaves_is_cancelled(
    litellm: Any, server: OpenAIServer, other: OpenAIServer, told: Told, mode: Mode
) -> None:
    server.behaviour = says("One two three four five.", pause=0.01)
    read(mode, router_of(litellm, server, other), chunks=2, model="small")
    assert told.call.status == "cancelled"


def test_a_group_of_which_nothing_answers_is_an_error(
    litellm: Any, server: OpenAIServer, other: OpenAIServer, told: Told, mode: Mode
) -> None:
    server.behaviour = fails(401)
    with pytest.raises(litellm.AuthenticationError):
        ask(mode, router_of(litellm, server, other), model="small")
    call = told.call
    assert (call.requested_model, call.model, call.error_type) == ("small", "gpt-4o-mini", "auth")


def test_a_group_that_there_is_not_is_an_error_of_nobody(
    litellm: Any, server: OpenAIServer, other: OpenAIServer, told: Told, mode: Mode
) -> None:
    with pytest.raises(litellm.BadRequestError):
        ask(mode, router_of(litellm, server, other), model="medium")
    assert (told.call.model, told.call.provider, told.call.status) == ("medium", "unknown", "error")


def test_ten_calls_at_once_are_ten(litellm: Any, server: OpenAIServer, other: OpenAIServer, told: Told) -> None:
    router = router_of(litellm, server, other)

    async def ask_all() -> None:
        message = [{"role": "user", "content": "Hello?"}]
        await asyncio.gather(*(router.acompletion(model="small", messages=message) for _ in range(10)))

    asyncio.run(ask_all())
    assert len(told.called) == len(told.attempted) == server.tally.requests == 10
    assert sum(call.prompt_tokens or 0 for call in told.called) == server.tally.prompt_tokens


def test_embeddings_and_responses_of_a_router_are_calls_too(litellm: Any, told: Told, mode: Mode) -> None:
    with EmbeddingsServer(says(usage=Usage(40, 0))) as embeddings, ResponsesServer(says(usage=Usage(100, 50))) as other:
        deployments = [
            {"model_name": name, "litellm_params": {"model": model, "api_base": url, "api_key": "none"}}
            for name, model, url in (
                ("vectors", "openai/text-embedding-3-small", embeddings.base_url),
                ("small", "openai/gpt-4o-mini", other.base_url),
            )
        ]
        router = litellm.Router(model_list=deployments, num_retries=0)
        run(mode, router.embedding, router.aembedding, model="vectors", input=["one"])
        run(mode, router.responses, router.aresponses, model="small", input="Hello?")
    first, second = told.called
    assert (first.requested_model, first.model, first.operation) == ("vectors", "text-embedding-3-small", "embeddings")
    assert (second.requested_model, second.model, second.operation) == ("small", "gpt-4o-mini", "chat")
    assert [(call.prompt_tokens, call.status) for call in told.called] == [(40, "success"), (100, "success")]


def test_many_calls_that_litellm_makes_on_threads_are_many(litellm: Any, server: OpenAIServer, told: Told) -> None:
    messages = [[{"role": "user", "content": "Hello?"}]] * 5
    litellm.batch_completion("openai/gpt-4o-mini", messages=messages, api_base=server.base_url, api_key="none")
    assert len(told.called) == server.tally.requests == 5
    assert sum(call.prompt_tokens or 0 for call in told.called) == server.tally.prompt_tokens
